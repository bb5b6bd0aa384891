"""What a second does with the end of a procedure that was given up past its point of no return: it undoes nothing."""

from __future__ import annotations

import pytest

from syncer.procedures.messages import End, Why
from syncer.procedures.sequence import end_flaw
from syncer.procedures.steps import Journal, Outcome, Procedure, Role, StepRecord, StepSpec, StepState

STEPS = (StepSpec("give", "Give", on=Role.SECOND), StepSpec("look", "Look", on=Role.SECOND, point_of_no_return=True))
PROCEDURE = Procedure("0" * 32, "kind", Role.SECOND, "lead-node", "lead", {}, STEPS)
JOURNAL = Journal((StepRecord("give", StepState.DONE, begun=True), StepRecord("look")))


@pytest.mark.parametrize("state", [StepState.RUNNING, StepState.DONE])
def test_an_end_past_a_point_whose_order_was_lost_undoes_nothing(state: StepState) -> None:
    given_up = End(PROCEDURE.id, Outcome.ABORTED, "given up", {}, {"give": StepState.DONE, "look": state})
    flaw = end_flaw(PROCEDURE, JOURNAL, given_up)
    assert flaw is not None
    assert flaw.why is Why.TOO_LATE


@pytest.mark.parametrize("state", [StepState.PENDING, StepState.FAILED, StepState.UNDONE])
def test_an_end_before_it_is_undone(state: StepState) -> None:
    undone = End(PROCEDURE.id, Outcome.ABORTED, "aborted", {}, {"give": StepState.DONE, "look": state})
    assert end_flaw(PROCEDURE, JOURNAL, undone) is None
