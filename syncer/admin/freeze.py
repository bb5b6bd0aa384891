"""`freeze` and `thaw` on a production node, for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncer.admin.hold import LONGEST_TEXT
from syncer.errors import RefusedError
from syncer.state.freezes import OPERATOR
from syncer.state.holds import ACTIVE

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.procedures.freeze import Freezes


async def freeze(node: Node, production: ProductionSide, arguments: dict[str, Any]) -> dict[str, Any]:
    """Freeze domains, all or none of them. Raises as Freezes.freeze does, and RefusedError where one is held."""
    domains = [str(name) for name in arguments.get("domains") or []]
    for hold in production.pauses.holds:
        if hold.state == ACTIVE and (not domains or hold.domain in domains):
            raise RefusedError(f"{hold.domain} is held while `{hold.command}` runs: freeze it when that has ended")
    seconds = arguments.get("seconds")
    report = await _freezes(node).freeze(
        str(arguments.get("reason") or "")[:LONGEST_TEXT],
        OPERATOR,
        domains=domains,
        seconds=None if seconds is None else float(seconds),
        read_only=bool(arguments.get("read_only")),
    )
    frozen = [
        {
            "domain": item.domain,
            "until": datetime.fromtimestamp(item.until, UTC).isoformat(timespec="milliseconds"),
            "head_seq": item.head.seq,
            "command": item.command,
            "was_running": item.was_running,
            "starts_again": item.starts_again,
            "read_only": item.read_only,
        }
        for item in report.domains
    ]
    return {"frozen": frozen, "exit_code": 0}


async def thaw(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """End freezes; also without an agent. Raises as Freezes.thaw does."""
    done = await _freezes(node).thaw(OPERATOR, domains=[str(name) for name in arguments.get("domains") or []])
    thawed = [
        {
            "domain": item.domain,
            "seconds": item.seconds,
            "changed": item.changed,
            "sample": list(item.sample),
            "services": item.started,
        }
        for item in done
    ]
    return {"thawed": thawed, "exit_code": 1 if any(item.started == "failed" for item in done) else 0}


def _freezes(node: Node) -> Freezes:
    assert node.freezes is not None, "a node that answers commands was prepared"
    return node.freezes
