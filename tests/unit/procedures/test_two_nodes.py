"""A fake procedure on two real nodes: every interruption ends in a finished or an undone procedure, never in both."""

from __future__ import annotations

import asyncio
import sys
from itertools import product
from pathlib import Path

import pytest

from syncer.procedures.steps import Outcome
from tests.sampling import sampled
from tests.unit.procedures.pairs import NAMES, LiveNode, World, pair_of_nodes, until

pytestmark = pytest.mark.asyncio


async def begin(lead: LiveNode, second: LiveNode) -> str:
    procedure = await lead.procedures.begin("fake", second.as_peer(), {"given": "x"})
    return procedure.id


def is_over(lead: LiveNode, second: LiveNode, procedure: str) -> bool:
    ended = (Outcome.FINISHED, Outcome.ABORTED)
    return lead.outcome(procedure) in ended and second.outcome(procedure) in (*ended, None)


async def test_a_procedure_is_gone_through_on_both_nodes(tmp_path: Path) -> None:
    world = World()
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await until(lambda: is_over(lead, second, procedure))
        assert (lead.outcome(procedure), second.outcome(procedure)) == (Outcome.FINISHED, Outcome.FINISHED)
        assert world.standing == list(NAMES)
        assert set(world.done.values()) == {1}
        assert set(lead.states(procedure).values()) == {"done"}
        assert set(second.states(procedure).values()) == {"done"}
        known = lead.procedures.journal.read(procedure)
        assert known is not None
        assert known.journal.step("there").result == {"by": "there", "given": "x", "before": ["agree", "here"]}
        names = [name for name, _ in lead.events]
        assert (names[0], names[-1]) == ("procedure.started", "procedure.finished")


def check_the_end(world: World, lead: LiveNode, second: LiveNode, procedure: str) -> str:
    """Make sure that the procedure is wholly done or wholly undone, on both nodes; say which."""
    outcome, there = lead.outcome(procedure), second.outcome(procedure)
    assert there in (outcome, None), f"lead {outcome}, second {there}"
    if outcome is Outcome.FINISHED:
        assert sorted(world.standing) == sorted(NAMES)
        assert world.undone == []
        assert set(lead.states(procedure).values()) == {"done"}
    else:
        assert world.standing == []
        assert world.done["last"] == 0
        assert "handover" not in world.undone or world.done["handover"] == 0
        # In reverse; what was interrupted may be undone twice.
        once = list(dict.fromkeys(world.undone))
        assert once == [name for name in reversed(NAMES) if name in once]
        assert set(lead.states(procedure).values()) <= {"undone", "pending", "failed"}
    assert outcome is not None
    return outcome.value


async def interrupted(folder: Path, victim: str, at: int, *, abort: bool) -> tuple[str, str] | None:
    """Kill one node behind its commit number `at`; returns the commit and the end, None where it has fewer commits."""
    world = World()
    async with pair_of_nodes(folder, world) as (lead, second):
        killed = lead if victim == "lead" else second
        killed.kill_at = at
        reached = world.gate("there") if abort else None
        procedure = ""
        try:
            procedure = await begin(lead, second)
        except BaseException as error:
            if type(error).__name__ != "KilledError":
                raise
        if reached is not None:
            await until(lambda: reached.is_set() or killed.killed.is_set())
            if not killed.killed.is_set():
                await asyncio.gather(lead.procedures.abort(procedure), return_exceptions=True)
            world.gates.clear()
        # RACE: what it has committed is seen before it counts the commit, behind which it may be killed.
        last = {"told"} if victim == "lead" else {outcome.value for outcome in Outcome}
        await until(
            lambda: (
                killed.killed.is_set()
                or (procedure and is_over(lead, second, procedure) and last.intersection(killed.writes))
            )
        )
        if len(killed.writes) < at:
            return None
        await killed.killed.wait()
        await killed.restart()
        procedure = procedure or lead.procedure()
        if abort and lead.outcome(procedure) is Outcome.OPEN:
            await asyncio.gather(lead.procedures.abort(procedure), return_exceptions=True)
        await until(lambda: is_over(lead, second, procedure))
        return killed.writes[at - 1], check_the_end(world, lead, second, procedure)


@pytest.mark.parametrize(("victim", "abort"), sampled(product(["lead", "second"], [False, True]), ("second", True)))
async def test_a_node_that_is_killed_at_any_commit_goes_on_where_it_was(
    tmp_path: Path, victim: str, abort: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    table = []
    at = 0
    while True:
        at += 1
        end = await interrupted(tmp_path / str(at), victim, at, abort=abort)
        if end is None:
            break
        table.append((at, *end))
    with capsys.disabled():
        sys.stdout.write(f"\n{victim} is killed behind its commit, {'aborted in between' if abort else 'going on'}:\n")
        sys.stdout.writelines(f"  {number:2} {commit:20} {outcome}\n" for number, commit, outcome in table)
    assert len(table) >= 5
    assert abort or {outcome for _, _, outcome in table} == {"finished"}
