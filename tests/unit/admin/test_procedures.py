"""`syncer procedure` on a real node: what it shows has the documented shape, and what it is told happens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syncer.admin.procedures import procedure
from syncer.errors import ConfigurationError, StepFailedError
from syncer.procedures.steps import Outcome
from tests.documented import deviations, examples
from tests.unit.procedures.pairs import World, pair_of_nodes, until

pytestmark = pytest.mark.asyncio


async def test_procedures_are_listed_shown_resumed_and_aborted(tmp_path: Path) -> None:
    world = World()
    world.fails["undo here"] = StepFailedError("look at it", again=False)
    reached = world.gate("there")
    async with pair_of_nodes(tmp_path, world) as (lead, second):
        node: Any = SimpleNamespace(procedures=lead.procedures)
        assert await procedure(node, {}) == {"procedures": [], "exit_code": 0}
        with pytest.raises(ConfigurationError, match="no procedure is under way"):
            await procedure(node, {"action": "abort"})
        begun = (await lead.procedures.begin("fake", second.as_peer(), {"given": 1})).id
        await reached.wait()
        listed = await procedure(node, {})
        assert deviations(examples()["procedure-list"], listed) == []
        with pytest.raises(ConfigurationError, match="not 'explode'"):
            await procedure(node, {"action": "explode", "id": begun})
        aborting = await procedure(node, {"action": "abort"})
        documented = examples()["procedure"]
        documented["procedure"] |= {"parameters": None, "results": None}
        assert deviations(documented, aborting) == []
        assert aborting["procedure"]["reason"] == "an operator aborted it"
        await until(lambda: lead.states(begun)["here"] == "undoing" and lead.states(begun)["there"] == "undone")
        await until(lambda: _needs_person(lead.procedures, begun))
        assert (await procedure(node, {"id": begun[:6]}))["exit_code"] == 4
        await procedure(node, {"action": "resume"})
        await until(lambda: lead.outcome(begun) is Outcome.ABORTED)
        shown = (await procedure(node, {"id": begun}))["procedure"]
        assert (shown["outcome"], shown["parameters"], shown["go_on"], shown["abort"]) == (
            "aborted",
            {"given": 1},
            "",
            "",
        )


def _needs_person(procedures: Any, begun: str) -> bool:
    known = procedures.journal.read(begun)
    return any(record.reason and not record.again for record in known.journal.steps)
