"""What stands on failover as findings for a person: where, what, and the cure (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One thing to look at."""

    where: str
    text: str
    cure: str


def leftover_findings(document: Mapping[str, Any], roots: Mapping[str, Path]) -> Iterator[Finding]:
    """Yield a finding for each address and reason in the result of `syncer leftovers`; none where nothing stands.

    `roots` are those of this node's domains: a command that is printed must work wherever it is typed.
    """
    for target in document["targets"]:
        name = target["name"]
        grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for item in target["found"]:
            grouped.setdefault((item["address"], item["why"]), []).append(item)
        for (address, why), items in grouped.items():
            first = items[0]
            line = f", line {first['line']}" if first["line"] else ""
            more = f", and {len(items) - 1} more" if len(items) > 1 else ""
            text = f"{address} of production still stands in {first['path']}{line}{more}: {why}"
            yield Finding(
                f"target {name}, domain {first['domain']}", text, _cure(first, name, roots.get(first["domain"]))
            )
        if target["unread_total"]:
            text = f"{target['unread_total']} files could not be read, so that nobody knows what stands in them"
            yield Finding(f"target {name}", text, f"see `syncer leftovers {name}`")


def _cure(item: Mapping[str, Any], target: str, root: Path | None) -> str:
    if item["missing_rule"]:
        return f"add a [[failover.substitute]] for it below {target} on production, or see `syncer leftovers`"
    if root is None:
        return "look whether it is meant; see `syncer leftovers`"
    path = shlex.quote(f"{root}/{item['path']}")
    return f"look whether it is meant; see `syncer leftovers` and `syncer explain {path}`"
