"""The messages of a homecoming as protobuf and back, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncer.errors import PeerProtocolError
from syncer.model import Change, Head, Kind
from syncer.pb import procedures_pb2 as pb
from syncer.procedures import home_messages as h
from syncer.procedures import messages as m
from syncer.procedures.comparison import Other
from syncer.procedures.wire.values import (
    PARAMETERS_MAX,
    document_in,
    encode_document,
    id_in,
    name_in,
    parsed,
    refusal_in,
    refusal_out,
    sentence_in,
    sentence_out,
    speaker_in,
    speaker_out,
)
from syncer.replicate.checks import MAXIMUM_NUMBER, checked_name
from syncer.replicate.wire.transaction import change_in, change_out
from syncer.replicate.wire.values import cursor_in, cursor_out

BYTES_AT_ONCE = 512 * 1024
OTHERS_AT_ONCE = 500
"""What one message of entries holds, and a little more: the last entry may be larger. It is read in some ms."""
OTHERS_MAX = 4 * OTHERS_AT_ONCE
LINES_MAX = 16_384
"""What is taken of one message; gRPC itself limits its bytes."""
_OVERHEAD = 200
"""Bytes of an entry beside what varies, roughly."""


def others_at_once(others: Iterator[Other]) -> Iterator[tuple[Other, ...]]:
    """Yield entries in pieces that fit a message."""
    piece: list[Other] = []
    held = 0
    for one in others:
        entry = one.entry
        held += _OVERHEAD + len(entry.path) + len(entry.attributes) + len(entry.link_target) + len(entry.origin)
        piece.append(one)
        if held >= BYTES_AT_ONCE or len(piece) >= OTHERS_AT_ONCE:
            yield tuple(piece)
            piece, held = [], 0
    if piece:
        yield tuple(piece)


def lines_at_once(lines: Iterator[str]) -> Iterator[tuple[str, ...]]:
    """Yield lines of a plan in pieces that fit a message."""
    piece: list[str] = []
    held = 0
    for line in lines:
        piece.append(line)
        held += len(line)
        if held >= BYTES_AT_ONCE or len(piece) >= OTHERS_AT_ONCE:
            yield tuple(piece)
            piece, held = [], 0
    if piece:
        yield tuple(piece)


def encode_others_request(speaker: m.Speaker, request: h.OthersRequest) -> bytes:
    """Serialize the question what a node has of a domain."""
    last = cursor_out(request.last) if request.last is not None else None
    return pb.OthersRequest(speaker=speaker_out(speaker), domain=request.domain, last=last).SerializeToString()


def decode_others_request(data: bytes) -> tuple[m.Speaker, h.OthersRequest]:
    """Parse and check it. Like every decoding here it raises PeerProtocolError (MALFORMED)."""
    found = parsed(pb.OthersRequest, data)
    last = cursor_in(found.last) if found.HasField("last") else None
    return speaker_in(found), h.OthersRequest(checked_name(found.domain, "a domain"), last)


def encode_others(speaker: m.Speaker, event: h.OthersPart | m.Refusal) -> bytes:
    """Serialize some of what a node has."""
    out = pb.OthersEvent(speaker=speaker_out(speaker))
    if isinstance(event, m.Refusal):
        out.refused.CopyFrom(refusal_out(event))
        return out.SerializeToString()
    if event.head is not None:
        head = cursor_out(event.head.head)  # type: ignore[arg-type]  # a head has what a cursor has
        out.head.CopyFrom(pb.OthersHead(head=head, by_content=event.head.by_content, entries=event.head.entries))
    for other in event.others:
        out.others.add(entry=change_out(Change(0, other.entry.path, other.entry)), changed=other.changed)
    out.end = event.end
    return out.SerializeToString()


def decode_others(data: bytes) -> tuple[m.Speaker, h.OthersPart | m.Refusal]:
    """Parse and check some of what a node has; that it comes in order is for whoever takes it."""
    found = parsed(pb.OthersEvent, data)
    speaker = speaker_in(found)
    if found.HasField("refused"):
        return speaker, refusal_in(found.refused)
    head = None
    if found.HasField("head"):
        entries = found.head.entries
        if entries > MAXIMUM_NUMBER:
            raise PeerProtocolError("the peer has more entries than can be")
        head = h.OthersHead(Head(*cursor_in(found.head.head)), found.head.by_content, entries)
    if len(found.others) > OTHERS_MAX:
        raise PeerProtocolError("the peer sent more entries in one message than are taken")
    return speaker, h.OthersPart(head, tuple(_other(other) for other in found.others), found.end)


def encode_compare_request(speaker: m.Speaker, wishes: h.Wishes) -> bytes:
    """Serialize the question what would become of a node's changes."""
    document = encode_document(wishes.wishes, PARAMETERS_MAX, "what is wished for")
    return pb.CompareRequest(speaker=speaker_out(speaker), wishes_json=document).SerializeToString()


