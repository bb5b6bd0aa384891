"""What happens on one stream, as events: attempts that failed or arrived, suspensions, problems of the target.

Partial synchronizations that arrive are summed up for a minute: a busy target makes one event a minute, not
hundreds a second.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from syncer.errors import Reason, SyncerError
from syncer.events.problems import ProblemChanges
from syncer.model import Problem, RecordEvent
from syncer.replicate.failures import FailureClass, class_of_error
from syncer.replicate.messages import Ack
from syncer.replicate.progress import Decision, Phase

SUMMED_SECONDS = 60.0


class _Sum(NamedTuple):
    """Partial synchronizations of one minute."""

    changes: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Outcomes:
    """Raises the events of one target and domain; used on the event loop."""

    def __init__(self, target: str, domain: str, record: RecordEvent) -> None:
        """Raise through `record`, which must not block."""
        self._where = {"target": target, "domain": domain}
        self._record = record
        self._sum: _Sum | None = None
        self._due: asyncio.TimerHandle | None = None
        self._suspended = ""
        self._problems = ProblemChanges(target, domain, record)

    def lost(self, failure: SyncerError, failures: int, *, full: bool) -> None:
        """The target was not reached, or ended the session; `failures` in a row with this one."""
        if getattr(failure, "reason", None) is Reason.STALE_TERM:
            self._record("term.refused", {"peer": self._where["target"], "reason": str(failure)})
        self.failed(str(failure), failures, class_of_error(failure), full=full)

    def failed(self, error: str, failures: int, kind: FailureClass, *, full: bool) -> None:
        """An attempt failed; `failures` in a row with this one."""
        self._synchronized(_Sum(), full=full, error=error, kind=kind.value, failures=failures)

    def arrived(self, ack: Ack, *, full: bool) -> None:
        """A transaction was acknowledged."""
        if full:
            self._synchronized(_Sum(ack.changes, ack.bytes, ack.seconds), full=True)
        else:
            before = self._sum or _Sum()
            self._sum = _Sum(before.changes + ack.changes, before.bytes + ack.bytes, before.seconds + ack.seconds)
            if self._due is None:
                self._due = asyncio.get_running_loop().call_later(SUMMED_SECONDS, self.end_minute)
        self.has_problems(ack.problems)

    def has_problems(self, problems: tuple[Problem, ...]) -> None:
        """The target said which paths it cannot hold."""
        self._problems.now(problems)

    def decided(self, decision: Decision, *, retrying: bool = False) -> None:
        """The stream goes on like this; raises an event where that begins or ends a suspension.

        `retrying`: it only waits to try again, which is none.
        """
        if retrying:
            return
        if decision.phase is Phase.SUSPENDED:
            if decision.reason != self._suspended:
                self._suspended = decision.reason
                self._record("target.suspended", {**self._where, "reason": decision.reason})
        # A connection that is lost, or is made again, ends no suspension.
        elif self._suspended and decision.phase in (Phase.STREAMING, Phase.FULL):
            self._record("target.resumed", {**self._where, "reason": self._suspended})
            self._suspended = ""

    def end_minute(self) -> None:
        """Raise the sum of what arrived; at the end of a minute, or of the stream."""
        if self._due is not None:
            self._due.cancel()
        found, self._sum, self._due = self._sum, None, None
        if found is not None:
            self._synchronized(found, full=False)

    def _synchronized(self, found: _Sum, *, full: bool, error: str = "", kind: str = "", failures: int = 0) -> None:
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
