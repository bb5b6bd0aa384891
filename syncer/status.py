"""One immutable view of the node, for the command line, and later metrics, health and console."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncer.drift.shown import drift_of, kept_local_of
from syncer.errors import CommandFailure
from syncer.events.standing import SKEWED_SECONDS
from syncer.model import Cursor, Mode, Problem, shown
from syncer.procedures.shown import exit_codes, open_procedures
from syncer.replicate.messages import Approval
from syncer.replicate.progress import Phase
from syncer.replicate.stream import StreamView
from syncer.services.commands import Outcome
from syncer.state.alarms import read_alarms
from syncer.state.holds import Hold
from syncer.state.outbox import count_actions
from syncer.state.peers import peers
from syncer.state.term import read_term
from syncer.state.verifications import Verification, read_verification

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.replicate.sender import Sender
    from syncer.services.domain import DomainServices

GRAVITY = {4: 0, 5: 1, 1: 2, 3: 3, 0: 4}
"""Exit codes by gravity, the gravest first: with several targets it is the one that counts."""


def gravest(codes: list[int]) -> int:
    """Return the exit code that counts: 4, 5, 1, 3, 0 in this order; 0 where there is none."""
    return min(codes, key=lambda code: GRAVITY.get(code, 2), default=0)


def node_status(node: Node) -> dict[str, Any]:
    """Return the node's status as docs/json.md describes it; blocking (a few reads of the stores)."""
    term = read_term(node.store)
    targets = _targets(node)
    domains = _domains(node)
    production = _production(node)
    procedures = open_procedures(node.procedures)
    problems = sum(len(domain["problems"]) for domain in domains)
    problems += sum(len(domain["problems"]) for target in targets for domain in target["domains"])
    return {
        "node": node.settings.node.name,
        "node_id": node.store.node_id,
        "mode": node.mode.value,
        "term": {"counter": term.counter, "node_id": term.node_id},
        "version": node.failover.identity.software if node.failover else "",
        "listen": node.listen,
        "http": node.http,
        "configuration": _configuration(node),
        "agent": "running" if node.is_agent else "stopped",
        "pid": os.getpid() if node.is_agent else None,
        "targets": targets,
        "domains": domains,
        "production": production,
        "procedures": procedures,
        "alarms": [
            {"event": row.name, "peer": row.peer, "domain": row.domain, "since": _moment(row.since)}
            for row in read_alarms(node.store)
        ],
        "problems_count": problems,
        "actions": _actions(node),
        "peers": [
            {"name": peer.name, "node_id": peer.node_id, "fingerprint": peer.fingerprint} for peer in peers(node.store)
        ],
        "exit_code": gravest([_exit_code(node, targets, domains, production), *exit_codes(procedures)]),
    }


def _configuration(node: Node) -> dict[str, Any]:
    loaded = node.loaded
    return {
        "file": str(node.settings.source),
        "loaded_at": _moment(loaded.at),
        "error": loaded.error,
        "restart_needed": list(loaded.waiting),
    }


def _actions(node: Node) -> dict[str, int]:
    waiting, given_up = count_actions(node.store)
    return {"waiting": waiting, "given_up": given_up}


def _exit_code(
    node: Node,
    targets: list[dict[str, Any]],
    domains: list[dict[str, Any]],
    production: dict[str, Any] | None,
) -> int:
    if not node.is_agent:
        return 5
    # What a person meant to change is not in force, so not all is as it should be.
    refused = bool(node.loaded.error)
    if node.mode is Mode.FAILOVER:
        silent = production is None or production["seconds_since_heard"] > node.settings.node.peer_timeout
        if silent:
            return 5
        if any(domain["state"] == "unavailable" for domain in domains):
            return 4
        received = production["domains"] if production is not None else []
        late = any((domain["oldest_seconds"] or 0.0) > node.settings.node.behind_after for domain in received)
        never = any(domain["cursor_seq"] is None for domain in received)
        failed = any(domain["check"] or domain["reload"] or domain["state"] == "failing" for domain in domains)
        failed = failed or any(domain["service"] and domain["service"]["detail"] for domain in domains)
        differs = any(domain["problems"] or domain["drift"]["count"] for domain in domains)
        skewed = production is not None and abs(production["clock_skew_seconds"] or 0.0) > SKEWED_SECONDS
        return 3 if never or late or failed or differs or skewed or refused else 0
    codes = [_target_code(target, node.settings.node.behind_after) for target in targets]
    codes += [4 for domain in domains if domain["state"] == "unavailable"]
    codes += [3 for domain in domains if domain["problems"] or domain["state"] == "degraded"]
    codes += [3] if refused else []
    return gravest(codes)


