"""How old the oldest change is that a target has not acknowledged; on a monotonic clock, so that no clock's jump shows.

Each look notes where the head stands. What the target has acknowledged falls off the front; the front's age is the
lag, to the second. Pure: the caller brings the time.
"""

from __future__ import annotations

from syncer.model import Head

GRAIN_SECONDS = 0.5
"""Heads seen within this time are one: their age is that of the first."""
MOST = 240
"""Heads remembered; beyond it neighbours become one, so that a long outage costs no more."""


class Lag:
    """The heads of one stream's index that are not acknowledged yet, oldest first."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._index_id = ""
        self._seen: list[tuple[float, int]] = []
        self.is_whole = False
        """Whether it is the age itself: what was missing before the start counts from the start, so it is more then."""

    def seconds(self, head: Head, acknowledged: int | None, now: float, *, reached: bool) -> float:
        """Note `head` at `now` (monotonic seconds) and return the age of the oldest change that is missing there.

        `acknowledged` is the seq up to which the target has all, None where that is not known; `reached`: it has all.
        """
        if head.index_id != self._index_id:
            self._index_id, self._seen = head.index_id, []
        if reached:
            self._seen.clear()
            self.is_whole = True
            return 0.0
        if acknowledged is not None:
            while self._seen and self._seen[0][1] <= acknowledged:
                self._seen.pop(0)
                self.is_whole = True
        if not self._seen or head.seq > self._seen[-1][1]:
            self._note(head.seq, now)
        return now - self._seen[0][0]

    def _note(self, seq: int, now: float) -> None:
        if self._seen and now - self._seen[-1][0] < GRAIN_SECONDS:
            self._seen[-1] = (self._seen[-1][0], seq)
            return
        self._seen.append((now, seq))
        if len(self._seen) > MOST:
            # The newest stays alone: it may still grow.
            pairs = zip(self._seen[:-1:2], self._seen[1:-1:2], strict=True)
            self._seen = [*((older[0], newer[1]) for older, newer in pairs), self._seen[-1]]
