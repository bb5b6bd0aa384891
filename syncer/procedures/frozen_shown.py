"""How a domain is frozen, as docs/json.md describes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from syncer.errors import SyncerError
from syncer.procedures.freeze import Freezes
from syncer.procedures.freezing import is_kept_by_procedure
from syncer.procedures.frozen_watch import sample


def frozen_document(freezes: Freezes, domain: str) -> dict[str, Any] | None:
    """Return how a domain is frozen, or why it cannot be thawed wholly; None where neither is so. Blocking."""
    claims, item = freezes.domains.of(domain), freezes.domains.item(domain)
    if not claims and item is None:
        return None
    try:
        changed = freezes.domains.watch.changed(item) if item is not None else None
    except SyncerError:
        # Only what is known is told; the agent's log says why.
        changed = None
    kept = any(is_kept_by_procedure(claim, freezes.is_open) for claim in claims)
    ends = max((claim.until for claim in claims), default=None)
    return {
        "by": [claim.by for claim in claims],
        "reason": next((claim.reason for claim in claims if claim.reason), ""),
        "since": _moment(item.since if item is not None else claims[0].since),
        "until": None if kept or ends is None else _moment(ends),
        "read_only": any(claim.read_only for claim in claims),
        "complete": item is not None and item.head is not None,
        "changed": changed.total if changed is not None else None,
        "sample": list(sample(changed)) if changed is not None else [],
        "trouble": freezes.domains.trouble.get(domain, ""),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
