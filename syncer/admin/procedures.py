"""`syncer procedure`: the procedures of this node, and an operator's word on them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from syncer.errors import ConfigurationError
from syncer.procedures.journal import Known
from syncer.procedures.shown import exit_codes, shown
from syncer.procedures.steps import Outcome

if TYPE_CHECKING:
    from syncer.node.agent import Node

LISTED = 20


async def procedure(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Show the latest procedures, or one with what its steps came to; or abort it, or have it go on.

    Raises ConfigurationError where there is no such procedure, RefusedError where it cannot be done any more.
    """
    action, wanted = str(arguments.get("action") or "show"), str(arguments.get("id") or "")
    if action == "show" and not wanted:
        return await asyncio.to_thread(_listed, node)
    known = await node.procedures.find(wanted) if wanted else await _only_open(node)
    chosen = known.procedure.id
    if action == "abort":
        await node.procedures.abort(chosen, force=bool(arguments.get("force")))
    elif action == "resume":
        await node.procedures.go_on(chosen)
    elif action != "show":
        raise ConfigurationError(f"a procedure can be shown, aborted or resumed, not {action!a}")
    return await asyncio.to_thread(document_of, node, chosen)


def _listed(node: Node) -> dict[str, Any]:
    now = time.time()
    found = [shown(node.procedures, known, now) for known in node.procedures.journal.latest(LISTED)]
    return {"procedures": found, "exit_code": _gravest([item for item in found if item["outcome"] == "open"])}


def document_of(node: Node, chosen: str) -> dict[str, Any]:
    """Return one procedure, by its whole id, with what was kept of it; blocking."""
    known = node.procedures.journal.read(chosen)
    assert known is not None, "an open procedure is not forgotten"
    found = shown(node.procedures, known, time.time())
    results = {record.name: record.result for record in known.journal.steps if record.result}
    report = {"parameters": known.procedure.parameters, "results": results, "report": known.row.report}
    return {"procedure": {**found, **report}, "exit_code": _gravest([found])}


def _gravest(found: list[dict[str, Any]]) -> int:
    return next(iter(exit_codes(found)), 0)


async def _only_open(node: Node) -> Known:
    unsettled = await asyncio.to_thread(node.procedures.journal.unsettled)
    found = [known for known in unsettled if known.journal.outcome is Outcome.OPEN]
    if len(found) != 1:
        what = "no procedure is under way" if not found else "several procedures are under way: give the ID of one"
        raise ConfigurationError(f"{what}; `syncer procedure` lists them")
    return found[0]
