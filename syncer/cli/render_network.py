"""Shows whom a node knows by another one's word, who has not heard of that yet, and which identities were retired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from syncer.cli.exposure import Severity
from syncer.cli.output import printable


def network_lines(status: dict[str, Any]) -> Iterator[Text]:
    """Yield a line each; nothing where all nodes were paired."""
    for item in status.get("retired", ()):
        if item["node_id"] == status["node_id"]:
            what = f"this node was retired by {item['by']}: it is refused everywhere; set it up anew (`syncer init`)"
            yield Text(printable(what), style=Severity.BAD.value)
    gone = ", ".join(item["name"] for item in status.get("retired", ()) if item["node_id"] != status["node_id"])
    if gone:
        yield Text(printable(f"retired: {gone}"))
    introduced: dict[str, list[str]] = {}
    for peer in status.get("peers", ()):
        if peer.get("introduced_by"):
            introduced.setdefault(peer["introduced_by"], []).append(peer["name"])
        if peer.get("untold"):
            line = f"{peer['name']} has not heard yet of the other nodes: {peer['untold']}"
            yield Text(printable(line), style=Severity.LATE.value)
    for by, names in introduced.items():
        yield Text(printable(f"introduced by {by}: {', '.join(names)}"))
