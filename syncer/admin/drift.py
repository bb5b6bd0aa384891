"""`syncer drift`: what was edited on a failover node, and who wins over it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from syncer.drift.shown import PATHS_LISTED, drift_document, drift_of
from syncer.errors import ConfigurationError, RefusedError
from syncer.replicate.destination import Destination
from syncer.state.drift import DriftRow, read_drift
from syncer.state.store import StateStore

if TYPE_CHECKING:
    from syncer.node.agent import Node


def drift(node: Node, domain: str | None) -> dict[str, Any]:
    """Return the drift of one domain or of all, as docs/json.md describes it; blocking.

    Where no agent watches, everything is looked at now. Raises RefusedError on production, ConfigurationError for
    a domain that is not configured, UnavailableRootError.
    """
    if node.failover is None or node.production is not None:
        raise RefusedError(
            f"{node.settings.node.name} is in mode {node.mode.value}, and `syncer drift` shows what was edited on a "
            "failover node: run it there; `syncer verify` looks from here"
        )
    chosen = [found for found in node.settings.domains if domain in (None, found.name)]
    if not chosen:
        raise ConfigurationError(f"there is no domain {domain!a}")
    domains = []
    for settings in chosen:
        destination = node.failover.destinations.get(settings.name)
        # RACE: a configuration that is being reloaded may not have come to this domain yet.
        if destination is None:
            continue
        monitor = node.failover.monitors.get(settings.name)
        if node.is_agent or settings.drift == "ignore":
            found = drift_of(node.store, settings.name, settings.drift, PATHS_LISTED)
        else:
            rows = _look_now(destination, node.store)
            found = drift_document(settings.drift, len(rows), rows[:PATHS_LISTED])
        trouble = monitor.state.trouble if monitor is not None else ""
        domains.append({"name": settings.name, **found, "reason": destination.trouble() or trouble})
    return {"domains": domains, "exit_code": 3 if any(found["count"] for found in domains) else 0}


def _look_now(destination: Destination, store: StateStore) -> list[DriftRow]:
    """Compare everything with what was applied; nothing is applied meanwhile, since the state lock is ours.

    Nothing is recorded: the agent, once it runs, raises the event for what it notices first.
    """
    if destination.standing() is None or destination.trouble():
        return read_drift(store, destination.domain)
    found = destination.edits.drifted({item.path: item.found for item in destination.edits.scanner().full()})
    since = {row.path: row.since for row in read_drift(store, destination.domain)}
    now = time.time()
    return [DriftRow(path, what, since.get(path, now)) for path, what in sorted(found.items())]
