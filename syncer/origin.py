"""What production has where substitution made other bytes of it: one byte string that travels with the entry (pure)."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

from syncer.model import DIGEST_SIZE

UNDO_LIMIT = 256 * 1024
"""Bytes of an undo record; a file that needs a larger one is not rendered, and becomes a problem."""

_FORMAT = 1
_WITH_REDO = 2
"""An undo record with its length before it, and behind it what rendering anew would need."""
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(f">B{DIGEST_SIZE}s{DIGEST_SIZE}sQ")
BARE_SIZE = _HEAD.size
"""Bytes of an encoded origin that has no record at all: the rules alone lead both ways."""


class Origin(NamedTuple):
    """Where the bytes of a file on failover come from, so that they can go home."""

    rules: bytes
    """Hash of the rule set that rendered them."""
    digest: bytes
    """blake3 of production's bytes."""
    size: int
    """Of production's file, in bytes."""
    undo: bytes = b""
    """What the inverse rules cannot know by themselves, see substitution/undo.py."""
    redo: bytes = b""
    """What rendering production's bytes by the rules lacks of these bytes: a record as `undo`, the other way.

    b"" for all that was rendered: it would become the same once more. What was restored may need it.
    """

    def encode(self) -> bytes:
        """Return it as `decode` takes it."""
        if not self.redo:
            return _HEAD.pack(_FORMAT, self.rules, self.digest, self.size) + self.undo
        head = _HEAD.pack(_WITH_REDO, self.rules, self.digest, self.size)
        return b"".join((head, _LENGTH.pack(len(self.undo)), self.undo, self.redo))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what `encode` made; ValueError, a clause for "the path …", for anything else."""
        if len(data) < _HEAD.size or data[0] not in (_FORMAT, _WITH_REDO):
            raise ValueError("has an origin that is cut off or of another version")
        undo, redo = data[_HEAD.size :], b""
        if data[0] == _WITH_REDO:
            undo, redo = _split(undo)
        if max(len(undo), len(redo)) > UNDO_LIMIT:
            raise ValueError(f"has an undo record of more than {UNDO_LIMIT // 1024} KiB")
        _, rules, digest, size = _HEAD.unpack_from(data)
        if size >= 1 << 63:
            raise ValueError("has an origin whose size cannot be")
        return cls(rules, digest, size, undo, redo)


def _split(records: bytes) -> tuple[bytes, bytes]:
    if len(records) < _LENGTH.size:
        raise ValueError("has an origin that is cut off or of another version")
    middle = _LENGTH.size + _LENGTH.unpack_from(records)[0]
    undo, redo = records[_LENGTH.size : middle], records[middle:]
    # One form for each value: entries are compared by their bytes.
    if middle > len(records) or not redo:
        raise ValueError("has an origin that is cut off or of another version")
    return undo, redo


def flaw_of(data: bytes) -> str | None:
    """Say why an encoded origin from a peer cannot be, or None where it can (b"" is none at all)."""
    if not data:
        return None
    try:
        Origin.decode(data)
    except ValueError as error:
        return str(error)
    return None


def rules_of(data: bytes) -> bytes:
    """Return the hash of the rules in an encoded origin."""
    return data[1 : 1 + DIGEST_SIZE]


def turned(data: bytes, rules: bytes, digest: bytes, size: int) -> tuple[bytes, int, bytes] | None:
    """Return digest, size and the encoded origin of the other side of a file of `digest` and `size`, under `rules`.

    For the most frequent case alone: None where there are records. `data` is an origin that `encode` made.
    """
    if data[0] != _FORMAT or len(data) != _HEAD.size:
        return None
    _, _, source, source_size = _HEAD.unpack(data)
    return source, source_size, _HEAD.pack(_FORMAT, rules, digest, size)


def source_digest(digest: bytes, origin: bytes) -> bytes:
    """Return the digest of production's bytes of a file with this digest and origin."""
    return origin[1 + DIGEST_SIZE : 1 + 2 * DIGEST_SIZE] if origin else digest
