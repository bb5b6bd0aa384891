"""Shows what a mapping makes of one file: each replacement with its line, and the difference as a unified diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syncer.substitution.encoding import MARK, Kind, kind_of, narrow
from syncer.substitution.mapping import Mapping
from syncer.substitution.rewrite import Renderer, Replacement, Report
from syncer.substitution.scanner import unended_begin

CONTEXT = 3
"""Lines around a change."""
LONGEST_HUNK = 200
"""Lines; so that what is shown can be cut off."""


class Replaced(NamedTuple):
    """One address or name that became another."""

    line: int
    """From 1."""
    before: str
    after: str


class Preview(NamedTuple):
    """What a mapping made of a file."""

    rendered: bytes
    report: Report
    replaced: tuple[Replaced, ...]
    unended_line: int
    """From which on all is left alone, since a certificate or key begins there and never ends; 0: none does."""


def preview(data: bytes, mapping: Mapping) -> Preview:
    """Render the whole file `data`; raises UndoTooLargeError."""
    places: list[Replacement] = []
    renderer = Renderer(mapping, places.append)
    ready = renderer.feed(data)
    rest, report = renderer.finish()
    rendered = ready + rest
    return Preview(rendered, report, tuple(_replaced(data, rendered, places)), _unended_line(data))


def decoded(data: bytes) -> tuple[str, str]:
    """Return a text file's text and the name of its encoding; what cannot be decoded is shown as latin-1."""
    kind = kind_of(data)
    if kind.wide:
        return data.decode("utf-16", "replace"), "UTF-16"
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def unified(before: bytes, after: bytes, labels: tuple[str, str], most: int) -> Iterator[str]:
    """Yield the lines of a unified diff of a text file and what substitution made of it, `most` at most.

    Each line became one line, so that nothing need be searched: it takes as long as reading the file.
    """
    old, new = (decoded(data)[0].split("\n") for data in (before, after))
    changed = [number for number, (ours, theirs) in enumerate(zip(old, new, strict=True)) if ours != theirs]
    if not changed:
        return
    yield f"--- {labels[0]}"
    yield f"+++ {labels[1]}"
    lines = 2
    for hunk in _hunks(changed, len(old)):
        if lines >= most:
            yield f"… and {sum(number >= hunk.start for number in changed)} more changed lines"
            return
        for line in _written(old, new, hunk):
            yield line
            lines += 1


def _hunks(changed: Sequence[int], size: int) -> Iterator[range]:
    """Yield ranges of lines around what changed, of which none overlaps the one before."""
    begin, start, end = 0, changed[0], changed[0]
    for number in changed[1:]:
        if number - end > 2 * CONTEXT or number - start >= LONGEST_HUNK:
            stop = min(end + CONTEXT + 1, number)
            yield range(max(begin, start - CONTEXT), stop)
            begin, start = stop, number
        end = number
    yield range(max(begin, start - CONTEXT), min(size, end + CONTEXT + 1))


def _written(old: list[str], new: list[str], hunk: range) -> Iterator[str]:
    last = len(old) - 1
    # What follows the last line end is no line where it is empty.
    rows = [number for number in hunk if number != last or old[last]]
    yield f"@@ -{hunk.start + 1},{len(rows)} +{hunk.start + 1},{len(rows)} @@"
    removed: list[str] = []
    added: list[str] = []
    for number in rows:
        ending = ["\\ No newline at end of file"] if number == last else []
        if old[number] == new[number]:
            yield from (*removed, *added, f" {old[number]}", *ending)
            removed, added = [], []
        else:
            removed += [f"-{old[number]}", *ending]
            added += [f"+{new[number]}", *ending]
    yield from (*removed, *added)


def _unended_line(data: bytes) -> int:
    kind = kind_of(data)
    if kind is Kind.BINARY:
        return 0
    text = narrow(data[MARK : len(data) & ~1], kind) if kind.wide else data
    begin = unended_begin(text)
    return 0 if begin is None else text.count(b"\n", 0, begin) + 1


def _replaced(data: bytes, rendered: bytes, places: Sequence[Replacement]) -> Iterator[Replaced]:
    if not places:
        return
    kind = kind_of(data)
    units = narrow(data[MARK : len(data) & ~1], kind) if kind.wide else data
    line, counted = 1, 0
    for place in places:
        at = (place.offset - MARK) // 2 if kind.wide else place.offset
        line += units.count(b"\n", counted, at)
        counted = at
        yield Replaced(
            line,
            _text(data, place.offset, place.length, kind),
            _text(rendered, place.rendered_offset, place.rendered_length, kind),
        )


def _text(data: bytes, start: int, length: int, kind: Kind) -> str:
    piece = data[start : start + length]
    if kind.wide:
        return piece.decode("utf-16-le" if kind is Kind.LITTLE else "utf-16-be")
    return piece.decode("ascii")
