"""What several commands' answers have in common, as docs/json.md describes it (pure)."""

from __future__ import annotations

from typing import Any

from syncer.model import Entry, Kind, shown
from syncer.replicate.sender import Sender
from syncer.status.exit_code import gravest


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return one path's entry."""
    return {
        "kind": entry.kind.name.lower(),
        "mode": f"{entry.mode:04o}",
        "owner": entry.owner or str(entry.uid),
        "group": entry.group or str(entry.gid),
        "mtime_ns": entry.mtime_ns,
        "size": entry.size,
        "digest": entry.digest.hex() if entry.kind is Kind.FILE else "",
        "link_target": shown(entry.link_target) if entry.link_target else "",
    }


def by_target(chosen: list[Sender], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of streams, in their order, below the names of their targets, with the gravest exit code."""
    targets: dict[str, list[dict[str, Any]]] = {}
    for sender, result in zip(chosen, results, strict=True):
        targets.setdefault(sender.stream.target, []).append(result)
    return {
        "targets": [{"name": name, "domains": domains} for name, domains in targets.items()],
        "exit_code": gravest([result["exit_code"] for result in results]),
    }
