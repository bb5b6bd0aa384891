"""The suspension of one stream by failures: counts them, remembers it in node.db, and says what it means now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from syncer.replicate.failures import FailureClass
from syncer.replicate.streak import (
    FailureSuspension,
    Streak,
    SuspendPolicy,
    after_attempt,
    after_failure,
    handed_over,
    may_attempt,
    remembered,
    sentence,
)
from syncer.state.failure_suspensions import FailureRow, FailureSuspensions


class Failing:
    """What a sender knows of the failures of its target; used on the event loop, but for `keep`."""

    def __init__(
        self,
        target: str,
        domain: str,
        policy: SuspendPolicy,
        kept: FailureSuspensions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take up what `kept` remembers; without it nothing outlives the process."""
        self.policy = policy
        self._place = (target, domain)
        self._kept = kept
        self._clock = clock
        self._wall = wall
        row = kept.read() if kept is not None else None
        before = FailureSuspension(*row) if row is not None else None
        self._streak = remembered(before, policy, clock())
        self._durable = before
        self.reason = self._sentence()
        """Why nothing is sent; "" where failures do not suspend."""

    @property
    def suspension(self) -> FailureSuspension | None:
        """Since when, and after what, nothing is sent; None where failures do not suspend."""
        return self._streak.suspension

    @property
    def probe_at(self) -> float:
        """When the next attempt is due (monotonic seconds); 0.0 where none is waited for."""
        return self._streak.probe_at if self.reason and self.policy.probe else 0.0

    def may_attempt(self) -> bool:
        """Tell whether a transaction may be sent now without a person asking for it."""
        return may_attempt(self._streak, self.policy, self._clock())

    def attempting(self) -> None:
        """A transaction is about to be sent."""
        self._streak = after_attempt(self._streak, self.policy, self._clock())

    def failed(self, kind: FailureClass, error: str) -> None:
        """An attempt failed."""
        self._streak = after_failure(self._streak, self.policy, kind, error, self._clock(), self._wall())
        self.reason = self._sentence()

    def take_over(self, before: Failing) -> None:
        """Go on counting where `before`, of the same stream under an earlier configuration, has stopped."""
        self._streak = handed_over(before._streak, self.policy, self._clock())
        self.reason = self._sentence()

    def ended(self) -> bool:
        """All is well again, or a person says so; tells whether that ends a suspension."""
        was = self._streak.suspension is not None
        if was or self._streak.count:
            self._streak = Streak()
            self.reason = ""
        return was

    def is_kept(self) -> bool:
        """Tell whether node.db says what is in force."""
        return self._durable == self._streak.suspension

    def keep(self) -> None:
        """Make what is in force durable; blocking. Raises StateError."""
        found = self._streak.suspension
        if self._kept is not None:
            self._kept.write(FailureRow(*found) if found is not None else None)
        self._durable = found

    async def kept(self) -> None:
        """Return once node.db says what is in force; before anything else is done. Raises StateError."""
        if not self.is_kept():
            await asyncio.to_thread(self.keep)

    def _sentence(self) -> str:
        return sentence(self._streak, self.policy, *self._place)
