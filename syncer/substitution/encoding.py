"""Says what kind of text a file is, and shows UTF-16 to the search for tokens as one byte a unit."""

from __future__ import annotations

import sys
from array import array
from enum import IntEnum

HEAD = 8000
"""Bytes in which a zero byte makes a file binary, as for git."""
MARK = 2
"""Bytes of the mark in front of UTF-16."""

_BOUNDARY, _LETTER = 0x01, 0xFF
# One byte for each unit: ASCII stays, what is like a blank or a quote becomes a control character, the rest a letter.
_PUNCTUATION = (range(0x80, 0xC0), range(0x2000, 0x2070), range(0x3000, 0x3040), (0xFEFF,))
_UNITS = bytearray(range(0x80)) + bytes([_LETTER]) * (0x10000 - 0x80)
for _part in _PUNCTUATION:
    for _unit in _part:
        _UNITS[_unit] = _BOUNDARY
_NARROW = bytes(_UNITS[:256])


class Kind(IntEnum):
    """How a file is read; written into undo records."""

    BINARY = 0
    BYTES = 1
    """One byte a character where it matters: UTF-8, latin-1 and whatever else contains ASCII."""
    LITTLE = 2
    BIG = 3

    @property
    def wide(self) -> bool:
        """Whether a unit has two bytes and a mark stands in front."""
        return self in (Kind.LITTLE, Kind.BIG)


def kind_of(head: bytes) -> Kind:
    """Return how a file is read, from its first `HEAD` bytes, or all where it has fewer."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return Kind.BINARY
    if head.startswith(b"\xff\xfe"):
        return Kind.LITTLE
    if head.startswith(b"\xfe\xff"):
        return Kind.BIG
    return Kind.BINARY if b"\0" in head[:HEAD] else Kind.BYTES


def narrow(data: bytes, kind: Kind) -> bytes:
    """Return one byte for each unit of UTF-16; `data` has whole units and no mark."""
    low, high = (data[0::2], data[1::2]) if kind is Kind.LITTLE else (data[1::2], data[0::2])
    if not high.strip(b"\0"):
        return low.translate(_NARROW)
    units = array("H", data)
    if (kind is Kind.LITTLE) != (sys.byteorder == "little"):
        units.byteswap()
    return bytes(map(_UNITS.__getitem__, units))


def widen(text: bytes, kind: Kind) -> bytes:
    """Return ASCII as UTF-16."""
    wide = bytearray(2 * len(text))
    wide[0 if kind is Kind.LITTLE else 1 :: 2] = text
    return bytes(wide)
