"""How the domains of this node stand: what production captures, what failover receives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from syncer.drift.shown import drift_of, kept_local_of
from syncer.procedures.frozen_shown import frozen_document
from syncer.procedures.unsent import count_unsent
from syncer.services.commands import Outcome
from syncer.state.holds import Hold
from syncer.status.fragments import failure_document, moment_document, problem_document

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.services.domain import DomainServices


def domain_documents(node: Node, production: ProductionSide | None) -> list[dict[str, Any]]:
    """Return each domain as docs/json.md describes it; blocking (a few reads of the stores)."""
    if production is not None:
        return [_captured(node, production, domain.name, str(domain.path)) for domain in node.settings.domains]
    assert node.failover is not None, "a node has at least its failover side"
    found = []
    for domain in node.settings.domains:
        destination = node.failover.destinations.get(domain.name)
        services = node.failover.services.get(domain.name)
        # RACE: a configuration that is being reloaded may not have come to this domain yet.
        if destination is None or services is None:
            continue
        standing = destination.standing()
        trouble = destination.trouble()
        found.append(
            {
                "name": domain.name,
                "path": str(domain.path),
                "state": _received_state(trouble, destination.refusal(), received=standing is not None),
                "reason": trouble
                or destination.refusal()
                or service_trouble(services)
                or ("" if standing else "nothing was received yet"),
                "entries": destination.count(),
                "generation": standing.generation if standing else 0,
                "drift": drift_of(node.store, domain.name, domain.drift),
                "kept_local": kept_local_of(destination),
                "problems": [problem_document(problem) for problem in destination.problems()],
                "check": failure_document(services.check_failure),
                "reload": failure_document(services.reload_failure),
                "service": service_document(services),
            }
        )
    return found


def _received_state(trouble: str, failure: str, *, received: bool) -> str:
    if trouble:
        return "unavailable"
    if failure:
        return "failing"
    return "receiving" if received else "waiting"


def service_trouble(services: DomainServices) -> str:
    """Say which of the domain's commands failed last."""
    for what, failure in (("check", services.check_failure), ("reload", services.reload_failure)):
        if failure is not None:
            return Outcome(is_ok=False, report=failure).sentence(f"the {what}")
    return f"services: {services.life.detail}" if services.life is not None and services.life.detail else ""


def service_document(services: DomainServices) -> dict[str, Any] | None:
    """Return how a domain's services are, as docs/json.md describes it; None where nothing tells."""
    life = services.life
    if life is None:
        return None
    return {
        "state": life.state.value,
        "since": moment_document(life.since),
        "detail": life.detail,
        "checked_at": moment_document(life.checked_at),
    }


def _captured(node: Node, production: ProductionSide, name: str, path: str) -> dict[str, Any]:
    state = production.states.get(name)
    head = production.index.head(name)
    targets = [target.name for target in node.settings.failover]
    return {
        "name": name,
        "path": path,
        "state": state.state if state else "scanning",
        "reason": state.reason if state else "",
        "entries": state.entries if state else None,
        "directories": state.directories if state else None,
        "watched": state.watched if state else None,
        "overflows": state.overflows if state else 0,
        "head_seq": head.seq,
        "run": head.run,
        "index_id": head.index_id,
        "last_full_scan_seconds": state.last_full_scan if state else None,
        "problems": [problem_document(problem) for problem in state.problems] if state else [],
        "frozen": frozen_document(node.freezes, name) if node.freezes is not None else None,
        "unsent": count_unsent(node.store, production.index, targets, name) if production.refusal else None,
        # A node that was replaced may serve still, and so two sites do.
        "service": _service_when_fenced(node, name) if production.refusal else None,
        "holds": [_hold(hold) for hold in production.pauses.holds if hold.domain == name],
    }


def _service_when_fenced(node: Node, name: str) -> dict[str, Any] | None:
    services = node.failover.services.get(name) if node.failover is not None else None
    return service_document(services) if services is not None else None


def _hold(hold: Hold) -> dict[str, Any]:
    found = {"command": hold.command, "pid": hold.pid, "state": hold.state, "detail": hold.detail}
    return {**found, "since": moment_document(hold.since), "seconds": max(time.time() - hold.since, 0.0)}
