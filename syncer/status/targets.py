"""How the targets of a production node stand, stream by stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncer.model import shown
from syncer.replicate.messages import Approval
from syncer.replicate.progress import Phase
from syncer.replicate.stream import StreamView
from syncer.state.verifications import Verification, read_verification
from syncer.status.fragments import moment_document, problem_document

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.replicate.sender import Sender


def target_documents(node: Node, production: ProductionSide | None) -> list[dict[str, Any]]:
    """Return each target as docs/json.md describes it; blocking (a few reads of the stores)."""
    if production is None or production.refusal:
        return []
    found = []
    for settings in node.settings.failover:
        senders = [sender for (name, _), sender in production.senders.items() if name == settings.name]
        views = [sender.view() for sender in senders]
        domains = [_stream(node, production, view, sender) for view, sender in zip(views, senders, strict=True)]
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


def _stream(node: Node, production: ProductionSide, view: StreamView, sender: Sender) -> dict[str, Any]:
    exposure = production.exposure(view)
    cursor = view.progress.cursor
    verified = read_verification(node.store, view.target, view.domain)
    return {
        "name": view.domain,
        "state": view.decision.phase.value,
        "reason": view.decision.reason,
        "changes_behind": exposure.changes,
        "bytes_behind": exposure.bytes,
        "oldest_seconds": exposure.oldest_seconds,
        "connected_since": moment_document(view.connected_since),
        "last_success": moment_document(view.last_success),
        "last_full": moment_document(view.last_full),
        "cursor_seq": cursor.seq if cursor else None,
        "generation": view.generation,
        "echoes": view.echoes,
        "limits": list(view.limits),
        "drift": view.drift,
        "kept_local": [shown(path) for path in view.kept_local],
        "verifying": view.examined > 0,
        "service": view.service or None,
        "last_verified": moment_document(verified.finished if verified else None),
        "problems": [problem_document(problem) for problem in view.problems] + _found_by_verification(verified),
        "suspension": _suspension(production, view),
        "failing": _failing(view),
        "approval": _approval(sender.waiting_approval()),
    }


def _suspension(production: ProductionSide, view: StreamView) -> dict[str, Any] | None:
    found = production.pauses.suspension(view.target, view.domain)
    if found is None:
        return None
    return {"reason": found.reason, "since": moment_document(found.since), "until": moment_document(found.until)}


def _failing(view: StreamView) -> dict[str, Any] | None:
    """Return after what failures nothing is sent; None where it is not for failures."""
    if view.failing is None:
        return None
    kind, error, failures, since = view.failing
    return {"class": kind, "error": error, "failures": failures, "since": moment_document(since)}


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


def _approval(approval: Approval | None) -> dict[str, Any] | None:
    if approval is None:
        return None
    return {"id": approval.id, "deletions": approval.deletions, "overwrites": approval.overwrites}
