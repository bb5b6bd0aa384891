"""`syncer verify`: every byte on both sides read again, with progress; and its repair."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.documents import by_target
from syncer.admin.progress import while_working
from syncer.admin.snapshot import choose, outcome_of, refusal_of
from syncer.errors import RefusedError, SyncerError, UnreachableError
from syncer.model import shown
from syncer.procedures.verify import Verified, verify
from syncer.replicate.sender import Sender
from syncer.replicate.session import Report
from syncer.replicate.stream import Request
from syncer.state.verifications import Finding, record_verification

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

Event = tuple[Literal["progress", "result"], dict[str, Any]]

FINDINGS_SHOWN = 10_000
CONNECT_POLL_SECONDS = 0.05


async def run_verification(
    node: Node, production: ProductionSide, arguments: dict[str, Any], *, repair: bool
) -> AsyncIterator[Event]:
    """Verify the chosen targets and domains; yields progress, then the result as docs/json.md describes it.

    With `repair` what production's disk holds now becomes the truth, and each target is made equal to it.
    """
    chosen = choose(node, production, arguments)
    events: asyncio.Queue[Event] = asyncio.Queue()

    def report(sender: Sender, progress: Report) -> None:
        where = {"target": sender.stream.target, "domain": sender.stream.domain}
        events.put_nowait(("progress", {**where, **progress._asdict()}))

    async def work() -> list[dict[str, Any]]:
        by_domain: dict[str, list[Sender]] = {}
        for sender in chosen:
            by_domain.setdefault(sender.stream.domain, []).append(sender)
        found: dict[tuple[str, str], dict[str, Any]] = {}
        # One domain after the other: one disk serves them all.
        for name, senders in by_domain.items():
            for sender, result in (await _one(node, production, name, senders, report, repair=repair)).items():
                found[sender.stream.target, name] = result
        return [found[sender.stream.target, sender.stream.domain] for sender in chosen]

    working = asyncio.create_task(work())
    async with aclosing(while_working(working, events)) as said:
        async for event in said:
            yield event
    yield "result", by_target(chosen, working.result())


async def _one(
    node: Node,
    production: ProductionSide,
    name: str,
    senders: list[Sender],
    report: Any,  # noqa: ANN401  # a callable with the signature of `report` above
    *,
    repair: bool,
) -> dict[Sender, dict[str, Any]]:
    results: dict[Sender, dict[str, Any]] = {}
    reached = []
    for sender in senders:
        try:
            await _until_connected(sender)
            reached.append(sender)
        except SyncerError as error:
            results[sender] = _failed(sender, error)
    if not reached:
        return results
    try:
        verified = await verify(production, production.to_verify(name), reached, report, on_demand=True)
    except SyncerError as error:
        return results | {sender: _failed(sender, error) for sender in reached}
    for sender, result in zip(reached, verified, strict=True):
        if result.error is not None:
            results[sender] = _failed(sender, result.error) | _findings(result)
            continue
        results[sender] = _found(sender, result)
        findings = result.findings
        if repair and findings:
            results[sender] |= await _repaired(production, sender, findings)
            findings = () if results[sender]["exit_code"] == 0 else findings
        await asyncio.to_thread(record_verification, node.store, sender.stream.target, name, time.time(), findings)
    return results


async def _repaired(production: ProductionSide, sender: Sender, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Have the index learn what production's disk holds now, and the target compare every byte with that."""
    domain = sender.stream.domain
    for finding in findings:
        if finding.side == "production":
            production.content_changed(domain, finding.path)
    await production.flush()
    sender.require_full()
    request = Request(dry_run=False, against_base=False, report=_nobody_watches, reread=True)
    sender.request(request)
    try:
        outcome = await request.done
    except SyncerError as error:
        return {"outcome": refusal_of(error), "error": str(error), "exit_code": error.exit_code}
    done = outcome_of(sender, outcome, 0.0)
    if done["exit_code"]:
        return {key: done[key] for key in ("outcome", "error", "exit_code")}
    return {"outcome": "repaired", "exit_code": 0}


async def _until_connected(sender: Sender) -> None:
    """Wait for the first contact; raises why there is none."""
    deadline = time.monotonic() + 2 * sender.stream.timeout
    while not sender.view().progress.connected:
        progress = sender.view().progress
        if progress.refused:
            raise RefusedError(progress.error)
        if progress.failures or time.monotonic() > deadline:
            raise UnreachableError(f"{sender.stream.target} is not connected: {progress.error or 'it does not answer'}")
        await asyncio.sleep(CONNECT_POLL_SECONDS)


def _found(sender: Sender, result: Verified) -> dict[str, Any]:
    outcome, code = ("differs", 3) if result.findings else ("equal", 0)
    return {"name": sender.stream.domain, "outcome": outcome, "error": "", "exit_code": code} | _findings(result)


def _failed(sender: Sender, error: SyncerError) -> dict[str, Any]:
    nothing = Verified((), error, 0, 0, 0.0)
    head = {"name": sender.stream.domain, "outcome": refusal_of(error), "error": str(error)}
    return head | {"exit_code": error.exit_code} | _findings(nothing)


def _findings(result: Verified) -> dict[str, Any]:
    return {
        "paths": result.paths,
        "bytes": result.bytes,
        "seconds": result.seconds,
        "findings": [
            {"path": shown(item.path), "side": item.side, "what": item.what}
            for item in result.findings[:FINDINGS_SHOWN]
        ],
        "findings_total": len(result.findings),
    }


def _nobody_watches(_: Report) -> None:
    """The repair follows a verification that showed its progress."""
