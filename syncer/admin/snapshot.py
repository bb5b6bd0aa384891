"""On-demand full synchronization, and its dry runs: all chosen targets at once, with progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.documents import by_target
from syncer.admin.progress import while_working
from syncer.errors import ConfigurationError, Reason, SyncerError, UnreachableError
from syncer.model import shown
from syncer.replicate import messages as m
from syncer.replicate.progress import first_lines
from syncer.replicate.sender import Sender
from syncer.replicate.session import Outcome, Planned, Report
from syncer.replicate.stream import Request
from syncer.status.exit_code import gravest

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

Event = tuple[Literal["progress", "result"], dict[str, Any]]

PLAN_SHOWN = 10_000
"""Paths of a plan that one answer carries; the total is always told."""
SCAN_SECONDS = 3600.0
"""How long the scan before a synchronization may take; a million files need well under a minute."""


async def synchronize(
    node: Node,
    production: ProductionSide,
    arguments: dict[str, Any],
    *,
    dry_run: bool,
    against_base: bool,
    resume: bool = False,
) -> AsyncIterator[Event]:
    """Run full synchronizations of the chosen targets and domains; yields progress, then the result.

    With `resume`, only of those that were rolled back on the target, which then take production's state again.
    """
    chosen = choose(node, production, arguments)
    if resume:
        chosen = [sender for sender in chosen if sender.view().rolled_back]
    approvals = {
        (str(item["target"]), str(item["domain"])): str(item["id"]) for item in arguments.get("approvals") or []
    }
    events: asyncio.Queue[Event] = asyncio.Queue()
    started = time.monotonic()

    async def work() -> list[dict[str, Any]]:
        async with asyncio.timeout(SCAN_SECONDS):
            await production.flush()
        works = [_one(sender, events, dry_run, against_base, started, approvals, resume) for sender in chosen]
        return list(await asyncio.gather(*works))

    working = asyncio.create_task(work())
    async with aclosing(while_working(working, events)) as said:
        async for event in said:
            yield event
    result = by_target(chosen, working.result())
    for target in result["targets"]:
        target["leftovers"] = None if dry_run else await _leftovers(production, chosen, target)
    yield "result", result


async def _leftovers(production: ProductionSide, chosen: list[Sender], target: dict[str, Any]) -> dict[str, int] | None:
    """Return what of production's addresses still stands on a target that was synchronized; None where not all was."""
    if any(domain["exit_code"] for domain in target["domains"]):
        return None
    name = target["name"]
    sent = [production.sent(sender.stream) for sender in chosen if sender.stream.target == name]
    return await production.leftovers.count(name, sent)


def choose(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> list[Sender]:
    """Return the streams that `target` and `domains` name, all where they name none. Raises ConfigurationError."""
    target = arguments.get("target")
    domains = list(arguments.get("domains") or [])
    names = [settings.name for settings in node.settings.failover]
    errors = []
    if target is not None and target not in names:
        errors.append(f"there is no target {target!a} (configured: {', '.join(names) or 'none'})")
    known = {domain.name for domain in node.settings.domains}
    errors += [f"there is no domain {name!a}" for name in domains if name not in known]
    if not names:
        errors.append("no [[failover]] table is configured: there is nobody to synchronize with")
    if errors:
        raise ConfigurationError(*errors)
    chosen = [
        sender
        for (name, domain), sender in production.senders.items()
        if target in (None, name) and (not domains or domain in domains)
    ]
    if not chosen:
        raise ConfigurationError("the chosen target does not receive the chosen domains: see failover.domains")
    return chosen


async def _one(
    sender: Sender,
    events: asyncio.Queue[Event],
    dry_run: bool,
    against_base: bool,
    started: float,
    approvals: dict[tuple[str, str], str],
    resume: bool,
) -> dict[str, Any]:
    """Synchronize one domain of one target; a failure is a result, since others go on."""
    approval = approvals.get((sender.stream.target, sender.stream.domain), "")

    def report(progress: Report) -> None:
        where = {"target": sender.stream.target, "domain": sender.stream.domain}
        events.put_nowait(("progress", {**where, **progress._asdict()}))

    request = Request(dry_run=dry_run, against_base=against_base, report=report, approval=approval, resume=resume)
    sender.request(request)
    try:
        outcome = await request.done
    except SyncerError as error:
        return _failed(sender, error, time.monotonic() - started)
    report(Report("done", 1, 1, outcome.bytes if isinstance(outcome, m.Ack) else 0))
    found = outcome_of(sender, outcome, time.monotonic() - started)
    unsent = [{"path": shown(problem.path), "reason": problem.reason} for problem in sender.unsent()]
    # What is left out for this target is not equal there, though nothing would be done.
    return found | {"unsent": unsent, "exit_code": gravest([found["exit_code"], 3 if unsent else 0])}


def _empty(sender: Sender, seconds: float) -> dict[str, Any]:
    return {
        "name": sender.stream.domain,
        "outcome": "equal",
        "changes": 0,
        "bytes": 0,
        "seconds": seconds,
        "error": "",
        "exit_code": 0,
        "approval": None,
        "plan": [],
        "plan_total": 0,
        "unsent": [],
    }


def refusal_of(error: SyncerError) -> str:
    """Return what the outcome of a synchronization that failed is called."""
    return {4: "refused", 5: "unreachable"}.get(error.exit_code, "failed")


def _failed(sender: Sender, error: SyncerError, seconds: float) -> dict[str, Any]:
    outcome = refusal_of(error)
    assert not isinstance(error, UnreachableError) or outcome == "unreachable", "exit code 5 is unreachable"
    return _empty(sender, seconds) | {
        "outcome": outcome,
        "error": str(error),
        "exit_code": error.exit_code,
        "approval": _approval(sender.waiting_approval()),
    }


def outcome_of(sender: Sender, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Return a target's answer as docs/json.md describes it."""
    base = _empty(sender, seconds)
    if isinstance(outcome, Planned):
        items = [
            {
                "path": shown(item.path),
                "action": item.action,
                "kind": item.kind.name.lower(),
                "size": item.size,
            }
            for item in outcome.items
        ]
        if not items:
            return base
        needs = {"id": outcome.approval, "deletions": 0, "overwrites": 0, "sample": []} if outcome.approval else None
        if needs is not None:
            needs["deletions"] = sum(item["action"] == "delete" for item in items)
            needs["overwrites"] = sum(item["action"] in ("update", "replace") for item in items)
        return base | {
            "outcome": "planned",
            "plan": items[:PLAN_SHOWN],
            "plan_total": len(items),
            "changes": len(items),
            "exit_code": 3,
            "approval": needs,
        }
    if isinstance(outcome, m.Reject):
        asked = (Reason.APPROVAL_REQUIRED, Reason.ROOT_UNAVAILABLE, Reason.CHECK_FAILED, Reason.ROLLED_BACK)
        refused = outcome.reason in asked
        return base | {
            "outcome": "refused" if refused else "failed",
            "error": "; ".join([outcome.message, *first_lines(outcome.failure.output)]),
            "exit_code": 4 if refused else 1,
            "approval": _approval(outcome.approval),
        }
    return base | {
        "outcome": "applied" if outcome.changes else "equal",
        "changes": outcome.changes,
        "bytes": outcome.bytes,
    }


def _approval(approval: m.Approval | None) -> dict[str, Any] | None:
    if approval is None:
        return None
    return {
        "id": approval.id,
        "deletions": approval.deletions,
        "overwrites": approval.overwrites,
        "sample": [{"path": shown(item.path), "action": item.action} for item in approval.sample],
    }
