"""Inverts a rendering while it is made, and writes down where the inverse mapping alone would not lead back."""

from __future__ import annotations

from collections import deque

from syncer.substitution.matcher import Matcher
from syncer.substitution.scanner import OVERLAP, Scanner, Span
from syncer.substitution.undo import Patch, UndoWriter


class Reversal:
    """Compares what the inverse mapping would put back with what has been replaced."""

    def __init__(self, inverse: Matcher) -> None:
        self._scanner = Scanner(inverse)
        self._wanted: deque[Span] = deque()
        self._found: deque[Span] = deque()
        self.undo = UndoWriter()

    def advance(self, rendered: bytes, replaced: list[Span], *, final: bool, clean: bool) -> None:
        """Go on with rendered text, and the ways back from it (image to source, placed in the rendered text).

        `clean` says that no literal stands in `rendered`, so that only its joint with the text before is searched.
        """
        scanner = self._scanner
        scanner.extend(rendered)
        scan = len(scanner.buffer) - len(rendered) + OVERLAP if clean else None
        found = scanner.settle(final=final, scan=scan)
        if found == replaced and not self._wanted and not self._found:
            return
        self._found.extend(found)
        self._wanted.extend(replaced)
        self._compare(scanner.done)

    def _compare(self, decided: int) -> None:
        wanted, found = self._wanted, self._found
        while wanted or found:
            if wanted and found and wanted[0] == found[0]:
                wanted.popleft()
                found.popleft()
                continue
            start, end, ours, theirs = _cluster(wanted, found)
            # What is not decided yet could still be found to overlap.
            if end > decided:
                return
            self.undo.add(_patch(start, end, ours, theirs))
            for _ in ours:
                wanted.popleft()
            for _ in theirs:
                found.popleft()


def _cluster(wanted: deque[Span], found: deque[Span]) -> tuple[int, int, list[Span], list[Span]]:
    """Return the first spans of both that overlap, directly or through others."""
    start = min(spans[0].start for spans in (wanted, found) if spans)
    end = start + 1
    ours: list[Span] = []
    theirs: list[Span] = []
    grown = True
    while grown:
        grown = False
        for spans, taken in ((wanted, ours), (found, theirs)):
            while len(taken) < len(spans) and spans[len(taken)].start < end:
                span = spans[len(taken)]
                taken.append(span)
                end = max(end, span.start + len(span.text))
                grown = True
    return start, end, ours, theirs


def _patch(start: int, end: int, wanted: list[Span], found: list[Span]) -> Patch:
    text = bytearray(end - start)
    for span in (*wanted, *found):
        text[span.start - start : span.start - start + len(span.text)] = span.text
    original, position = bytearray(), 0
    for span in wanted:
        original += text[position : span.start - start] + span.image
        position = span.start - start + len(span.text)
    original += text[position:]
    return Patch(start, end - start, bytes(original))
