"""Drift and kept files as status and `syncer drift` show them: what happened, and who wins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from syncer.model import shown
from syncer.replicate.destination import Destination
from syncer.replicate.drifted import CREATED, DELETED
from syncer.state.drift import DriftRow, count_drift, read_drift
from syncer.state.store import StateStore

PATHS_IN_STATUS = 20
PATHS_LISTED = 10_000


def drift_of(store: StateStore, domain: str, policy: str, limit: int = PATHS_IN_STATUS) -> dict[str, Any]:
    """Return the recorded drift of one domain, with up to `limit` of its paths, as docs/json.md describes it."""
    return drift_document(policy, count_drift(store, domain), read_drift(store, domain, limit))


def drift_document(policy: str, count: int, rows: list[DriftRow]) -> dict[str, Any]:
    """Return the drift of one domain as docs/json.md describes it."""
    return {"policy": policy, "count": count, "paths": [_path(row, policy) for row in rows]}


def kept_local_of(destination: Destination) -> list[str]:
    """Return the paths that keep_local left alone."""
    return [shown(path) for path in destination.kept.paths()]


def _path(row: DriftRow, policy: str) -> dict[str, str]:
    return {
        "path": shown(row.path),
        "what": row.what,
        "since": datetime.fromtimestamp(row.since, UTC).isoformat(timespec="milliseconds"),
        "until_then": "put back" if policy == "restore" else "stays",
        "next_change": "production",
        "next_full": {CREATED: "deleted", DELETED: "put back"}.get(row.what, "overwritten"),
    }
