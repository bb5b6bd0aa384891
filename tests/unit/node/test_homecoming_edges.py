"""What stands in the way of a homecoming, and what a homecoming that was given up leaves behind; whole nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from syncer.errors import StepFailedError
from syncer.node.agent import Node
from syncer.node.kinds import PROMOTE
from syncer.procedures.kinds import Plain, Run
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from syncer.status import node_status
from tests.unit.node.running import F, P, Two, X, contents, run, two, until
from tests.unit.node.test_homecoming import begun, ended, finished, parted, write

__all__ = ["two"]


class Failing(Plain):
    """A step that fails for good."""

    async def do(self, run: Run) -> dict[str, Any]:
        raise StepFailedError("it is spoilt", again=False)


def spoil(node: Node, kind: str, step: str) -> Callable[[], None]:
    """Have a step fail for good; returns what repairs it."""
    found = node.kinds.find(kind)
    assert found is not None
    assert isinstance(found.actions, dict)
    actions, real = found.actions, found.actions[step]
    actions[step] = Failing()
    return lambda: actions.update({step: real})


def test_a_reverse_that_is_undone_behind_its_switch_leaves_a_failover_that_applies(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"same": "1", "ours": "1"}, {"ours": "2"}, {"theirs": "2"}) as (a, b):
            spoil(a, REVERSE, "after_promote")
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            assert (a.mode, b.mode) == (F, P)
            for number in range(2):
                write(two.b.root, {"later": str(number)})
                await until(lambda: contents(two.a.root) == contents(two.b.root), "it is applied as before")

    run(work())


EXCLUDE = 'exclude = ["*.log"]'


def test_what_is_not_synchronized_may_stay_in_a_directory_that_is_gone_and_a_node_comes_home(two: Two) -> None:
    two.a.write(two.b, domain=EXCLUDE)
    two.b.write(two.a, domain=EXCLUDE)

    async def work() -> None:
        files = {"same": "1", "logs/x": "1", "pipes/x": "1"}
        there = {"logs/own.log": "mine"}
        async with parted(two, files, {"logs/x": None, "pipes/x": None}, there) as (a, b):
            for name in ("logs", "pipes"):
                (two.b.root / name).rmdir()
            os.mkfifo(two.a.root / "pipes" / "pipe")
            results = await finished(a, b, await begun(a))
            assert contents(two.a.root) == {"same": b"1", "logs/own.log": b"mine"}
            assert (two.a.root / "pipes" / "pipe").is_fifo()
            # The pipe is to be removed by hand, so that it is told.
            assert results["home.verify"]["left"] == 1
            assert "pipes is deleted on production, but holds 'pipes/pipe'" in results["home.verify"]["first_left"][0]

    run(work())


def test_a_reverse_does_not_ask_for_what_is_not_synchronized_to_go(two: Two) -> None:
    two.a.write(two.b, domain=EXCLUDE)
    two.b.write(two.a, domain=EXCLUDE)

    async def work() -> None:
        async with parted(two, {"same": "1", "d/x": "1"}, {"d/x": None}, {"d/own.log": "mine"}) as (a, b):
            (two.b.root / "d").rmdir()
            await finished(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert (a.mode, b.mode) == (P, F)
            assert contents(two.a.root) == {"same": b"1", "d/own.log": b"mine"}

    run(work())


def test_a_planned_promotion_is_not_kept_by_an_excluded_file_in_a_directory_that_production_deleted(two: Two) -> None:
    two.a.write(two.b, domain=EXCLUDE)
    two.b.write(two.a, domain=EXCLUDE)
    write(two.a.root, {"same": "1", "d/x": "1"})

    async def work() -> None:
        async with two.a.running() as a, two.b.running() as b:
            await until((two.b.root / "d/x").exists, "it arrived")
            write(two.b.root, {"d/own.log": "mine"})
            shutil.rmtree(two.a.root / "d")
            await until(lambda: not (two.b.root / "d/x").exists(), "the deletion arrived")
            await finished(b, a, await begun(b, PROMOTE))
            assert (a.mode, b.mode) == (F, P)
            assert contents(two.b.root) == {"same": b"1", "d/own.log": b"mine"}

    run(work())


def test_a_reverse_that_is_undone_before_it_fills_overwrites_nothing_without_a_word(two: Two) -> None:
    async def work() -> None:
        async with parted(two, {"same": "1", "ours": "1"}, {"ours": "2"}, {"theirs": "2"}) as (a, b):
            repair = spoil(b, REVERSE, "home.fill")
            undone = await ended(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert undone.journal.outcome is Outcome.ABORTED
            # Nothing was filled: what it never sent is still to be compared.
            assert (a.mode, b.mode) == (X, P)
            await until(lambda: "syncer rejoin" in str(node_status(b)["targets"]), "it takes nothing by itself")
            assert contents(two.a.root) == {"same": b"1", "ours": b"1", "theirs": b"2"}
            # Or it is run again.
            repair()
            await finished(a, b, await begun(a, REVERSE, decided=True, verify=True))
            assert contents(two.a.root) == contents(two.b.root) == {"same": b"1", "ours": b"2"}

    run(work())
