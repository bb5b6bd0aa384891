"""Inverts a rendering while it is made, and writes down where the inverse mapping alone would not lead back."""

from __future__ import annotations

from collections import deque

from syncer.substitution.matcher import Matcher
from syncer.substitution.scanner import HELD_BEHIND, LEAST_PASSED, OVERLAP, Scanner, Span
from syncer.substitution.undo import Patch, UndoWriter


class Reversal:
    """Compares what the inverse mapping would put back with what has been replaced."""

    def __init__(self, inverse: Matcher) -> None:
        self._scanner = Scanner(inverse)
        self._wanted: deque[Span] = deque()
        self._found: deque[Span] = deque()
        self.undo = UndoWriter()

    def advance(self, rendered: bytes, replaced: list[Span], *, final: bool) -> None:
        """Go on with rendered text, and the ways back from it (image to source, placed in the rendered text)."""
        self._scanner.extend(rendered)
        found = self._scanner.settle(final=final)
        if found == replaced and not self._wanted and not self._found:
            return
        self._found.extend(found)
        self._wanted.extend(replaced)
        self._compare(self._scanner.done)

    def advance_clean(self, rendered: bytes) -> None:
        """Go on with rendered text in which nothing was replaced and no literal of either direction stands."""
        # A literal may begin in what came before: the joint is looked at, and all that its tokens depend on.
        joint = OVERLAP + HELD_BEHIND
        if len(rendered) < joint + LEAST_PASSED:
            self.advance(rendered, [], final=False)
            return
        self.advance(rendered[:joint], [], final=False)
        self._scanner.pass_over(rendered, joint)
        self._compare(self._scanner.done)

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
