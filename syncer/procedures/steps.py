"""What a procedure does next: decided from its journal alone.

Up to the point of no return an abort or a failure undoes backwards; from there on the steps are only gone forwards.
A step counts as begun from the commit that says so *before* its action, so that whatever may have taken effect is
either done again or undone. Nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple


class Role(Enum):
    """Which of the two nodes: the lead decides and keeps the journal, the second does what it is ordered."""

    LEAD = "lead"
    SECOND = "second"


class StepState(Enum):
    """How far one step is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class Outcome(Enum):
    """How a procedure ended, if it has."""

    OPEN = "open"
    FINISHED = "finished"
    ABORTED = "aborted"


class StepSpec(NamedTuple):
    """One step as its kind of procedure describes it; what is done on both nodes is two steps."""

    name: str
    """Lower case, digits, "-", "_" and "."."""
    title: str
    """For people: what is done."""
    on: Role = Role.LEAD
    """Which node does it."""
    idempotent: bool = True
    """False: before it is done again after an interruption, it is asked whether it stands already."""
    point_of_no_return: bool = False
    """Once this has begun, the procedure can only be finished."""
    limit: float = 0.0
    """Seconds that it may take in all, on the node that does it; 0: as long as it takes."""


class Procedure(NamedTuple):
    """One run of a kind of procedure, as one of both nodes sees it."""

    id: str
    kind: str
    role: Role
    """What this node is in it."""
    peer: str
    """node_id of the other node."""
    peer_name: str
    parameters: Mapping[str, Any]
    steps: tuple[StepSpec, ...]
    """In the order in which they are done; empty where this version does not know the kind."""


class StepRecord(NamedTuple):
    """What the journal says of one step."""

    name: str
    state: StepState = StepState.PENDING
    begun: bool = False
    """Its action may have taken effect."""
    reason: str = ""
    """How it last failed, to be done or to be undone; "": it has not."""
    again: bool = True
    """Trying again may help; False: a person must look."""
    attempts: int = 0
    result: Mapping[str, Any] = {}
    since: float | None = None
    """When its state last changed, in Unix seconds; for display."""

    @property
    def stands(self) -> bool:
        """Tell whether there is something to undo."""
        return self.begun and self.state is not StepState.UNDONE


class Journal(NamedTuple):
    """The durable progress of one procedure on one node."""

    steps: tuple[StepRecord, ...]
    """One for each of the procedure's, in the same order."""
    outcome: Outcome = Outcome.OPEN
    abort: str = ""
    """Why it is undone: an operator's word, or a failure before the point of no return; "": it is not."""
    forced: bool = False
    """The other node is not waited for: it undoes its own steps when it hears of the end."""

    def step(self, name: str) -> StepRecord:
        """Return the record of one step; KeyError where there is none."""
        for record in self.steps:
            if record.name == name:
                return record
        raise KeyError(name)

    @property
    def results(self) -> dict[str, Mapping[str, Any]]:
        """Return what the steps that were done, and those that are being undone, had as results."""
        kept = (StepState.DONE, StepState.UNDOING)
        return {record.name: record.result for record in self.steps if record.state in kept}


class Facts(NamedTuple):
    """What the journal does not know: what holds up this moment."""

    away: str = ""
    """Why the second cannot be reached and is not called just now."""
    pausing: str = ""
    """What failed and is tried again after a pause that is not over."""


class Do(NamedTuple):
    """Do this step."""

    step: StepSpec
    again: bool
    """It was begun before, and interrupted or failed."""


class Undo(NamedTuple):
    """Undo this step."""

    step: StepSpec


class Wait(NamedTuple):
    """Nothing can be done just now."""

    reason: str
    person: bool
    """It goes on only when a person says so."""


class Finished(NamedTuple):
    """Every step is done."""


class Aborted(NamedTuple):
    """Everything that was begun is undone."""

    reason: str


Move = Do | Undo | Wait | Finished | Aborted


def next_move(procedure: Procedure, journal: Journal, facts: Facts) -> Move:
    """Return what the lead does next."""
    if journal.outcome is Outcome.FINISHED:
        return Finished()
    if journal.outcome is Outcome.ABORTED:
        return Aborted(why_undone(journal))
    if not procedure.steps:
        return Wait(f"this version of syncer does not know the procedure {procedure.kind}: update it", person=True)
    if is_backwards(procedure, journal):
        return _backwards(procedure, journal, facts)
    return _forwards(procedure, journal, facts)


def is_past_return(procedure: Procedure, journal: Journal) -> bool:
    """Tell whether the point of no return has been begun, so that nothing can be undone any more."""
    return any(spec.point_of_no_return and record.begun for spec, record in _pairs(procedure, journal))


def is_backwards(procedure: Procedure, journal: Journal) -> bool:
    """Tell whether what was begun is undone, so that nothing is begun any more."""
    if is_past_return(procedure, journal):
        return False
    backwards = {StepState.UNDOING, StepState.UNDONE}
    if procedure.role is Role.LEAD:
        # What a failure means, the lead alone decides.
        backwards.add(StepState.FAILED)
    return bool(journal.abort) or any(record.state in backwards for record in journal.steps)


def why_undone(journal: Journal) -> str:
    """Say why a procedure was or is undone; "" where it is not."""
    failures = (record.reason for record in journal.steps if record.state is StepState.FAILED)
    return journal.abort or next(failures, "")


def steps_to_undo(procedure: Procedure, journal: Journal, on: Role | None = None) -> Iterator[StepSpec]:
    """Yield what still stands of a procedure, the latest step first; `on`: only what stands on that node."""
    for spec, record in reversed(list(_pairs(procedure, journal))):
        if record.stands and on in (None, spec.on):
            yield spec


def _pairs(procedure: Procedure, journal: Journal) -> Iterator[tuple[StepSpec, StepRecord]]:
    return zip(procedure.steps, journal.steps, strict=bool(procedure.steps))


def _backwards(procedure: Procedure, journal: Journal, facts: Facts) -> Move:
    for spec in steps_to_undo(procedure, journal, Role.LEAD if journal.forced else None):
        record = journal.step(spec.name)
        failed = record.reason if record.state is StepState.UNDOING else ""
        return _held_up(spec, failed, facts, again=record.again) or Undo(spec)
    return Aborted(why_undone(journal))


def _forwards(procedure: Procedure, journal: Journal, facts: Facts) -> Move:
    for spec, record in _pairs(procedure, journal):
        if record.state is not StepState.DONE:
            return _held_up(spec, record.reason, facts, again=record.again) or Do(spec, record.begun)
    return Finished()


def _held_up(spec: StepSpec, failed: str, facts: Facts, *, again: bool) -> Wait | None:
    if failed and not again:
        return Wait(failed, person=True)
    if facts.pausing:
        return Wait(facts.pausing, person=False)
    if spec.on is Role.SECOND and facts.away:
        return Wait(facts.away, person=False)
    return None
