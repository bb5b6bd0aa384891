"""One immutable view of the node, for the command line, and later metrics, health and console."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from syncer.errors import IndexStoreError
from syncer.model import Cursor, Mode
from syncer.procedures.shown import exit_codes, open_procedures
from syncer.state.alarms import read_alarms
from syncer.state.outbox import count_actions
from syncer.state.term import read_mode_change
from syncer.status.domains import domain_documents
from syncer.status.exit_code import exit_code, gravest
from syncer.status.fragments import moment_document
from syncer.status.network import peer_documents, retired_documents
from syncer.status.targets import target_documents

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide


def node_status(node: Node) -> dict[str, Any]:
    """Return the node's status as docs/json.md describes it; blocking (a few reads of the stores)."""
    while True:
        production = node.production
        try:
            return _status_with(node, production)
        except IndexStoreError:
            # RACE: it has ceased to be production while we looked: what it is now is looked at.
            if production is None or node.production is production:
                raise


def _status_with(node: Node, side: ProductionSide | None) -> dict[str, Any]:
    mode, term = node.mode_and_term()
    # RACE: the mode changes first, and the parts follow.
    if mode is Mode.FAILOVER:
        side = None
    targets = target_documents(node, side)
    domains = domain_documents(node, side)
    production = _production(node, mode)
    procedures = open_procedures(node.procedures)
    change = read_mode_change(node.store)
    problems = sum(len(domain["problems"]) for domain in domains)
    problems += sum(len(domain["problems"]) for target in targets for domain in target["domains"])
    found = {
        "node": node.settings.node.name,
        "node_id": node.store.node_id,
        "mode": mode.value,
        "mode_since": moment_document(change.at if change else None),
        "mode_reason": change.why if change else "",
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
        "refused": _refused(node),
        "procedures": procedures,
        "alarms": [
            {"event": row.name, "peer": row.peer, "domain": row.domain, "since": moment_document(row.since)}
            for row in read_alarms(node.store)
        ],
        "problems_count": problems,
        "actions": _actions(node),
        "peers": peer_documents(node),
        "retired": retired_documents(node),
    }
    limits = node.settings.node
    code = exit_code(found, peer_timeout=limits.peer_timeout, behind_after=limits.behind_after)
    return {**found, "exit_code": gravest([code, *exit_codes(procedures)])}


def _refused(node: Node) -> list[dict[str, Any]]:
    """Return the paired nodes that this one refuses as senders, and why."""
    found = node.failover.refusals.standing.values() if node.failover is not None else ()
    return [{"peer": item.peer, "reason": item.reason, "at": moment_document(item.at)} for item in found]


def _configuration(node: Node) -> dict[str, Any]:
    loaded = node.loaded
    return {
        "file": str(node.settings.source),
        "loaded_at": moment_document(loaded.at),
        "error": loaded.error,
        "restart_needed": list(loaded.waiting),
    }


def _actions(node: Node) -> dict[str, int]:
    waiting, given_up = count_actions(node.store)
    return {"waiting": waiting, "given_up": given_up, "lost": node.alarms.lost}


def _production(node: Node, mode: Mode) -> dict[str, Any] | None:
    """What failover knows of production: never more than it was told, and how old that is."""
    if node.failover is None or mode is not Mode.FAILOVER:
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
