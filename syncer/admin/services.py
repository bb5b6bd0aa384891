"""`service` on a node: one of a domain's commands, run for a person beside what is applied."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from syncer.config.programs import ACTIONS
from syncer.errors import ConfigurationError, RefusedError
from syncer.model import Mode
from syncer.services import lifecycle
from syncer.services.domain import DomainServices
from syncer.status.domains import service_document

if TYPE_CHECKING:
    from syncer.node.agent import Node

BY_HAND = tuple(action for action in ACTIONS if action != "freeze")
"""What a person may have done; `syncer freeze` is more than its command."""


async def service(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run an action for a person, or with `dry_run` only say what it would run, and what speaks against it.

    Raises ConfigurationError where there is no such domain or command, RefusedError where somebody must agree
    first and has not (`agreed`).
    """
    action, domain = str(arguments["action"]), str(arguments["domain"])
    services = _services(node, action, domain)
    if action == "start" and node.freezes is not None:
        node.freezes.require_thawed(domain, "its services are not started")
    doubt = _doubt(node, action, domain)
    result: dict[str, Any] = {"domain": domain, "action": action, "command": services.shown(action), "doubt": doubt}
    if arguments.get("dry_run"):
        life = service_document(services)
        return {**result, "exit": "", "seconds": 0.0, "output": "", "service": life, "exit_code": 0}
    if doubt and not arguments.get("agreed"):
        raise RefusedError(f"{doubt}: nothing was done; give --yes where it is meant")
    # RACE: a command cannot be taken back, so a person who gives up waiting does not end it.
    done = services.by_hand(action, str(arguments.get("by") or "somebody"))
    outcome = await asyncio.shield(asyncio.wrap_future(done))
    is_stopped = action == "status" and outcome.report.exit == lifecycle.IS_STOPPED
    return {
        **result,
        **outcome.report._asdict(),
        "service": service_document(services),
        "exit_code": 0 if outcome.is_ok else (3 if is_stopped else 1),
    }


def _services(node: Node, action: str, domain: str) -> DomainServices:
    if action not in BY_HAND:
        raise ConfigurationError(f"{action!a} is not something to do with a service: choose of {', '.join(BY_HAND)}")
    assert node.failover is not None, "a node has at least its failover side"
    services = node.failover.services.get(domain)
    if services is None:
        known = ", ".join(node.failover.services) or "none"
        raise ConfigurationError(f"there is no domain {domain!a} in the configuration (configured: {known})")
    if not services.has(action):
        raise ConfigurationError(
            f"{node.settings.node.name} has no `{action}` for {domain}: add one to [domains.{domain}] in its "
            "configuration, and reload it (send SIGHUP to the agent)"
        )
    return services


def _doubt(node: Node, action: str, domain: str) -> str:
    """Say why a start is probably not meant; "" where it is."""
    if action != "start" or node.mode is Mode.PRODUCTION:
        return ""
    assert node.failover is not None, "a node has at least its failover side"
    if node.mode is Mode.FAILOVER and node.failover.destinations[domain].checked.services_run:
        return ""
    return (
        f"{node.settings.node.name} is in mode {node.mode.value}, and production has not said that the services of "
        f"{domain} are to run on it (start_services): beside production's own they may write to the same place"
    )
