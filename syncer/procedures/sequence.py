"""Whether the second does what it is ordered: the lead's word is checked against this node's own journal."""

from __future__ import annotations

from collections.abc import Sequence

from syncer.procedures.messages import Action, End, Order, Refusal, Standing, Why
from syncer.procedures.steps import (
    Journal,
    Outcome,
    Procedure,
    Role,
    StepSpec,
    StepState,
    is_backwards,
    is_past_return,
)


def order_flaw(procedure: Procedure, journal: Journal, order: Order) -> Refusal | None:
    """Say why an order cannot be followed; None where it can, or has been already."""
    if procedure.role is not Role.SECOND:
        return Refusal(Why.NOT_YOURS, f"this node leads {procedure.kind} and takes no orders in it")
    if journal.outcome is not Outcome.OPEN:
        return Refusal(Why.ENDED, f"{procedure.kind} is over here: it was {journal.outcome.value}{_why(journal)}")
    specs = {spec.name: spec for spec in procedure.steps}
    spec = specs.get(order.step)
    if spec is None:
        return Refusal(Why.UNKNOWN_STEP, f"{procedure.kind} has no step {order.step} here; update the older node")
    if spec.on is not Role.SECOND:
        return Refusal(Why.NOT_YOURS, f"the step {order.step} of {procedure.kind} is the lead's own")
    unknown = standing_flaw(procedure, order.standing)
    if unknown is not None:
        return unknown
    if order.action is Action.DO:
        return _do_flaw(procedure, journal, spec)
    if order.action is Action.UNDO:
        return _undo_flaw(procedure, journal, spec, order.standing)
    if journal.step(spec.name).state is not StepState.DONE:
        return Refusal(Why.OUT_OF_SEQUENCE, f"{spec.name} is not done here, so that it cannot be verified")
    return None


def end_flaw(procedure: Procedure, journal: Journal, end: End) -> Refusal | None:
    """Say why this end cannot be; None where it can, or is known already."""
    if procedure.role is not Role.SECOND:
        return Refusal(Why.NOT_YOURS, f"this node leads {procedure.kind} and ends it itself")
    if journal.outcome is end.outcome:
        return None
    if journal.outcome is not Outcome.OPEN:
        return Refusal(Why.ENDED, f"{procedure.kind} is over here: it was {journal.outcome.value}{_why(journal)}")
    unknown = standing_flaw(procedure, end.standing)
    if unknown is not None:
        return unknown
    if end.outcome is Outcome.ABORTED:
        # What was given up past its point of no return undoes nothing, also where the order that passed it was lost.
        return _past(procedure, journal) or _past_by(procedure.steps, end.standing)
    missing = [spec.name for spec in _own(procedure) if journal.step(spec.name).state is not StepState.DONE]
    if missing:
        return Refusal(Why.OUT_OF_SEQUENCE, f"{procedure.kind} cannot be finished: {missing[0]} is not done here")
    return None


def standing_flaw(procedure: Procedure, standing: Standing) -> Refusal | None:
    """Say which step of the lead's word this node does not know."""
    unknown = sorted(standing.keys() - {spec.name for spec in procedure.steps})
    if unknown:
        return Refusal(Why.UNKNOWN_STEP, f"{procedure.kind} has no step {unknown[0]} here; update the older node")
    return None


def _do_flaw(procedure: Procedure, journal: Journal, spec: StepSpec) -> Refusal | None:
    if is_backwards(procedure, journal):
        return Refusal(Why.OUT_OF_SEQUENCE, f"{procedure.kind} is being undone here{_why(journal)}")
    own = _own(procedure)
    at = own.index(spec)
    missing = [item.name for item in own[:at] if journal.step(item.name).state is not StepState.DONE]
    if missing:
        return Refusal(Why.OUT_OF_SEQUENCE, f"{missing[0]} comes before {spec.name}, and is not done here")
    later = [item.name for item in own[at + 1 :] if journal.step(item.name).begun]
    if later and journal.step(spec.name).state is not StepState.DONE:
        return Refusal(Why.OUT_OF_SEQUENCE, f"{later[0]} comes after {spec.name}, and was begun here")
    return None


def _undo_flaw(procedure: Procedure, journal: Journal, spec: StepSpec, standing: Standing) -> Refusal | None:
    lead = [item for item in procedure.steps if item.on is Role.LEAD]
    past = _past(procedure, journal) or _past_by(lead, standing)
    if past is not None:
        return past
    own = _own(procedure)
    later = [item.name for item in own[own.index(spec) + 1 :] if journal.step(item.name).stands]
    if later:
        return Refusal(Why.OUT_OF_SEQUENCE, f"{later[0]} is to be undone before {spec.name}")
    return None


def _past(procedure: Procedure, journal: Journal) -> Refusal | None:
    if is_past_return(procedure, journal):
        return Refusal(Why.TOO_LATE, f"{procedure.kind} is past its point of no return and can only be finished")
    return None


def _past_by(steps: Sequence[StepSpec], standing: Standing) -> Refusal | None:
    """Say where the lead's own word of some steps is that nothing can be undone any more."""
    beyond = {StepState.RUNNING, StepState.DONE}
    if any(spec.point_of_no_return and standing.get(spec.name) in beyond for spec in steps):
        return Refusal(Why.TOO_LATE, "its lead has passed the point of no return: it can only be finished, or given up")
    return None


def _own(procedure: Procedure) -> list[StepSpec]:
    return [spec for spec in procedure.steps if spec.on is Role.SECOND]


def _why(journal: Journal) -> str:
    return f" ({journal.abort})" if journal.abort else ""