def decode_compare_request(data: bytes) -> tuple[m.Speaker, h.Wishes]:
    """Parse and check it."""
    found = parsed(pb.CompareRequest, data)
    return speaker_in(found), h.Wishes(document_in(found.wishes_json, PARAMETERS_MAX))


def encode_compared(speaker: m.Speaker, event: m.Progress | h.PlanLines | m.Refusal) -> bytes:
    """Serialize some of a plan."""
    out = pb.CompareEvent(speaker=speaker_out(speaker))
    match event:
        case m.Refusal():
            out.refused.CopyFrom(refusal_out(event))
        case m.Progress():
            out.progress.CopyFrom(pb.Progress(text=sentence_out(event.text), done=event.done, total=event.total))
        case h.PlanLines():
            out.lines.extend(event.lines)
            out.end = event.end
    return out.SerializeToString()


def decode_compared(data: bytes) -> tuple[m.Speaker, m.Progress | h.PlanLines | m.Refusal]:
    """Parse and check some of a plan; what its lines say is for plan_file.py."""
    found = parsed(pb.CompareEvent, data)
    speaker = speaker_in(found)
    if found.HasField("refused"):
        return speaker, refusal_in(found.refused)
    if found.HasField("progress"):
        told = found.progress
        return speaker, m.Progress(sentence_in(told.text), told.done, told.total)
    lines: Sequence[str] = found.lines
    if len(lines) > LINES_MAX:
        raise PeerProtocolError("the peer sent more lines in one message than are taken")
    return speaker, h.PlanLines(tuple(lines), found.end)


def encode_begin(speaker: m.Speaker, wish: h.BeginWish) -> bytes:
    """Serialize the wish that a node leads a procedure."""
    document = encode_document(wish.parameters, PARAMETERS_MAX, "what the procedure was given")
    request = pb.BeginRequest(speaker=speaker_out(speaker), kind=wish.kind, parameters_json=document)
    return request.SerializeToString()


def decode_begin(data: bytes) -> tuple[m.Speaker, h.BeginWish]:
    """Parse and check it."""
    found = parsed(pb.BeginRequest, data)
    return speaker_in(found), h.BeginWish(name_in(found.kind), document_in(found.parameters_json, PARAMETERS_MAX))


def encode_begun(speaker: m.Speaker, answer: h.Begun | m.Refusal) -> bytes:
    """Serialize the answer to it."""
    out = pb.BeginAnswer(speaker=speaker_out(speaker))
    if isinstance(answer, m.Refusal):
        out.refused.CopyFrom(refusal_out(answer))
    else:
        out.procedure = answer.procedure
    return out.SerializeToString()


def decode_begun(data: bytes) -> tuple[m.Speaker, h.Begun | m.Refusal]:
    """Parse and check the answer."""
    found = parsed(pb.BeginAnswer, data)
    if found.HasField("refused"):
        return speaker_in(found), refusal_in(found.refused)
    return speaker_in(found), h.Begun(id_in(found.procedure))


def _other(found: pb.Other) -> Other:
    change = change_in(found.entry)
    if change.entry is None:
        raise PeerProtocolError("the peer sent a deletion among what it has")
    if change.entry.origin and change.entry.kind is not Kind.FILE:
        raise PeerProtocolError("the peer sent an origin of what is no file")
    return Other(change.entry, found.changed)
