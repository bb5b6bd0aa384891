"""The undo record: what the inverse mapping alone would not bring back, as places and original text.

One byte of flags, then for each place the distance from the end of the previous one, its length in the rendered text,
the length of the original, and the original; numbers as in protobuf, seven bits a byte. Places count units of text,
of two bytes each in UTF-16. The originals are ASCII.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from syncer.errors import UndoError, UndoTooLargeError
from syncer.origin import UNDO_LIMIT

_PLAIN_LIMIT = 16 * UNDO_LIMIT
"""Bytes of a record before compression."""
_LONGEST_NUMBER = 10

_COMPRESSED = 0b01
_IS_TEXT = 0b10
_FLAGS = _COMPRESSED | _IS_TEXT


class Patch(NamedTuple):
    """A place of the rendered text, in units, and what stood there."""

    start: int
    length: int
    original: bytes


class UndoWriter:
    """Collects patches in order and encodes them."""

    def __init__(self) -> None:
        self._plain = bytearray()
        self._end = 0
        self._too_large = False

    def add(self, patch: Patch) -> None:
        """Add a patch that starts where the previous one ended or later."""
        if self._too_large:
            return
        for number in (patch.start - self._end, patch.length, len(patch.original)):
            _write_number(self._plain, number)
        self._plain += patch.original
        self._end = patch.start + patch.length
        if len(self._plain) > _PLAIN_LIMIT:
            self._too_large = True
            self._plain.clear()

    def encode(self, *, is_text: bool) -> bytes:
        """Return the record, nothing where nothing needs to be said.

        `is_text` says that the rendered file is text although it looks binary. Raises UndoTooLargeError.
        """
        if not self._too_large:
            flags, body = _IS_TEXT if is_text else 0, bytes(self._plain)
            if not body and not flags:
                return b""
            packed = zlib.compress(body)
            if len(packed) < len(body):
                flags, body = flags | _COMPRESSED, packed
            if len(body) < UNDO_LIMIT:
                return bytes([flags]) + body
        raise UndoTooLargeError(
            f"more than {UNDO_LIMIT // 1024} KiB would be needed to restore this file after its rendering: "
            "leave the file out of the rules, or write its addresses in their usual form"
        )


class UndoRecord:
    """A record that came from elsewhere: every number in it is checked as it is read."""

    def __init__(self, record: bytes) -> None:
        """Open `record`; raises UndoError where it is none."""
        self.is_text = False
        self._plain = b""
        if not record:
            return
        if record[0] & ~_FLAGS or len(record) > UNDO_LIMIT:
            raise UndoError("the undo record is larger or newer than this version of syncer allows")
        self.is_text = bool(record[0] & _IS_TEXT)
        self._plain = _unpack(record[1:]) if record[0] & _COMPRESSED else record[1:]

    def patches(self) -> Iterator[Patch]:
        """Yield the patches in order; raises UndoError at the first that is not whole."""
        plain, position, end = self._plain, 0, 0
        while position < len(plain):
            gap, position = _read_number(plain, position)
            length, position = _read_number(plain, position)
            size, position = _read_number(plain, position)
            if not length or position + size > len(plain):
                raise UndoError("the undo record is damaged: a place in it has no end")
            yield Patch(end + gap, length, plain[position : position + size])
            position += size
            end += gap + length


def _unpack(body: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(body, _PLAIN_LIMIT + 1)
    except zlib.error as error:
        raise UndoError(f"the undo record is damaged: {error}") from error
    if len(plain) > _PLAIN_LIMIT or not reader.eof or reader.unused_data:
        raise UndoError("the undo record is damaged: it does not end where it should, or is far too large")
    return plain


def _write_number(plain: bytearray, number: int) -> None:
    while number > 0x7F:
        plain.append(number & 0x7F | 0x80)
        number >>= 7
    plain.append(number)


def _read_number(plain: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(plain[position : position + _LONGEST_NUMBER]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise UndoError("the undo record is damaged: a number in it has no end")
