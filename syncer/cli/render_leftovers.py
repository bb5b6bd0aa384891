"""What still stands on failover as lines; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncer.cli.output import printable
from syncer.cli.wording import counted

PLACES_SHOWN = 3
"""Places of one address for one reason that are listed for a person."""


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield what stands on each target, by address and reason, and the rules that are missing."""
    for target in result["targets"]:
        yield printable(f"{target['name']}: ") + _summary(target)
        yield from _places(target["found"])
        if target["total"] > len(target["found"]):
            yield f"  and {counted(target['total'] - len(target['found']), 'more place')}"
        for item in target["unread"]:
            yield printable(f"  {item['domain']} {item['path']}: not searched: {item['reason']}")
        if target["unread_total"] > len(target["unread"]):
            yield f"  and {counted(target['unread_total'] - len(target['unread']), 'more file')} not searched"
        if target["missing"]:
            yield f"  missing below [[failover]] {printable(target['name'])} on production:"
            for item in target["missing"]:
                yield ""
                yield from (f"  {printable(line)}" for line in item["table"].split("\n"))


def _places(found: list[dict[str, Any]]) -> Iterator[str]:
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in found:
        grouped.setdefault((item["address"], item["why"]), []).append(item)
    for (address, why), items in grouped.items():
        yield printable(f"  {address}: {why}")
        for item in items[:PLACES_SHOWN]:
            line = f":{item['line']}" if item["line"] else ""
            spelled = f": {item['text']}" if item["text"] != address else ""
            yield printable(f"    {item['domain']} {item['path']}{line}{spelled}")
        if len(items) > PLACES_SHOWN:
            yield f"    and {len(items) - PLACES_SHOWN:,} more (--json lists all)"


def standing_sentence(target: str, leftovers: dict[str, int] | None) -> str:
    """Return what a full synchronization says of a target; "" where nothing stands there."""
    if leftovers is None or not leftovers["files"]:
        return ""
    count, files = leftovers["addresses"], leftovers["files"]
    verb = "stands" if count == 1 else "stand"
    addresses = f"{count:,} address{'' if count == 1 else 'es'}"
    where = counted(files, "file")
    return printable(f"{addresses} of production still {verb} on {target} in {where}: see `syncer leftovers {target}`")


def _summary(target: dict[str, Any]) -> str:
    searched = counted(target["searched_files"], "file")
    if not target["total"]:
        return f"no address of production stands there ({searched} searched)"
    count = target["addresses"]
    addresses = f"{count:,} address{'' if count == 1 else 'es'}"
    return f"{addresses} of production in {counted(target['files'], 'file')} ({searched} searched)"
