"""The commands by which a person stops and continues sending: suspend, resume, and both ends of a hold."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.snapshot import choose, synchronize
from syncer.errors import ConfigurationError, UnavailableRootError
from syncer.replicate.pauses import Resumption
from syncer.replicate.progress import Phase, is_retrying
from syncer.state.holds import Hold
from syncer.status.exit_code import gravest

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.replicate.sender import Sender

Event = tuple[Literal["progress", "result"], dict[str, Any]]

ATTEMPT_SECONDS = 5.0
"""How long a resumption waits for its first attempt: who asked wants to hear what came of it."""
PENDING, FAILED, ARRIVED = "pending", "failed", "arrived"
LONGEST_TEXT = 500
"""Characters of a reason or a command that are kept."""


async def suspend(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send nothing to a target any more, until it is resumed or the time is over.

    Raises ConfigurationError for an unknown target or domain, or a time that has passed already.
    """
    target, domains = str(arguments["target"]), [str(name) for name in arguments.get("domains") or []]
    chosen = choose(node, production, {"target": target, "domains": domains})
    seconds = arguments.get("seconds")
    if seconds is not None and float(seconds) <= 0:
        raise ConfigurationError("a suspension must last for some time: give --for a duration such as 1h")
    reason = str(arguments.get("reason") or "")[:LONGEST_TEXT]
    await production.pauses.suspend(target, domains, reason, None if seconds is None else float(seconds))
    return {"suspended": [_stream(sender) for sender in chosen], "exit_code": 0}


async def resume(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """End suspensions and failed holds, and bring back what was rolled back on failover, with `confirmed`.

    Without it, what was rolled back is only told, and its plan made. Raises ConfigurationError.
    """
    target = arguments.get("target")
    domains = [str(name) for name in arguments.get("domains") or []]
    chosen = choose(node, production, {"target": target, "domains": domains})
    if arguments.get("plan_only"):
        async for kind, body in _compared(node, production, arguments, chosen, dry_run=True):
            yield kind, body if kind == "progress" else _answer(chosen, None, [], body)
        return
    ended = await production.pauses.resume(target, domains)
    found = await asyncio.gather(*(_resume_failing(sender, is_agent=node.is_agent) for sender in chosen))
    failing = [item for item in found if item is not None]
    confirmed = bool(arguments.get("confirmed"))
    async for kind, body in _compared(node, production, arguments, chosen if confirmed else [], dry_run=False):
        yield kind, body if kind == "progress" else _answer(chosen, ended, failing, body)


async def _resume_failing(sender: Sender, *, is_agent: bool) -> dict[str, Any] | None:
    """End a suspension by failures, and wait a moment for what comes of it; None where there was none."""
    view = sender.view()
    if view.failing is None or not await sender.resume():
        return None
    error = await sender.first_attempt(ATTEMPT_SECONDS) if is_agent else None
    attempt = PENDING if error is None else FAILED if error else ARRIVED
    reason = f"{view.failing.failures} failures in a row ({view.failing.kind})"
    place = {"target": view.target, "domain": view.domain}
    return {**place, "reason": reason, "first_attempt": attempt, "error": error or ""}


async def _compared(
    node: Node, production: ProductionSide, arguments: dict[str, Any], chosen: list[Sender], *, dry_run: bool
) -> AsyncIterator[Event]:
    """Synchronize fully what was rolled back, or show what that would do."""
    if not any(sender.view().rolled_back for sender in chosen):
        yield "result", {"targets": [], "exit_code": 0}
        return
    async for event in synchronize(node, production, arguments, dry_run=dry_run, against_base=False, resume=True):
        yield event


def _answer(
    chosen: list[Sender], ended: Resumption | None, failing: list[dict[str, Any]], compared: dict[str, Any]
) -> dict[str, Any]:
    # What was just compared is not suspended any more; the target says so with its next sign of life.
    done = {
        (target["name"], domain["name"])
        for target in compared["targets"]
        for domain in target["domains"]
        if domain["outcome"] in ("applied", "equal")
    }
    views = [view for view in (sender.view() for sender in chosen) if (view.target, view.domain) not in done]
    still = [
        {"target": view.target, "domain": view.domain, "reason": view.decision.reason}
        for view in views
        if view.decision.phase is Phase.SUSPENDED and not is_retrying(view.progress, view.decision)
    ]
    codes = [compared["exit_code"], 4 if still and ended is not None else 0]
    codes += [1 for item in failing if item["first_attempt"] == FAILED]
    return {
        "resumed": [
            {
                "target": item.target,
                "domain": item.domain or None,
                "reason": item.reason,
                "first_attempt": "",
                "error": "",
            }
            for item in (ended.ended_suspensions if ended else ())
        ]
        + failing,
        "holds": [
            {"domain": item.domain, "command": item.command, "detail": item.detail}
            for item in (ended.ended_holds if ended else ())
        ],
        "rolled_back": compared["targets"],
        "still": still,
        "exit_code": gravest(codes),
    }


async def hold_begin(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> dict[str, Any]:
    """Hold a domain for the process that asks; when this returns, nothing that it changes is sent.

    Raises ConfigurationError for an unknown domain, RefusedError where the process cannot be seen.
    """
    domain = str(arguments["domain"])
    names = [settings.name for settings in node.settings.domains]
    if domain not in names:
        raise ConfigurationError(f"there is no domain {domain!a} (configured: {', '.join(names) or 'none'})")
    if node.freezes is not None:
        node.freezes.require_thawed(domain, "nothing may change in it")
    hold = Hold(
        secrets.token_hex(8),
        domain,
        int(arguments["pid"]),
        str(arguments["start_time"]),
        " ".join(str(arguments["command"]).split())[:LONGEST_TEXT],
        time.time(),
    )
    await production.pauses.begin_hold(hold)
    return {"id": hold.id, "agent_running": node.is_agent, "exit_code": 0}


async def hold_end(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> dict[str, Any]:
    """End a hold; one that ended well is let go once all that its command changed is captured.

    Raises StateError or UnreachableError where that is not known yet; the caller tries again.
    """
    failure = str(arguments.get("failure") or "")[:LONGEST_TEXT]
    domain = str(arguments["domain"])
    if not failure and node.is_agent:
        # Where the root is gone nothing can be captured, nor sent: its return brings a whole scan, one transaction.
        with contextlib.suppress(UnavailableRootError):
            # RACE: captured first, then let go; the other way round a part of the changes could leave alone.
            await production.captures.flush([domain])
    await production.pauses.end_hold(str(arguments["id"]), failure)
    still = [hold for hold in production.pauses.holds if hold.domain == domain]
    return {"held": bool(still), "exit_code": 0}


def _stream(sender: Sender) -> dict[str, Any]:
    return {"target": sender.stream.target, "domain": sender.stream.domain, "reason": sender.view().decision.reason}
