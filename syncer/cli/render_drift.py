"""Drift as lines: what was edited on failover, and who wins over it; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncer.cli.output import printable
from syncer.cli.wording import counted, moment_in_words

_POLICY = {
    "report": "each stays until production changes its path, or until the next full synchronization; then production "
    "wins, and what stands here goes to history",
    "restore": "they are put back by a full synchronization; what stands here goes to history",
    "ignore": "edits are not looked for",
}


def drift_sentence(domain: str, found: dict[str, Any]) -> str:
    """Return what was edited in one domain, and who wins."""
    if found["policy"] == "ignore":
        return f"{domain}: {_POLICY['ignore']} (drift = ignore)"
    if not found["count"]:
        return f"{domain}: nothing was edited here (drift = {found['policy']})"
    return f"{domain}: {counted(found['count'], 'path')} edited here: {_POLICY[found['policy']]}"


def drift_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each path."""
    for item in found["paths"]:
        since = moment_in_words(item["since"])
        then = f"{item['until_then']} now, {item['next_full']} by the next full synchronization"
        yield printable(f"{item['what']:<10} {item['path']} (since {since}; {then})")
    if found["count"] > len(found["paths"]):
        yield f"and {counted(found['count'] - len(found['paths']), 'more path')}: --json shows more"
