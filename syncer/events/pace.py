"""Lets things begin at a steady rate, after a few at once."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts what may begin now; used by one thread."""

    def __init__(self, at_once: int, a_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `at_once` after a quiet time, and `a_second` in the long run; `clock` gives monotonic seconds."""
        self._most = float(at_once)
        self._rate = a_second
        self._clock = clock
        self._allowed = self._most
        self._counted = clock()

    def take(self) -> bool:
        """Tell whether one more may begin now; then it counts as begun."""
        if self.wait() > 0.0:
            return False
        self._allowed -= 1.0
        return True

    def wait(self) -> float:
        """Return the seconds until one more may begin."""
        now = self._clock()
        self._allowed = min(self._most, self._allowed + (now - self._counted) * self._rate)
        self._counted = now
        return max(0.0, (1.0 - self._allowed) / self._rate)
