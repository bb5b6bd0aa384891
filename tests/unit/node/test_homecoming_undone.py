"""Ways home that were undone, and what may be asked for afterwards: nothing is forgotten, nothing is ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncer.admin.reverse import home_plan, reverse
from syncer.errors import Reason, RefusedError
from syncer.node.agent import Node
from syncer.procedures.kinds import Plain, Run
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from syncer.state.generations import read_displaced
from syncer.status import node_status
from tests.unit.node.running import DOMAIN, F, P, Two, X, contents, refusals, run, two, until
from tests.unit.node.test_homecoming import begun, ended, finished, holds, parted, write

__all__ = ["two"]

FILES = {"file": "1", "theirs": "1"}


async def asked(node: Node, **arguments: Any) -> dict[str, Any]:
    """Return what `syncer reverse` is told before it asks."""
    events = [event async for event in home_plan(node, {"command": REVERSE, **arguments})]
    return events[-1][1]


def with_services(two: Two, flag: Path) -> None:
    """Have a run services whose check fails while `flag` exists."""
    folder = two.a.folder
    state, log = folder / "runs", folder / "log"
    state.touch()
    script = f'start = ["sh", "-c", "touch {state}; echo start >> {log}"]\nstop = ["sh", "-c", "rm {state}"]\n'
    script += f'status = ["sh", "-c", "test -e {state} || exit 3"]\ncheck = ["sh", "-c", "! test -e {flag}"]\n'
    two.a.write(two.b, domain=script)


def test_a_way_home_that_is_undone_before_it_is_filled_leaves_what_was_never_sent_to_be_merged(two: Two) -> None:
    async def work() -> None:
        flag, runs = two.a.folder / "flag", two.a.folder / "runs"
        with_services(two, flag)
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2", "new": "x"}) as (a, b):
            flag.touch()
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "a is fenced again" in undone.journal.abort
            assert (a.mode, b.mode) == (X, P)
            assert runs.exists()
            assert contents(two.a.root) == {"file": b"1", "theirs": b"2", "new": b"x"}
            answer = await asked(b, policy="merge")
            assert not answer["at_home"]
            assert (answer["production"], answer["failover"]) == ("a", "b")
            flag.unlink()
            await finished(a, b, await begun(a, REVERSE, policy="merge", decided=True, verify=True))
            assert (a.mode, b.mode) == (P, F)
            assert contents(two.a.root) == contents(two.b.root) == {"file": b"2", "theirs": b"2", "new": b"x"}

    run(work())


def test_a_way_home_that_is_undone_once_it_is_filled_leaves_a_failover_node_that_is_sent_to(two: Two) -> None:
    async def work() -> None:
        two.b.write(two.a, domain='[hooks]\nbefore_failback = ["false"]')
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2"}) as (a, b):
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "a is failover of b now, and has all that it sends" in undone.journal.abort
            assert f"`syncer history {DOMAIN} 1`" in undone.journal.abort
            assert (a.mode, b.mode) == (F, P)
            assert {row.path for row in read_displaced(a.store, DOMAIN, 1)} >= {b"theirs"}
            for node in (a, b):
                answer = await asked(node)
                assert answer["at_home"]
                for wish in ({"policy": "merge"}, {"prefer": ["file=here"]}):
                    with pytest.raises(RefusedError, match="a is failover of b already"):
                        await asked(node, **wish)
            for node in (a, b):
                with pytest.raises(RefusedError, match="a is failover of b already"):
                    [_ async for _ in reverse(node, {"wishes": {"policy": "merge"}})]
            write(two.b.root, {"later": "x"})
            await until(lambda: holds(two.a.root, "later", "x"), "it is sent to")

    run(work())


def test_a_merge_is_refused_by_the_step_itself_where_nothing_can_be_merged_any_more(two: Two) -> None:
    async def work() -> None:
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2"}) as (a, b):
            await finished(a, b, await begun(a))
            undone = await ended(a, b, await begun(a, REVERSE, policy="merge", decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert "a is failover of b already" in undone.journal.abort
            assert (a.mode, b.mode) == (F, P)

    run(work())


def test_what_was_held_back_for_a_procedure_goes_on_by_itself_once_that_is_given_up(two: Two) -> None:
    async def work() -> None:
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2"}) as (a, b):
            kind = a.kinds.find(REVERSE)
            assert kind is not None
            assert isinstance(kind.actions, dict)

            class Stays(Plain):
                async def do(self, run: Run) -> dict[str, Any]:
                    return dict(await rejoins.do(run))

            rejoins = kind.actions["home.rejoin"]
            kind.actions["home.rejoin"] = Stays()
            second = b.kinds.find(REVERSE)
            assert second is not None
            assert isinstance(second.actions, dict)

            class Fails(Plain):
                async def do(self, run: Run) -> dict[str, Any]:
                    await until(lambda: "it comes home" in node_status(b)["targets"][0]["reason"], "its stream waits")
                    raise RefusedError("it cannot be filled")

            second.actions["home.fill"] = Fails()
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            # Nobody wakes the stream but the end of what held it back: nothing is written here.
            await until(lambda: "syncer approve a" in node_status(b)["targets"][0]["reason"], "a person may approve", 2)

    run(work())


def test_a_crash_while_it_is_undone_leads_to_the_same_end(two: Two) -> None:
    async def work() -> None:
        flag, runs = two.a.folder / "flag", two.a.folder / "runs"
        with_services(two, flag)
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2"}) as (a, b):
            kind = a.kinds.find(REVERSE)
            assert kind is not None
            assert isinstance(kind.actions, dict)
            rejoins, tried = kind.actions["home.rejoin"], []

            class Twice(Plain):
                async def require(self, run: Run) -> None:
                    await rejoins.require(run)

                async def do(self, run: Run) -> dict[str, Any]:
                    return dict(await rejoins.do(run))

                async def undo(self, run: Run) -> Any:
                    tried.append(await rejoins.undo(run))
                    return await rejoins.undo(run)

            kind.actions["home.rejoin"] = Twice()
            flag.touch()
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert tried
            assert tried[0]["note"] in undone.journal.abort
            assert a.mode is X
            assert runs.exists()
            assert (two.a.folder / "log").read_text() == "start\n"

    run(work())


def test_a_node_that_is_configured_as_failover_is_not_made_production_by_a_way_home(two: Two) -> None:
    async def work() -> None:
        async with two.b.running() as b, two.a.running() as a:
            write(two.a.root, FILES)
            await until(lambda: contents(two.b.root) == contents(two.a.root), "all arrived")
            with pytest.raises(RefusedError, match="run `syncer promote` on b"):
                await asked(b)
            with pytest.raises(RefusedError, match="run `syncer promote` on b"):
                [_ async for _ in reverse(b, {"wishes": {}})]
            with pytest.raises(RefusedError, match="run `syncer promote` on b"):
                [_ async for _ in reverse(a, {"wishes": {}, "node": "b"})]
            assert (a.mode, b.mode) == (P, F)
            assert not a.procedures.journal.unsettled()

    run(work())


def test_a_failover_node_that_was_never_filled_is_not_taken_for_one_that_is_at_home(two: Two) -> None:
    async def work() -> None:
        async with parted(two, FILES, {"file": "2"}, {"theirs": "2"}) as (a, b):
            assert b.production is not None
            b.production.stop_sending("a test cuts it")
            await a.become(F, a.mode_and_term()[1], "a test gives it up")
            with pytest.raises(RefusedError, match="b has not synchronized tree to it since"):
                await asked(a)
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert "b has not synchronized tree to it since" in undone.journal.abort
            assert (a.mode, b.mode) == (F, P)

    run(work())


def test_a_sender_that_was_refused_is_not_shown_as_refused_once_it_is_failover(two: Two) -> None:
    async def work() -> None:
        async with parted(two, FILES, {"file": "2"}, {}) as (a, b):
            assert b.failover is not None
            b.failover.refusals.refused(two.a.node_id, "a", Reason.STALE_TERM, "a comes with term 1")
            b.failover.refusals.refused("other", "c", Reason.RETIRED, "c is retired")
            assert [found["peer"] for found in refusals(b)] == ["a", "c"]
            await finished(a, b, await begun(a))
            assert [found["peer"] for found in refusals(b)] == ["c"]
            await b.modes.heard("other", "c", a.mode_and_term()[1], F)
            assert [found["peer"] for found in refusals(b)] == ["c"]

    run(work())
