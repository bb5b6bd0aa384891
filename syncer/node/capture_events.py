"""What capture of one domain notices, as events: problems of paths, and watches that do not see everything."""

from __future__ import annotations

from syncer.capture.state import OVERFLOWED, CaptureState
from syncer.capture.tree_capture import PROBLEMS_SHOWN
from syncer.events.problems import ProblemChanges, StandingProblems
from syncer.model import RecordEvent


class CaptureEvents:
    """Compares each state of one capturer with the one before; used on the capturer's thread."""

    def __init__(self, domain: str, record: RecordEvent, standing: StandingProblems | None = None) -> None:
        """Raise through `record`, which must not block; `standing`: which problems have been raised."""
        self._domain = domain
        self._record = record
        self._problems = ProblemChanges("", domain, record, standing)
        self._overflows = 0
        self._degraded = ""
        self._told = ""
        self._scans = 0

    def now(self, state: CaptureState) -> None:
        """Raise what is new in `state`."""
        if state.overflows > self._overflows:
            self._overflows = state.overflows
            self._scans = state.scans
            self._raise_degraded(OVERFLOWED)
        reason = state.reason if state.state == "degraded" and state.reason != OVERFLOWED else ""
        if reason and not self._degraded:
            self._raise_degraded(reason)
        self._degraded = reason
        # An overflow is over once everything was scanned again.
        if self._told and state.state in ("watching", "polling") and state.scans > self._scans:
            self._record("watch.restored", {"domain": self._domain, "reason": self._told})
            self._told = ""
        # Before the first scan it is what was one before the start, and of very many a part.
        self._problems.now(state.problems, whole=state.scans > 0 and len(state.problems) < PROBLEMS_SHOWN)

    def ended(self, *, for_good: bool) -> None:
        """The capturer has ended; another one counts anew, and where none follows nothing is a problem any more."""
        self._overflows = 0
        self._degraded = ""
        if for_good:
            self._problems.now(())

    def _raise_degraded(self, reason: str) -> None:
        self._told = reason
        self._record("watch.degraded", {"domain": self._domain, "reason": reason})
