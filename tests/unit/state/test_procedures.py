from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest

from syncer.errors import InvariantError, RefusedError
from syncer.procedures.journal import KEPT, ProcedureJournal
from syncer.procedures.kinds import Kind, Kinds, Plain
from syncer.procedures.steps import Outcome, Procedure, Role, StepSpec, StepState
from syncer.state.procedures import ProcedureRow, add_procedure, read_procedures
from syncer.state.store import StateStore

STEPS = (StepSpec("a", "A"), StepSpec("b", "B", Role.SECOND))


def journal(store: StateStore) -> ProcedureJournal:
    return ProcedureJournal(store, lambda kind: STEPS if kind == "fake" else ())


def begun(found: ProcedureJournal, peer: str = "p", kind: str = "fake") -> str:
    procedure = Procedure(uuid.uuid4().hex, kind, Role.LEAD, peer, "prod-a", {"path": "\udcff"}, STEPS)
    found.open(procedure)
    return procedure.id


def test_a_journal_survives_its_process(store: StateStore, tmp_path: Path) -> None:
    found = journal(store)
    one = begun(found)
    assert found.begin_step(one, "a")
    found.finish_step(one, "a", {"name": "\udcff", "count": 3})
    store.close()
    with StateStore.open(tmp_path / "state") as again:
        known = journal(again).read(one)
        assert known is not None
        assert known.procedure.parameters == {"path": "\udcff"}
        step = known.journal.step("a")
        assert (step.state, step.begun, step.attempts) == (StepState.DONE, True, 1)
        assert step.result == {"name": "\udcff", "count": 3}


def test_the_database_itself_allows_one_open_procedure_for_each_pair(store: StateStore) -> None:
    found = journal(store)
    one = begun(found)
    with pytest.raises(RefusedError, match="is under way"):
        begun(found)
    row = ProcedureRow("x", "fake", "second", "p", "", {}, "open", "", False, True, {}, 0.0, None)
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as writer:
        add_procedure(writer, row, [])
    begun(found, "another peer")
    found.close(one, Outcome.FINISHED, {}, told=True)
    begun(found)


def test_the_latest_are_kept_and_what_is_not_over_is_never_forgotten(store: StateStore) -> None:
    found = journal(store)
    still_open = begun(found, "open")
    untold = begun(found, "untold")
    found.close(untold, Outcome.ABORTED, {}, told=False)
    for _ in range(KEPT + 5):
        found.close(begun(found), Outcome.FINISHED, {"kept": True}, told=True)
    rows = read_procedures(store, 1000)
    assert len(rows) <= KEPT + 2
    assert [known.procedure.id for known in found.unsettled()] == [still_open, untold]
    found.was_told(untold)
    assert [known.procedure.id for known in found.unsettled()] == [still_open]


def test_steps_change_only_from_where_they_can(store: StateStore) -> None:
    found = journal(store)
    one = begun(found)
    with pytest.raises(InvariantError, match="cannot become done from pending"):
        found.finish_step(one, "a", {})
    with pytest.raises(InvariantError, match="cannot become undoing from pending"):
        found.begin_undo(one, "a")
    assert found.begin_step(one, "a")
    found.ask_abort(one, "no")
    assert not found.begin_step(one, "b"), "an abort that came first wins"
    found.begin_undo(one, "a")
    found.finish_undo(one, "a")
    found.close(one, Outcome.ABORTED, {}, told=True)
    with pytest.raises(RefusedError, match="is over: it was aborted"):
        found.ask_abort(one, "again")
    with pytest.raises(RefusedError, match="knows no procedure"):
        found.ask_abort("none", "no")


def test_what_another_version_began_with_other_steps_is_not_guessed_at(store: StateStore) -> None:
    found = journal(store)
    known = found.read(begun(found, kind="of another version"))
    assert known is not None
    assert known.procedure.steps == ()
    assert [record.name for record in known.journal.steps] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Kind("x", (), {}), "no steps"),
        (Kind("x", (STEPS[0], STEPS[0]), {"a": Plain()}), "same name"),
        (Kind("x", (StepSpec("agree", ""),), {"agree": Plain()}), "same name"),
        (Kind("X y", STEPS[:1], {"a": Plain()}), "a name is none"),
        (Kind("x", STEPS, {"a": Plain()}), "steps and actions differ"),
        (
            Kind(
                "x",
                (StepSpec("a", "", point_of_no_return=True), StepSpec("b", "", point_of_no_return=True)),
                {"a": Plain(), "b": Plain()},
            ),
            "two points of no return",
        ),
    ],
)
def test_a_kind_that_cannot_be_is_a_fault(kind: Kind, why: str) -> None:
    with pytest.raises(InvariantError, match=why):
        Kinds([kind])
