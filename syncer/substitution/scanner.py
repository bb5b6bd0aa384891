"""Goes through a text piece by piece and decides about each token once, wherever the pieces were cut."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from syncer.substitution.matcher import MARKER, Matcher
from syncer.substitution.tokens import LONGEST_HOST, REACH_AFTER, REACH_BEFORE

# With the dashes behind: without them it is a mention in a comment.
_MARKER = re.compile(rb"-----(?:(?P<begin>BEGIN [A-Z0-9 ]{1,64}-----)|END [^\r\n-]{0,64}-{0,5})")

HELD_BEHIND = LONGEST_HOST + REACH_AFTER
"""Units of text that are not decided about before more is known."""
OVERLAP = LONGEST_HOST
"""No literal is longer: how far one may reach from what was searched into what was not."""

LEAST_PASSED = REACH_BEFORE + HELD_BEHIND
"""Units that must be known to go on behind them."""


def unended_begin(text: bytes) -> int | None:
    """Return where a certificate or key begins in `text` that never ends, so that all behind is taken for it."""
    start = None
    for marker in _MARKER.finditer(text):
        if not marker["begin"]:
            start = None
        elif start is None:
            start = marker.start()
    return start


class Span(NamedTuple):
    """A token that becomes something else; `start` counts units from the start of the text."""

    start: int
    text: bytes
    image: bytes
    enclosed: bool = False
    """Whether it stands in what begins as a certificate or key; only where the scanner tells of those."""


class Scanner:
    """Holds no more than the piece it was given, what stood before it, and what is not decided yet."""

    __slots__ = ("_base", "_matcher", "_protected", "_tells_enclosed", "buffer", "certificates", "done")

    def __init__(self, matcher: Matcher, *, tells_enclosed: bool = False) -> None:
        """Pass over what stands in certificates and keys, unless what is `enclosed` is to be told, too."""
        self._matcher = matcher
        self._tells_enclosed = tells_enclosed
        self._base = 0
        self._protected = False
        self.buffer = b""
        self.done = 0
        """Units from the start of the text that are decided."""
        self.certificates = False
        """Whether a certificate or key was met."""

    @property
    def end(self) -> int:
        """Units that were added so far."""
        return self._base + len(self.buffer)

    def extend(self, piece: bytes) -> None:
        """Add text; what is decided and cannot decide about a later token is dropped, so read it before."""
        surplus = max(0, self.done - self._base - REACH_BEFORE)
        self.buffer = self.buffer[surplus:] + piece
        self._base += surplus

    def pass_over(self, piece: bytes, start: int = 0) -> None:
        """Add `piece` from `start`, `LEAST_PASSED` bytes or more: no literal stands there or in what is undecided."""
        end = self.end + len(piece) - start
        self.done = max(self.done, end - HELD_BEHIND)
        self.buffer = piece[-LEAST_PASSED:]
        self._base = end - LEAST_PASSED

    def cut(self, start: int, end: int) -> bytes:
        """Return the text between two places, counted from its start."""
        return self.buffer[start - self._base : end - self._base]

    def settle(self, *, final: bool) -> list[Span]:
        """Decide about all that is far enough from the end, or all that is left where it is `final`."""
        buffer, base = self.buffer, self._base
        low = self.done - base
        limit = len(buffer) if final else len(buffer) - HELD_BEHIND
        if limit <= low:
            return []
        done = limit
        edges: list[int] = []
        tokens = self._matcher.tokens(buffer, low, limit)
        if self._protected or buffer.find(MARKER, low) >= 0:
            edges, done = self._edges(low, limit)
            # An even number of edges up to a token: it stands outside.
            if not self._tells_enclosed:
                tokens = [token for token in tokens if bisect_right(edges, token[0]) % 2 == 0]
        if tokens:
            done = max(done, tokens[-1][1])
        self.done = base + done
        if edges and self._tells_enclosed:
            return [
                Span(base + start, buffer[start:end], image, bisect_right(edges, start) % 2 == 1)
                for start, end, image in tokens
            ]
        return [Span(base + start, buffer[start:end], image) for start, end, image in tokens]

    def _edges(self, low: int, limit: int) -> tuple[list[int], int]:
        """Return where certificates and keys begin and end, in turn, and up to where that is decided."""
        edges, done = [], limit
        if self._protected:
            edges.append(low)
            self.certificates = True
        for marker in _MARKER.finditer(self.buffer, low):
            if marker.start() >= limit:
                break
            # What a marker consists of is never looked at again, or its dashes could begin another one.
            done = max(limit, marker.end())
            if self._protected != bool(marker["begin"]):
                self._protected = not self._protected
                self.certificates = True
                edges.append(marker.start() if self._protected else marker.end())
        return edges, done
