"""What happens on one stream, as events: attempts that failed or arrived, suspensions, problems of the target.

Partial synchronizations that arrive are summed up for a minute: a busy target makes one event a minute, not
hundreds a second.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from syncer.errors import SyncerError
from syncer.events.problems import ProblemChanges, StandingProblems
from syncer.model import EventValue, Problem, RecordEvent
from syncer.observations import UNOBSERVED, Observations
from syncer.replicate.causes import cause_of, word_of
from syncer.replicate.failures import FailureClass, class_of_error, class_of_reason
from syncer.replicate.messages import Ack, Reject
from syncer.replicate.progress import Decision, Phase, Step

SUMMED_SECONDS = 60.0
_SETTLED = Decision(Step.WAIT, Phase.STREAMING)
"""Nothing is left to send, and nothing is wrong."""


class _Sum(NamedTuple):
    """Partial synchronizations of one minute."""

    changes: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Outcomes:
    """Raises the events of one target and domain; used on the event loop."""

    def __init__(
        self,
        target: str,
        domain: str,
        record: RecordEvent,
        observations: Observations = UNOBSERVED,
        standing: StandingProblems | None = None,
    ) -> None:
        """Raise through `record`, which must not block, and have everything counted by `observations`.

        `standing`: which problems have been raised.
        """
        self._where = {"target": target, "domain": domain}
        self._record = record
        self._observations = observations
        self._sum: _Sum | None = None
        self._due: asyncio.TimerHandle | None = None
        self._suspended = ""
        self._continued = False
        self._by_person = False
        self._failed = False
        self._unsettled = True
        self._failures = 0
        self._forgiven = 0
        self._problems = ProblemChanges(target, domain, record, standing)

    def lost(self, failure: SyncerError, failures: int, *, full: bool) -> None:
        """The target was not reached, or ended the session; `failures` in a row with this one."""
        self._observations.failed(self._where["target"], self._where["domain"], cause_of(failure))
        self._attempt_failed(str(failure), failures, class_of_error(failure), full=full)

    def rejected(self, reject: Reject, failures: int, *, full: bool) -> None:
        """A transaction was rejected; `failures` in a row with this one."""
        self._observations.rejected(self._where["target"], self._where["domain"], word_of(reject.reason), full=full)
        self._attempt_failed(reject.message, failures, class_of_reason(reject.reason), full=full)

    def _attempt_failed(self, error: str, failures: int, kind: FailureClass, *, full: bool) -> None:
        """An attempt failed; `failures` in a row with this one."""
        # They are counted since the last acknowledgement; but a target that had everything was in order, too.
        if failures < self._failures or failures <= self._forgiven:
            self._forgiven = 0
        self._failures = failures
        self._synchronized(_Sum(), full=full, error=error, kind=kind.value, failures=failures - self._forgiven)

    def arrived(self, ack: Ack, *, full: bool) -> None:
        """A transaction was acknowledged."""
        self._observations.acknowledged(
            self._where["target"],
            self._where["domain"],
            full=full,
            changes=ack.changes,
            sent_bytes=ack.bytes,
            seconds=ack.seconds,
        )
        if full:
            self._synchronized(_Sum(ack.changes, ack.bytes, ack.seconds), full=True)
        else:
            before = self._sum or _Sum()
            self._sum = _Sum(before.changes + ack.changes, before.bytes + ack.bytes, before.seconds + ack.seconds)
            if self._failed:
                # Who was told of the failure waits for this.
                self.end_minute()
            elif self._due is None:
                self._due = asyncio.get_running_loop().call_later(SUMMED_SECONDS, self.end_minute)
        self._goes_on()
        self.has_problems(ack.problems)

    def has_problems(self, problems: tuple[Problem, ...]) -> None:
        """The target said which paths it cannot hold."""
        self._problems.now(problems)

    def continued(self) -> None:
        """A person has it tried again: should it be suspended once more, for whatever reason, that is news."""
        self._continued = True

    def decided(self, decision: Decision, *, retrying: bool = False, by_person: bool = False) -> None:
        """The stream goes on like this; raises an event where that begins or ends a suspension.

        `retrying`: it only waits to try again, which is none; `by_person`: `syncer suspend` stops it.
        """
        if retrying:
            return
        if decision.phase is Phase.SUSPENDED:
            if decision.reason != self._suspended or self._continued:
                self._suspended, self._continued, self._by_person = decision.reason, False, by_person
                self._record("target.suspended", self._suspension())
        # Neither a connection nor what is about to be tried ends a suspension: the attempt may fail like those before.
        elif decision.step is Step.WAIT and decision.phase is Phase.STREAMING:
            self._goes_on()
        if self._unsettled and decision == _SETTLED:
            self._settled()

    def end_minute(self) -> None:
        """Raise the sum of what arrived; at the end of a minute, or of the stream."""
        if self._due is not None:
            self._due.cancel()
        found, self._sum, self._due = self._sum, None, None
        if found is not None:
            self._synchronized(found, full=False)

    def _goes_on(self) -> None:
        """Something has arrived, or nothing is left to send: what had suspended it is over."""
        if self._suspended:
            self._record("target.resumed", self._suspension())
            self._suspended = ""
        self._continued = False

    def _suspension(self) -> dict[str, EventValue]:
        return {**self._where, "reason": self._suspended, "by_person": self._by_person}

    def _settled(self) -> None:
        """The target has everything, for the first time since the start or a failure: nothing need have been sent."""
        self._forgiven = self._failures
        if self._sum is not None:
            self.end_minute()
        else:
            self._synchronized(_Sum(), full=False)

    def _synchronized(self, found: _Sum, *, full: bool, error: str = "", kind: str = "", failures: int = 0) -> None:
        self._failed = self._unsettled = bool(error)
        self._record(
            "sync",
            {
                **self._where,
                **found._asdict(),
                "success": not error,
                "kind": "full" if full else "partial",
                "error": error,
                "error_class": kind,
                "consecutive_failures": failures,
            },
        )
