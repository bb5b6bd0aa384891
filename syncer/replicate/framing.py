"""The one message that carries nearly all bytes, put into protobuf's wire format by hand (pure)."""

from __future__ import annotations

from syncer.replicate.messages import Contents


def framed_contents(message: Contents) -> bytes:
    """Return FromProduction(contents=…) in protobuf's wire format, with one copy of the data instead of three.

    Nearly all bytes that syncer ever sends pass here (protobuf.dev, "Encoding": tag, length, value).
    """
    pieces = [b"\x08", _varint(message.transaction)]
    for content in message.contents:
        head = b"\x0a" + _varint(len(content.digest)) + content.digest + b"\x12" + _varint(len(content.data))
        tail = (b"\x18" + _varint(content.offset) if content.offset else b"") + (b"\x20\x01" if content.more else b"")
        pieces += (b"\x12", _varint(len(head) + len(content.data) + len(tail)), head, content.data, tail)
    if message.last:
        pieces.append(b"\x18\x01")
    return b"".join((b"\x22", _varint(sum(map(len, pieces))), *pieces))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
