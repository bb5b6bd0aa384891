"""What stands between a node and its promotion, as lines: what is graver last, so that it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LEVELS = ("ok", "warning", "refusal")


def readiness_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each finding of a readiness."""
    for finding in sorted(found["findings"], key=lambda item: _LEVELS.index(item["level"])):
        where = f" {finding['domain']}" if finding["domain"] else ""
        cure = f" ({finding['cure']})" if finding["cure"] else ""
        yield f"  {finding['level']:8} {finding['name']}{where}: {finding['sentence']}{cure}"
