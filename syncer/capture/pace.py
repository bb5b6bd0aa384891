"""How fast a reader may go: a token bucket whose clock is passed in (pure)."""

from __future__ import annotations


class TokenBucket:
    """Lets through `rate` units a second on average, and at most one second's worth at once."""

    def __init__(self, rate: float) -> None:
        """Begin full; `rate` is units a second, greater than 0."""
        self._rate = rate
        self._tokens = rate
        self._at: float | None = None

    def spend(self, units: float, now: float) -> float:
        """Take `units` at `now` (seconds, monotonic) and return the seconds to wait before going on.

        What was taken beyond the bucket is owed: the pause that is returned pays it back.
        """
        if self._at is not None:
            self._tokens = min(self._tokens + (now - self._at) * self._rate, self._rate)
        self._at = now
        self._tokens -= units
        return max(-self._tokens / self._rate, 0.0)
