"""Cuts, silence, time limits, failures and operators: what a procedure on two real nodes makes of each."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import ConfigurationError, RefusedError, StepFailedError, UnreachableError
from syncer.procedures.kinds import Kind
from syncer.procedures.shown import open_procedures, shown
from syncer.procedures.steps import Outcome
from tests.documented import deviations, examples
from tests.unit.procedures.pairs import FAST, NAMES, LiveNode, World, fake_kind, pair_of_nodes, until

pytestmark = pytest.mark.asyncio


async def begin(lead: LiveNode, second: LiveNode) -> str:
    return (await lead.procedures.begin("fake", second.as_peer(), {"given": "x"})).id


async def over(lead: LiveNode, second: LiveNode, procedure: str) -> Outcome:
    """Wait until both nodes know of the end, and return it."""
    await until(partial(is_settled, lead))
    for node in (lead, second):
        if node.outcome(procedure) is not None:
            await until(partial(has_told, node))
    outcome = lead.outcome(procedure)
    assert second.outcome(procedure) in (outcome, None)
    assert outcome is not None
    return outcome


def has_told(node: LiveNode) -> bool:
    return node.events[-1][0] in ("procedure.finished", "procedure.aborted")


def is_settled(node: LiveNode) -> bool:
    return not node.procedures.journal.unsettled()


def status(node: LiveNode) -> dict[str, Any]:
    (found,) = open_procedures(node.procedures)
    return found


async def test_an_order_whose_lead_is_gone_goes_on_to_its_end_and_is_not_begun_twice(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        await lead.kill()
        world.gates.pop("there").set()
        await until(lambda: second.states(procedure)["there"] == "done")
        await lead.start()
        assert await over(lead, second, procedure) is Outcome.FINISHED
        assert world.done["there"] == 1


async def test_a_lead_that_comes_back_follows_the_order_that_is_still_under_way(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        await lead.restart()
        await until(lambda: status(lead)["progress"]["text"] == "half")
        assert status(lead)["progress"] == {"text": "half", "done": 1, "total": 2}
        world.gates.pop("there").set()
        assert await over(lead, second, procedure) is Outcome.FINISHED
        assert world.done["there"] == 1


async def test_an_order_of_which_nothing_is_heard_is_a_cut(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        # A second that says nothing while it works.
        second.limits = FAST._replace(beat=60.0)
        lead.limits = FAST._replace(silence=0.1, shortest=0.3, longest=0.3)
        await second.restart()
        await lead.restart()
        procedure = await begin(lead, second)
        await reached.wait()
        await until(lambda: "said nothing of there for 0.1 s" in status(lead)["waits_for"])
        world.gates.pop("there").set()
        assert await over(lead, second, procedure) is Outcome.FINISHED
        assert world.done["there"] == 1


async def test_a_second_that_is_away_is_waited_for_and_shown(tmp_path: Path) -> None:
    world = World()
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        await second.kill()
        procedure = await begin(lead, second)
        await until(lambda: status(lead)["waits_for"] == "prod-a is not running")
        assert not status(lead)["needs_person"]
        await second.start()
        assert await over(lead, second, procedure) is Outcome.FINISHED


async def test_a_step_that_takes_too_long_fails_and_everything_is_undone(tmp_path: Path) -> None:
    world = World()
    for name in ("there", "here"):
        world.gate(name)
    async with pair_of_nodes(tmp_path, world, limits={"there": 0.05}) as (lead, second):
        world.gates.pop("here").set()
        procedure = await begin(lead, second)
        assert await over(lead, second, procedure) is Outcome.ABORTED
        known = lead.procedures.journal.read(procedure)
        assert known is not None
        assert known.journal.abort == "Do it there: it took longer than 0.05 s"
        assert (world.standing, world.undone) == ([], ["there", "here"])


@pytest.mark.parametrize(
    "what", ["require here", "do here", "verify here", "require there", "do there", "verify there"]
)
async def test_a_failure_before_the_point_of_no_return_undoes_what_was_begun(tmp_path: Path, what: str) -> None:
    world = World()
    world.fails[what] = StepFailedError("the disk is full")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        assert await over(lead, second, procedure) is Outcome.ABORTED
        action, name = what.split()
        begun = [step for step in reversed(NAMES[: NAMES.index(name) + 1]) if action != "require" or step != name]
        assert (world.standing, world.undone) == ([], begun)
        assert world.done["handover"] == 0
        assert [event for event, _ in lead.events].count("procedure.aborted") == 1
        assert lead.events[-1][1]["reason"] == f"{'Do it here' if name == 'here' else 'Do it there'}: the disk is full"


async def test_a_precondition_of_the_point_of_no_return_that_is_not_fulfilled_undoes(tmp_path: Path) -> None:
    world = World()
    world.fails["require handover"] = StepFailedError("a check fails")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        assert await over(lead, second, await begin(lead, second)) is Outcome.ABORTED
        assert world.standing == []


@pytest.mark.parametrize("what", ["do handover", "verify handover", "require last", "do last"])
async def test_behind_the_point_of_no_return_it_is_only_gone_forwards(tmp_path: Path, what: str) -> None:
    world = World()
    world.fails[what] = StepFailedError("busy")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        assert await over(lead, second, await begin(lead, second)) is Outcome.FINISHED
        assert sorted(world.standing) == sorted(NAMES)
        assert world.undone == []


@pytest.mark.parametrize("name", ["handover", "last"])
async def test_what_trying_again_does_not_help_waits_for_a_person(tmp_path: Path, name: str) -> None:
    world = World()
    world.fails[f"do {name}"] = StepFailedError("the address is taken", again=False)
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await until(lambda: status(lead)["needs_person"])
        found = status(lead)
        assert (found["waits_for"], found["past_return"], found["abort"]) == ("the address is taken", True, "")
        assert found["go_on"] == f"syncer procedure {procedure[:8]} resume"
        with pytest.raises(RefusedError, match="point of no return"):
            await lead.procedures.abort(procedure)
        await lead.restart()
        await until(lambda: status(lead)["needs_person"])
        assert await lead.procedures.go_on(procedure)
        assert await over(lead, second, procedure) is Outcome.FINISHED


async def test_an_undo_that_fails_is_tried_again_or_waits_for_a_person(tmp_path: Path) -> None:
    world = World()
    world.fails |= {
        "do there": StepFailedError("no"),
        "undo there": StepFailedError("busy"),
        "undo here": StepFailedError("look at it", again=False),
    }
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await until(lambda: status(lead)["needs_person"])
        assert status(lead)["waits_for"] == "look at it"
        await lead.procedures.go_on(procedure)
        assert await over(lead, second, procedure) is Outcome.ABORTED
        assert world.standing == []


async def test_a_fault_in_a_step_is_a_failure_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    fault: Any = KeyError("x")
    world.fails["do there"] = fault
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        assert await over(lead, second, await begin(lead, second)) is Outcome.ABORTED
        assert "a fault in the agent (KeyError): see its log" in str(lead.events[-1][1]["reason"])
        assert "the step there failed by a fault in syncer" in caplog.text


@pytest.mark.parametrize("name", ["here", "there"])
async def test_what_is_not_idempotent_is_asked_first_whether_it_stands(tmp_path: Path, name: str) -> None:
    world = World()
    reached = world.gate(name)
    async with pair_of_nodes(tmp_path, world, once=name) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        world.gates.pop(name)
        await (lead if name == "here" else second).restart()
        assert await over(lead, second, procedure) is Outcome.FINISHED
        assert world.done[name] == 1


@pytest.mark.parametrize("where", ["lead", "second"])
@pytest.mark.parametrize("step", ["here", "there"])
async def test_an_operator_of_either_node_aborts_a_step_that_is_under_way(
    tmp_path: Path, where: str, step: str
) -> None:
    world = World()
    reached = world.gate(step)
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        node = lead if where == "lead" else second
        await node.procedures.abort(procedure)
        assert await over(lead, second, procedure) is Outcome.ABORTED
        assert world.standing == []
        assert world.undone[-1:] == ["here"]
        reason = "an operator aborted it" if where == "lead" else "an operator aborted it (on prod-a)"
        assert lead.events[-1][1]["reason"] == reason
        assert second.events[-1][1]["reason"] == reason


async def test_a_lead_is_not_held_up_for_ever_by_a_second_that_is_gone(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        await second.kill()
        await lead.procedures.abort(procedure)
        await until(lambda: status(lead)["waits_for"] and not status(lead)["needs_person"])
        assert world.standing == ["here", "there"]
        await lead.procedures.abort(procedure, force=True)
        await until(lambda: lead.outcome(procedure) is Outcome.ABORTED)
        assert world.standing == ["there"], "the other node's part waits for it"
        with pytest.raises(RefusedError, match="still has to hear that fake is over"):
            await begin(lead, second)
        await second.start()
        assert await over(lead, second, procedure) is Outcome.ABORTED
        assert world.standing == []
        world.gates.clear()
        await until(lambda: not lead.procedures.journal.unsettled())
        assert await over(lead, second, await begin(lead, second)) is Outcome.FINISHED


async def test_a_second_is_not_held_up_for_ever_by_a_lead_that_is_gone(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        await lead.kill()
        with pytest.raises(UnreachableError, match="dr-a is not running"):
            await second.procedures.abort(procedure)
        await second.procedures.abort(procedure, force=True)
        assert (second.outcome(procedure), world.standing) == (Outcome.ABORTED, ["here"])
        await lead.start()
        assert await over(lead, second, procedure) is Outcome.ABORTED
        assert world.standing == []


async def test_one_procedure_at_a_time_for_each_pair(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("here")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        first = await begin(lead, second)
        await reached.wait()
        with pytest.raises(RefusedError, match="is under way"):
            await begin(lead, second)
        with pytest.raises(RefusedError, match="is under way"):
            await begin(second, lead)
        world.gates.pop("here").set()
        assert await over(lead, second, first) is Outcome.FINISHED


async def test_a_second_that_takes_no_part_says_why(tmp_path: Path) -> None:
    async def no(_: Any) -> None:
        raise RefusedError("not on a Sunday")

    world = World()
    async with pair_of_nodes(tmp_path, world, accept=no) as (lead, second):
        procedure = await begin(lead, second)
        await until(lambda: has_told(lead))
        assert (
            lead.events[-1][1]["reason"] == "Ask the other node whether it takes part: prod-a refused: not on a Sunday"
        )
        assert second.outcome(procedure) is None
        assert world.done.total() == 0


async def test_what_is_shown_has_the_documented_shape(tmp_path: Path) -> None:
    world = World()
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await reached.wait()
        documented = examples()["procedure-list"]["procedures"][0]
        for node, role in ((lead, "lead"), (second, "second")):
            found = status(node)
            assert deviations(documented, found) == []
            states = {step["name"]: step["state"] for step in found["steps"]}
            expected = {"agree": "done", "here": "done", "there": "running", "handover": "pending", "last": "pending"}
            assert (found["role"], states) == (role, expected)
        assert status(lead)["waits_for"] == "Do it there (on prod-a)"
        assert status(second)["waits_for"] == "dr-a, which leads it"
        world.gates.pop("there").set()
        await over(lead, second, procedure)
        known = second.procedures.journal.read(procedure)
        assert known is not None
        assert shown(second.procedures, known, 0.0)["outcome"] == "finished"


async def test_the_report_of_the_lead_is_kept_on_both_nodes(tmp_path: Path) -> None:
    world = World()

    def report(_: Any, results: Any) -> dict[str, Any]:
        return {"steps": sorted(results)}

    async with pair_of_nodes(tmp_path, world, report=report) as (lead, second):
        procedure = await begin(lead, second)
        await over(lead, second, procedure)
        for node in (lead, second):
            known = node.procedures.journal.read(procedure)
            assert known is not None
            assert known.row.report == {"steps": ["agree", "handover", "here", "last", "there"]}


async def test_what_cannot_be_begun_is_refused(tmp_path: Path) -> None:
    async with pair_of_nodes(tmp_path, World()) as (lead, second):
        with pytest.raises(ConfigurationError, match="no procedure 'unheard'"):
            await lead.procedures.begin("unheard", second.as_peer(), {})
        with pytest.raises(ConfigurationError, match="no procedure begins with"):
            await lead.procedures.abort("beef")


async def test_a_kind_without_the_other_node_asks_nobody(tmp_path: Path) -> None:
    world = World()
    kind = fake_kind(world)
    alone = Kind("alone", kind.steps[:1], {"here": kind.actions["here"]})
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        lead.procedures.kinds.register(alone)
        await second.kill()
        procedure = (await lead.procedures.begin("alone", second.as_peer(), {})).id
        await until(lambda: lead.outcome(procedure) is Outcome.FINISHED)
        assert world.standing == ["here"]
        await second.start()


async def test_both_at_once_end_in_one_at_most(tmp_path: Path) -> None:
    world = World()
    async with pair_of_nodes(tmp_path, world) as (one, other):
        begun = await asyncio.gather(begin(one, other), begin(other, one), return_exceptions=True)
        found = [item for item in begun if isinstance(item, str)]
        assert found
        for node in (one, other):
            await until(partial(is_settled, node))
        ends = [node.outcome(item) for item, node in zip(begun, (one, other), strict=True) if isinstance(item, str)]
        assert ends.count(Outcome.FINISHED) <= 1
        assert set(ends) <= {Outcome.FINISHED, Outcome.ABORTED}
