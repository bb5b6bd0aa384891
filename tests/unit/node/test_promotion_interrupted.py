"""A change of the mode that outlives the step that began it: what undoes the step waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncer.model import Term
from syncer.node import switch_side
from syncer.node.agent import Node
from syncer.procedures.steps import Outcome
from syncer.replicate.fencing import Rank
from syncer.state.handover import give_mode
from tests.unit.node.running import F, P, Two, run, two, until
from tests.unit.node.test_promotion import at_rest, begin, ended
from tests.unit.node.test_promotion_crashes import Watch

__all__ = ["two"]


class Gate:
    """Holds whoever comes through it; used on the event loop, and from a thread by `pass_in_thread`."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def passed(self) -> None:
        self.reached.set()
        await self.open.wait()

    def pass_in_thread(self) -> None:
        asyncio.run_coroutine_threadsafe(self.passed(), self._loop).result()


def is_undoing(node: Node, procedure: str, step: str) -> bool:
    found = node.procedures.journal.read(procedure)
    return found is not None and found.journal.step(step).state.value == "undoing"


def test_an_abort_while_the_new_production_settles_leaves_one_production(two: Two) -> None:
    async def work() -> None:
        rest = at_rest(two)
        watch = Watch(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            assert b.failover is not None
            gate, settle = Gate(), b.failover.settle

            async def slowly() -> Any:
                await gate.passed()
                return await settle()

            b.failover.settle = slowly  # type: ignore[method-assign]  # the seam
            watch.over(a, two.a)
            watch.over(b, two.b)
            procedure = await begin(b)
            await gate.reached.wait()
            await b.procedures.abort(procedure)
            await until(lambda: is_undoing(b, procedure, "take_over"), "it is being undone")
            gate.open.set()
            undone = await ended(b, a, procedure)
            assert undone.journal.outcome is Outcome.ABORTED
            assert (a.modes.rank(), b.mode) == (Rank(P, Term(3, two.a.node_id)), F)
            # It did take effect, and was undone before the old production took its role back.
            assert [name for name, _ in watch.productions] == ["a", "b", "a"]

    run(work())


def test_a_handover_that_takes_effect_behind_its_interruption_is_undone(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            gate = Gate()

            def slowly(*given: Any, **named: Any) -> bool:
                gate.pass_in_thread()
                return give_mode(*given, **named)

            monkeypatch.setattr(switch_side, "give_mode", slowly)
            procedure = await begin(b)
            await gate.reached.wait()
            await b.procedures.abort(procedure)
            await until(lambda: is_undoing(a, procedure, "hand_over"), "it is being undone")
            gate.open.set()
            undone = await ended(b, a, procedure)
            assert undone.journal.outcome is Outcome.ABORTED
            assert (a.modes.rank(), b.mode) == (Rank(P, Term(3, two.a.node_id)), F)

    run(work())
