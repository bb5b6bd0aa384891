"""Reads a file as units of text for a scanner, and gives the bytes of decided units back as they were."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.substitution.encoding import HEAD, MARK, Kind, kind_of, narrow, widen
from syncer.substitution.scanner import Scanner

BLOCK = 64 * 1024
"""Bytes that are worked on at once, whatever a caller feeds; even, so that units of UTF-16 stay whole."""


class Head:
    """Holds the first bytes of a file until they say what kind it is."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> bytes | None:
        """Add a piece; return all that was held once it is enough."""
        self._pieces.append(piece)
        self._size += len(piece)
        return self.rest() if self._size >= HEAD else None

    def rest(self) -> bytes:
        """Return all that is held: the whole file, where it ends before it is enough."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class Passage:
    """The way of one file's bytes through a scanner."""

    __slots__ = ("_marked", "_odd", "_raw", "_raw_from", "at", "kind", "scanner", "wide")

    def __init__(self, scanner: Scanner, head: bytes, *, is_text: bool = False) -> None:
        """Read on from `head`, which is still to be fed; `is_text` says so of a file that looks binary."""
        kind = kind_of(head)
        self.kind = Kind.BYTES if is_text and kind is Kind.BINARY else kind
        self.wide = self.kind.wide
        self.scanner = scanner
        self.at = 0
        """Units that were taken or skipped."""
        self._marked = self.wide
        self._odd = b""
        self._raw = b""
        self._raw_from = 0
        """The unit that `_raw` begins with: not after `at` as long as there are bytes."""

    @property
    def width(self) -> int:
        """Bytes of a unit."""
        return 2 if self.wide else 1

    def offset(self, unit: int) -> int:
        """Return where in the file's bytes a unit stands."""
        return MARK + 2 * unit if self.wide else unit

    def blocks(self, piece: bytes) -> Iterator[bytes]:
        """Yield `piece` in blocks: what fits the processor's cache is also fastest."""
        if len(piece) <= BLOCK:
            yield piece
            return
        for start in range(0, len(piece), BLOCK):
            yield piece[start : start + BLOCK]

    def extend(self, block: bytes) -> bytes:
        """Give a block to the scanner; return the mark, once, where the file begins with one."""
        if not self.wide:
            self.scanner.extend(block)
            return b""
        mark, block = (block[:MARK], block[MARK:]) if self._marked else (b"", block)
        self._marked = False
        block = self._odd + block
        whole = len(block) & ~1
        self._odd, block = block[whole:], block[:whole]
        gone = min(2 * (self.at - self._raw_from), len(self._raw))
        self._raw = self._raw[gone:] + block
        self._raw_from += gone // 2
        self.scanner.extend(narrow(block, self.kind))
        return mark

    def take(self, end: int) -> bytes:
        """Return the bytes of the units up to `end`, and go there; nothing where it lies behind."""
        if end <= self.at:
            return b""
        if not self.wide:
            start, self.at = self.at, end
            return self.scanner.cut(start, end)
        taken = self._raw[2 * (self.at - self._raw_from) : 2 * (end - self._raw_from)]
        self.at = end
        return taken

    def replace(self, length: int, text: bytes) -> bytes:
        """Go over `length` units; return `text` as it is written in this file."""
        self.at += length
        return widen(text, self.kind) if self.wide else text

    def ending(self) -> bytes:
        """Return half a unit that ended the file."""
        return self._odd
