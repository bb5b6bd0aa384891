"""What stands in the way of a homecoming, and what a homecoming that was given up leaves behind; whole nodes."""

from __future__ import annotations

from typing import Any

from syncer.errors import StepFailedError
from syncer.node.agent import Node
from syncer.procedures.kinds import Plain, Run
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from tests.unit.node.running import F, P, Two, contents, run, two, until
from tests.unit.node.test_homecoming import begun, ended, parted, write

__all__ = ["two"]


class Failing(Plain):
    """A step that fails for good."""

    async def do(self, run: Run) -> dict[str, Any]:
        raise StepFailedError("it is spoilt", again=False)


def spoil(node: Node, kind: str, step: str) -> None:
    found = node.kinds.find(kind)
    assert found is not None
    assert isinstance(found.actions, dict)
    found.actions[step] = Failing()


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