def _target_code(target: dict[str, Any], behind_after: float) -> int:
    states = {domain["state"] for domain in target["domains"]}
    if "suspended" in states:
        return 4
    if "unreachable" in states:
        return 5
    if abs(target["clock_skew_seconds"] or 0.0) > SKEWED_SECONDS:
        return 3
    late = any((domain["oldest_seconds"] or 0.0) > behind_after for domain in target["domains"])
    unknown = any(domain["changes_behind"] is None for domain in target["domains"])
    behind_by_choice = not target["automatic"] and any(domain["changes_behind"] for domain in target["domains"])
    lacking = any(domain["problems"] for domain in target["domains"])
    drifted = any(domain["drift"] for domain in target["domains"])
    # ": " comes before what is wrong with services there.
    services = any(": " in (domain["service"] or "") for domain in target["domains"])
    return 3 if late or unknown or behind_by_choice or lacking or drifted or services else 0


def _targets(node: Node) -> list[dict[str, Any]]:
    if node.production is None:
        return []
    found = []
    for settings in node.settings.failover:
        senders = [sender for (name, _), sender in node.production.senders.items() if name == settings.name]
        views = [sender.view() for sender in senders]
        domains = [_stream(node, view, sender) for view, sender in zip(views, senders, strict=True)]
        worst = min(views, key=lambda view: _WORST.index(view.decision.phase), default=None)
        timed = [view for view in views if view.round_trip is not None]
        found.append(
            {
                "name": settings.name,
                "address": settings.address,
                "node_id": next((view.peer_node_id for view in views if view.peer_node_id), ""),
                "state": worst.decision.phase.value if worst else Phase.CONNECTING.value,
                "reason": worst.decision.reason if worst else "no domain is sent to this target",
                "automatic": settings.automatic,
                "round_trip_seconds": timed[0].round_trip if timed else None,
                "clock_skew_seconds": timed[0].clock_skew if timed else None,
                "domains": domains,
            }
        )
    return found


_WORST = [Phase.SUSPENDED, Phase.UNREACHABLE, Phase.CONNECTING, Phase.FULL, Phase.STREAMING]
"""A target is shown in the state of its worst stream."""


def _stream(node: Node, view: StreamView, sender: Sender) -> dict[str, Any]:
    assert node.production is not None, "only production has streams"
    exposure = node.production.exposure(view)
    cursor = view.progress.cursor
    verified = read_verification(node.store, view.target, view.domain)
    return {
        "name": view.domain,
        "state": view.decision.phase.value,
        "reason": view.decision.reason,
        "changes_behind": exposure.changes,
        "bytes_behind": exposure.bytes,
        "oldest_seconds": exposure.oldest_seconds,
        "connected_since": _moment(view.connected_since),
        "last_success": _moment(view.last_success),
        "last_full": _moment(view.last_full),
        "cursor_seq": cursor.seq if cursor else None,
        "generation": view.generation,
        "echoes": view.echoes,
        "limits": list(view.limits),
        "drift": view.drift,
        "kept_local": [shown(path) for path in view.kept_local],
        "verifying": view.examined > 0,
        "service": view.service or None,
        "last_verified": _moment(verified.finished if verified else None),
        "problems": [_problem(problem) for problem in view.problems] + _found_by_verification(verified),
        "suspension": _suspension(node, view),
        "failing": _failing(view),
        "approval": _approval(sender.waiting_approval()),
    }


