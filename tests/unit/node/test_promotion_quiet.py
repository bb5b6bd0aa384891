"""A planned switch alarms nobody: what it means to do is no refusal, no failure and no suspension."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from syncer.config.programs import HOOKS
from syncer.errors import SyncerError
from syncer.node.home_decisions import awaited
from syncer.node.kinds import PROMOTE, PROMOTE_FORCED, REJOIN
from syncer.procedures.journal import Known
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Journal, Outcome, Procedure, Role, StepRecord, StepSpec
from syncer.procedures.switching import told_kinds
from syncer.replicate.preflight import let_in
from syncer.state.procedures import ProcedureRow
from tests.unit.node.running import F, P, Place, Two, contents, run, two, until
from tests.unit.node.test_promotion import at_rest, begin, ended

__all__ = ["two"]

ROW = ProcedureRow("id", PROMOTE, "lead", "peer", "name", {}, "open", "", False, False, {}, 0.0, None)
ALARMING = ("session.refused", "term.refused", "target.suspended", "fenced", "split_brain", "sync")


def alarms(two: Two, place: Place, node: object) -> list[object]:
    """Return every event that a person would be called for."""
    found = place.raised(node, *ALARMING)  # type: ignore[arg-type]
    return [(place.name, name, told) for name, told in found if name != "sync" or not told["success"]]


def test_planned_switches_there_and_back_refuse_no_session_and_suspend_nothing(two: Two) -> None:
    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            done = await ended(b, a, await begin(b))
            assert done.journal.outcome is Outcome.FINISHED, done.journal.abort
            assert (a.mode, b.mode) == (F, P)
            (two.b.root / "homeward").write_text("x")
            await until(lambda: contents(two.a.root) == contents(two.b.root), "a change goes to the old production")
            done = await ended(a, b, await begin(a, REVERSE))
            assert done.journal.outcome is Outcome.FINISHED, done.journal.abort
            assert (a.mode, b.mode) == (P, F)
            assert alarms(two, two.a, a) + alarms(two, two.b, b) == []
            # The freeze of a procedure ends with that, and never by itself.
            assert [told["seconds"] for _, told in two.a.raised(a, "frozen")] == [0]

    run(work())


def with_hooks(place: Place, target: Place) -> None:
    """Configure every hook, to write what it is told into a file that both nodes share."""
    line = f'["/bin/sh", "-c", "echo $SYNCER_HOOK $SYNCER_KIND $SYNCER_PROCEDURE_KIND >> {place.folder.parent}/told"]'
    place.write(target, domain="[hooks]\n" + "".join(f"{hook} = {line}\n" for hook in HOOKS))


def told_by_hooks(two: Two) -> list[str]:
    """Return what hooks were told since this was asked last."""
    found = two.a.folder.parent / "told"
    lines = found.read_text().splitlines()
    found.write_text("")
    return lines


def test_every_hook_of_one_procedure_is_told_the_same_kind(two: Two) -> None:
    with_hooks(two.a, two.b)
    with_hooks(two.b, two.a)

    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            await ended(b, a, await begin(b))
            hooks = ["before_demote", "before_promote", "after_promote", "after_demote"]
            assert told_by_hooks(two) == [f"{hook} planned promote" for hook in hooks]
            await ended(a, b, await begin(a, REVERSE))
            around = ["before_failback", *hooks, "after_failback"]
            assert told_by_hooks(two) == [f"{hook} planned reverse" for hook in around]

    run(work())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (PROMOTE, ("planned", "promote")),
        (PROMOTE_FORCED, ("forced", "promote")),
        (REJOIN, ("rejoin", "rejoin")),
        (REVERSE, ("planned", "reverse")),
    ],
)
def test_each_kind_of_procedure_is_told_as_a_switch_and_as_a_command(kind: str, told: tuple[str, str]) -> None:
    assert told_kinds(kind) == told


def test_nodes_are_awaited_until_they_are_filled() -> None:
    def of(begun: bool, role: Role = Role.LEAD, outcome: Outcome = Outcome.OPEN) -> Known:
        steps = (StepSpec("take_over", ""), StepSpec("old.fill", "", Role.LEAD))
        procedure = Procedure("id", PROMOTE, role, "peer", "name", {}, steps)
        records = (StepRecord("take_over", begun=True), StepRecord("old.fill", begun=begun))
        return Known(procedure, Journal(records, outcome), ROW)

    assert awaited([of(begun=False)]) == {"peer"}
    assert awaited([of(begun=True)]) == awaited([of(begun=False, outcome=Outcome.ABORTED)]) == set()
    # Who comes home sends nothing: it awaits nobody.
    assert awaited([of(begun=False, role=Role.SECOND)]) == set()


def test_a_target_is_called_once_nothing_keeps_it_apart_and_who_asks_meanwhile_is_refused() -> None:
    refused: list[SyncerError] = []
    answers = ["it comes home", "it comes home", ""]

    async def blocking(look: Callable[[], str]) -> str:
        return look()

    async def work() -> None:
        moved = asyncio.Event()

        def look() -> str:
            moved.set()
            return answers.pop(0)

        await let_in(blocking, look, moved, refused.append)
        assert answers == []
        assert [str(error) for error in refused] == ["it comes home"] * 2

    run(work())
