"""A procedure is followed to its end, or to where it waits for a person, and goes on when nobody follows it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syncer.admin.following import begun_and_followed, exit_code, news
from syncer.cli.following import _Lines, result_lines, sentence_of
from syncer.errors import StepFailedError
from syncer.procedures.journal import Known
from syncer.procedures.shown import without_peer
from syncer.procedures.steps import Facts, Journal, Outcome, Procedure, Role, StepRecord
from syncer.state.procedures import ProcedureRow
from tests.documented import deviations, examples
from tests.unit.procedures.pairs import LiveNode, World, pair_of_nodes, until


def node_of(live: LiveNode, timeout: float = 30.0) -> Any:
    return SimpleNamespace(
        procedures=live.procedures, settings=SimpleNamespace(node=SimpleNamespace(name=live.name, peer_timeout=timeout))
    )


async def begin(lead: LiveNode, second: LiveNode) -> str:
    return (await lead.procedures.begin("fake", second.as_peer(), {})).id


@pytest.mark.asyncio
async def test_each_step_is_told_with_the_node_that_does_it(tmp_path: Path) -> None:
    async with pair_of_nodes(tmp_path, World()) as (lead, second):
        procedure = await begin(lead, second)
        events = [event async for event in begun_and_followed(node_of(lead), procedure)]
        kind, result = events[-1]
        assert (kind, result["exit_code"], result["procedure"]["outcome"]) == ("result", 0, "finished")
        documented = examples()["procedure"]
        documented["procedure"] |= {"parameters": None, "results": None}
        assert deviations(documented, result) == []
        done = [(body["step"], body["on"]) for kind, body in events[:-1] if body["state"] == "done"]
        assert done == [
            ("agree", "dr-a"), ("here", "dr-a"), ("there", "prod-a"), ("handover", "prod-a"), ("last", "dr-a")
        ]  # fmt: skip


@pytest.mark.asyncio
async def test_undone_is_1_and_waiting_for_a_person_is_4(tmp_path: Path) -> None:
    world = World()
    world.fails |= {"do there": StepFailedError("no"), "do last": StepFailedError("look", again=False)}
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        for code, outcome in ((1, "aborted"), (4, "open")):
            procedure = await begin(lead, second)
            events = [event async for event in begun_and_followed(node_of(lead), procedure)]
            result = events[-1][1]
            assert (result["exit_code"], result["procedure"]["outcome"]) == (code, outcome)
            assert list(result_lines(result["procedure"]))
            if outcome == "aborted":
                await until(lambda: not lead.procedures.journal.unsettled())


@pytest.mark.asyncio
async def test_what_holds_it_up_is_told_and_leaving_does_not_end_it(tmp_path: Path) -> None:
    async with pair_of_nodes(tmp_path, World()) as (lead, second):
        await second.kill()
        procedure = await begin(lead, second)
        async with aclosing(begun_and_followed(node_of(lead), procedure)) as events:  # type: ignore[type-var]  # one
            async for _, body in events:
                if body["text"] == "prod-a is not running":
                    break
        await second.start()
        await until(lambda: lead.outcome(procedure) is Outcome.FINISHED)


@pytest.mark.asyncio
async def test_a_node_that_stays_away_ends_the_command_with_5_and_the_ways_out_are_named(tmp_path: Path) -> None:
    world = World()
    world.gates["there"], world.reached["there"] = asyncio.Event(), asyncio.Event()
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        procedure = await begin(lead, second)
        await world.reached["there"].wait()
        await second.kill()
        force = f"syncer procedure {procedure[:8]} abort --force"

        async def followed() -> dict[str, Any]:
            events = [event async for event in begun_and_followed(node_of(lead, timeout=0.2), procedure)]
            return events[-1][1]

        result = await followed()
        shown = result["procedure"]
        assert (result["exit_code"], shown["outcome"], shown["needs_person"]) == (5, "open", False)
        assert (shown["without_peer"], shown["abort"]) == ([force], force.removesuffix(" --force"))
        said = "\n".join(result_lines(shown))
        assert "prod-a is away" in said
        assert f"it goes on by itself when prod-a returns; where that is dead: {force}" in said
        # An abort waits for that node, too: then only the other command helps.
        await lead.procedures.abort(procedure)
        result = await followed()
        assert (result["exit_code"], result["procedure"]["abort"]) == (5, force)
        await lead.procedures.abort(procedure, force=True)
        assert (await followed())["exit_code"] == 1


@pytest.mark.parametrize(
    ("kind", "role", "begun", "has_other"),
    [
        ("promote", Role.LEAD, False, True),
        ("promote", Role.LEAD, True, False),
        ("promote", Role.SECOND, False, False),
        ("reverse", Role.LEAD, False, False),
    ],
)
def test_a_promotion_whose_production_died_names_the_forced_one_until_it_has_taken_over(
    kind: str, role: Role, begun: bool, has_other: bool
) -> None:
    procedures: Any = SimpleNamespace(facts=lambda procedure: Facts(away="gone"))
    procedure = Procedure("0123456789", kind, role, "peer", "name", {}, ())
    row = ProcedureRow(procedure.id, kind, role.value, "peer", "name", {}, "open", "", False, False, {}, 0.0, None)
    known = Known(procedure, Journal((StepRecord("take_over", begun=begun),)), row)
    force = ["syncer procedure 01234567 abort --force"]
    assert without_peer(procedures, known) == force + ["syncer promote --force"] * has_other


def test_news_tells_each_state_once_and_how_far_a_step_is() -> None:
    found = examples()["procedure"]["procedure"]
    told: dict[str, dict[str, Any]] = {}
    first = list(news(told, found, "dr-a"))
    assert [(event["step"], event["on"], event["text"]) for event in first] == [
        ("agree", "dr-a", ""), ("drain", "prod-a", "3 changes left")
    ]  # fmt: skip
    assert list(news(told, found, "dr-a")) == []
    found["progress"] = {"text": "1 change left", "done": 11, "total": 12}
    [event] = news(told, found, "dr-a")
    assert (event["done"], event["total"]) == (11, 12)
    assert sentence_of(event) == "running  Wait until nothing is left to send (on prod-a): 1 change left (11 of 12)"
    assert exit_code(found) is None


def test_lines_tell_what_ended_and_what_holds_up_but_not_each_step_of_a_count() -> None:
    lines: list[str] = []
    show = _Lines(lines.append)
    event = {"step": "x", "title": "T", "on": "a", "state": "running", "text": "", "done": 0, "total": 0}
    show(event)
    show(event | {"text": "5 left", "total": 9})
    show(event | {"text": "a is not running"})
    show(event | {"text": "a is not running"})
    show(event | {"state": "done"})
    assert lines == ["running  T (on a): a is not running", "done     T (on a)"]
