"""Says why a node cannot do its own part now, from its status; what peers do wrong is not its readiness (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def unready(status: dict[str, Any], stalled: Sequence[str]) -> list[str]:
    """Return the reasons, none where the node is ready; `stalled` are the parts that do not move."""
    found = list(stalled)
    if status["mode"] not in ("production", "failover"):
        found.append(f"this node is {status['mode']}: it neither sends nor accepts changes")
    for domain in status["domains"]:
        name, state = domain["name"], domain["state"]
        if state == "scanning":
            found.append(f"domain {name}: its first scan is not complete")
        elif state in ("unavailable", "failing"):
            found.append(f"domain {name}: {domain['reason']}")
    return found
