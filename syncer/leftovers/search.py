"""Searches one file for production's addresses that no rule has made, piece by piece, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from syncer.leftovers.certificates import Block, Blocks, names_in
from syncer.leftovers.needles import Needles
from syncer.substitution.finder import Finder, Found
from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import Renderer, Replacement, concerns

WHOLE = 1 << 20
"""Bytes up to which a file is looked at as a whole first, to pass over what holds nothing."""

UNDECIDED = 64 * 1024
"""Bytes behind which the finder has surely decided."""


class Hit(NamedTuple):
    """One address that stands."""

    line: int
    """From 1; 0: a binary file, or the name of a file."""
    text: str
    """As it is spelled."""
    address: str
    """In its usual form."""
    where: str
    """"text", "binary", "certificate" (between the lines around a certificate or key), "name" or "link"."""


def hits(needles: Needles, pieces: Iterable[bytes], mapping: Mapping | None = None) -> Iterator[Hit]:
    """Yield what stands in a file; with `mapping` in what it makes of the file, without what it put there itself.

    Raises what `pieces` raises, and UndoTooLargeError.
    """
    source = iter(pieces)
    held: list[bytes] = []
    size = 0
    for piece in source:
        held.append(piece)
        size += len(piece)
        if size > WHOLE:
            break
    else:
        data = b"".join(held)
        if concerns(data, needles.mapping):
            yield from _Search(needles, mapping).all((data,))
        return
    yield from _Search(needles, mapping).all(_chained(held, source))


def hits_in_name(needles: Needles, name: bytes, where: str) -> list[Hit]:
    """Return what stands in a file's name, or in where a link leads: no rule ever changes those."""
    if not concerns(name, needles.mapping):
        return []
    finder = needles.finder()
    found = [*finder.feed(name), *finder.finish()]
    return [Hit(0, item.text, item.address, where) for item in found]


class _Search:
    """One file on its way through rendering and search."""

    def __init__(self, needles: Needles, mapping: Mapping | None) -> None:
        self._needles = needles
        self._made: deque[tuple[int, int]] = deque()
        self._renderer = None if mapping is None else Renderer(mapping, self._note)
        self._finder = needles.finder()
        self._blocks = Blocks()
        self._size = 0

    def all(self, pieces: Iterable[bytes]) -> Iterator[Hit]:
        for piece in pieces:
            yield from self._seen(piece if self._renderer is None else self._renderer.feed(piece))
        if self._renderer is not None:
            yield from self._seen(self._renderer.finish()[0])
        yield from self._standing(self._finder.finish())

    def _seen(self, ready: bytes) -> Iterator[Hit]:
        yield from self._standing(self._finder.feed(ready))
        yield from self._named(self._blocks.feed(ready))
        self._size += len(ready)
        # What was made long ago cannot be found any more: a file full of addresses must not fill the memory.
        while self._made and self._made[0][1] <= self._size - UNDECIDED:
            self._made.popleft()

    def _note(self, replacement: Replacement) -> None:
        self._made.append((replacement.rendered_offset, replacement.rendered_offset + replacement.rendered_length))

    def _standing(self, found: list[Found]) -> Iterator[Hit]:
        """Yield what was found without what a rule has put there: an address that is exchanged stands on purpose."""
        for item in found:
            while self._made and self._made[0][1] <= item.offset:
                self._made.popleft()
            if not (self._made and self._made[0][0] <= item.offset):
                where = "certificate" if item.enclosed else "text" if item.line else "binary"
                yield Hit(item.line, item.text, item.address, where)

    def _named(self, blocks: Iterable[Block]) -> Iterator[Hit]:
        for block in blocks:
            for name in names_in(block):
                yield from (hit._replace(line=block.line, where="certificate") for hit in _in(self._needles, name))


def _in(needles: Needles, name: str) -> list[Hit]:
    finder: Finder = needles.finder()
    data = name.removeprefix("*.").encode("utf-8", "replace")
    return [Hit(0, item.text, item.address, "") for item in (*finder.feed(data), *finder.finish())]


def _chained(held: list[bytes], source: Iterator[bytes]) -> Iterator[bytes]:
    yield from held
    yield from source