def _domains(node: Node) -> list[dict[str, Any]]:
    if node.production is not None:
        return [_captured(node, domain.name, str(domain.path)) for domain in node.settings.domains]
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
                "problems": [_problem(problem) for problem in destination.problems()],
                "check": _failure(services.check_failure),
                "reload": _failure(services.reload_failure),
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
        "since": _moment(life.since),
        "detail": life.detail,
        "checked_at": _moment(life.checked_at),
    }


def _captured(node: Node, name: str, path: str) -> dict[str, Any]:
    assert node.production is not None, "only production captures"
    state = node.production.states.get(name)
    head = node.production.index.head(name)
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
        "problems": [_problem(problem) for problem in state.problems] if state else [],
        "holds": [_hold(hold) for hold in node.production.pauses.holds if hold.domain == name],
    }


def _hold(hold: Hold) -> dict[str, Any]:
    found = {"command": hold.command, "pid": hold.pid, "state": hold.state, "detail": hold.detail}
    return {**found, "since": _moment(hold.since), "seconds": max(time.time() - hold.since, 0.0)}


def _suspension(node: Node, view: StreamView) -> dict[str, Any] | None:
    assert node.production is not None, "only production has streams"
    found = node.production.pauses.suspension(view.target, view.domain)
    if found is None:
        return None
    return {"reason": found.reason, "since": _moment(found.since), "until": _moment(found.until)}


def _failing(view: StreamView) -> dict[str, Any] | None:
    """Return after what failures nothing is sent; None where it is not for failures."""
    if view.failing is None:
        return None
    kind, error, failures, since = view.failing
    return {"class": kind, "error": error, "failures": failures, "since": _moment(since)}


def _production(node: Node) -> dict[str, Any] | None:
    """What failover knows of production: never more than it was told, and how old that is."""
    if node.failover is None or node.mode is not Mode.FAILOVER:
        return None
    heard = node.failover.receiver.heard()
    spoken = [item for item in heard.values() if item.node_id]
    if not spoken:
        return None
    now = time.monotonic()
    latest = max(spoken, key=lambda item: item.at)
    domains = []
    for name, item in heard.items():
        destination = node.failover.destinations.get(name)
        standing = destination.standing() if destination is not None else None
        cursor: Cursor | None = standing.cursor if standing else None
        domains.append(
            {
                "name": name,
                "cursor_seq": cursor.seq if cursor else None,
                "head_seq": item.head_seq if item.node_id else None,
                "changes_behind": item.changes_behind if item.node_id else None,
                "oldest_seconds": item.oldest_seconds if item.node_id else None,
                "generation": standing.generation if standing else 0,
                "seconds_since_heard": now - item.at if item.node_id else None,
            }
        )
    return {
        "name": latest.node_name,
        "node_id": latest.node_id,
        "seconds_since_heard": now - latest.at,
        "clock_skew_seconds": latest.clock_skew_seconds,
        "domains": domains,
    }


def _found_by_verification(verified: Verification | None) -> list[dict[str, str]]:
    """What the last verification found, as problems: nobody has looked at it yet, or it would be repaired."""
    if verified is None:
        return []
    return [
        {
            "path": shown(item.path),
            "reason": f"{item.what} on {item.side} since it was recorded, as the last verification found: look at it, "
            "then run `syncer verify --repair`",
        }
        for item in verified.findings
    ]


def _problem(problem: Problem) -> dict[str, str]:
    return {"path": shown(problem.path), "reason": problem.reason}


def _failure(failure: CommandFailure | None) -> dict[str, Any] | None:
    return failure._asdict() if failure is not None else None


def _approval(approval: Approval | None) -> dict[str, Any] | None:
    if approval is None:
        return None
    return {"id": approval.id, "deletions": approval.deletions, "overwrites": approval.overwrites}


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
