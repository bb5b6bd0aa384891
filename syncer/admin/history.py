"""`history` and `rollback` on a node: what was displaced on failover, and the way back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncer.admin.documents import entry_document
from syncer.apply.retention import reachable
from syncer.errors import ConfigurationError, RefusedError
from syncer.model import Mode, shown
from syncer.replicate import rollback as way_back
from syncer.replicate.destination import Destination
from syncer.state.generations import Displaced, Generation, read_displaced
from syncer.state.kept import kept_bytes, read_unkept
from syncer.state.protected import Protection

if TYPE_CHECKING:
    from syncer.node.agent import Node

PATHS_SHOWN = 10_000
"""Paths that one answer carries; the total is always told."""


def history(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the generations of one domain or of all, as docs/json.md describes them; blocking."""
    chosen = _destinations(node, arguments.get("domain"), "history")
    number = arguments.get("generation")
    result: dict[str, Any] = {"domains": [_domain(destination) for destination in chosen], "exit_code": 0}
    paths: list[dict[str, Any]] = []
    if number is not None:
        paths = _paths(chosen[0], int(number))
    return {**result, "paths": paths[:PATHS_SHOWN], "paths_total": len(paths)}


async def rollback(node: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    """Plan a rollback or carry it out, on the domain's worker: never beside a transaction of production."""
    [destination] = _destinations(node, str(arguments["domain"]), "rollback")
    assert node.failover is not None, "only failover has destinations"
    target = int(arguments["generation"])
    started = time.monotonic()

    def plan() -> dict[str, Any]:
        _require_in_force(node, destination)
        return _planned(destination, way_back.plan(destination, target))

    def work() -> dict[str, Any]:
        _require_in_force(node, destination)
        chosen = way_back.plan(destination, target)
        result = _planned(destination, chosen)
        seen = arguments.get("from")
        if not chosen.items:
            return result
        if seen is not None and seen != chosen.generation:
            raise RefusedError(
                f"{destination.domain} went from generation {seen} to {chosen.generation} since its plan was shown: "
                "nothing was done; run `syncer rollback` again"
            )
        done = way_back.roll_back(destination, chosen, str(arguments.get("by") or "somebody"))
        node.events.raise_event("rolled_back", _event(destination, done.generation, target, arguments))
        return result | {
            "outcome": "rolled back",
            "generation": done.generation,
            "problems": [{"path": shown(item.path), "reason": item.reason} for item in done.problems],
            "seconds": time.monotonic() - started,
            "exit_code": 1 if done.problems else 0,
        }

    if arguments.get("dry_run"):
        return await node.failover.receiver.on_worker(destination.domain, plan)
    return await node.failover.receiver.alone(destination.domain, work)


def _require_in_force(node: Node, destination: Destination) -> None:
    # RACE: the configuration may have been reloaded while we waited for the worker: this root may be none any more.
    if node.failover is None or node.failover.destinations.get(destination.domain) is not destination:
        raise RefusedError(
            f"the configuration of {destination.domain} was reloaded meanwhile: nothing was done; run it again"
        )


def _event(
    destination: Destination, generation: int, target: int, arguments: dict[str, Any]
) -> dict[str, str | int | float | bool]:
    by = str(arguments.get("by") or "somebody")
    return {"domain": destination.domain, "generation": generation, "to": target, "by": by}


def destination_of(node: Node, domain: str, command: str) -> Destination:
    """Return one destination; raises ConfigurationError, RefusedError where the command is for another mode."""
    return _destinations(node, domain, command)[0]


def require_generation(destination: Destination, number: int) -> None:
    """Raise ConfigurationError where the history has no such generation."""
    if number not in {item.number for item in destination.history.generations()}:
        raise ConfigurationError(
            f"{destination.domain} has no generation {number} in its history: see `syncer history {destination.domain}`"
        )


def _destinations(node: Node, domain: str | None, command: str) -> list[Destination]:
    # What it displaced while it was failover, a production node has as well.
    if node.failover is None or (node.mode is Mode.PRODUCTION and command == "rollback"):
        raise RefusedError(
            f"{node.settings.node.name} is in mode {node.mode.value}, and the history is kept where changes arrive: "
            f"run `syncer {command}` on the failover server; what is wrong here, edit here"
        )
    if node.mode is Mode.FENCED and command == "rollback":
        raise RefusedError(
            f"{node.settings.node.name} is fenced, and what was changed on it was never sent: nothing is rolled back "
            "before a person has decided what becomes of that; run `syncer rejoin`"
        )
    destinations = node.failover.destinations
    if domain is None:
        return list(destinations.values())
    if domain not in destinations:
        known = ", ".join(destinations) or "none"
        raise ConfigurationError(f"there is no domain {domain!a} in the configuration (configured: {known})")
    return [destinations[domain]]


def _domain(destination: Destination) -> dict[str, Any]:
    kept, limits = destination.history, destination.history.limits
    generations = kept.generations()
    standing = destination.standing()
    possible = reachable([item.number for item in generations if item.complete])
    done = destination.rolled_back.done
    held = kept_bytes(destination.store, destination.domain)
    pins, protected = kept.pins(), kept.protected()
    return {
        "name": destination.domain,
        "generation": standing.generation if standing else 0,
        "oldest_reachable": possible.start if possible else None,
        "kept_bytes": held,
        "limit_bytes": limits.size,
        "limit_generations": limits.generations,
        "over_size": held > limits.size,
        "rolled_back": None
        if done is None
        else {"generation": done.generation, "to": done.target, "at": _moment(done.at), "by": done.person},
        "generations": [_generation(destination, item, pins, protected) for item in reversed(generations)],
    }


def _generation(
    destination: Destination, item: Generation, pins: list[tuple[int, str]], protected: Mapping[int, Protection]
) -> dict[str, Any]:
    return {
        "number": item.number,
        "at": _moment(item.at),
        "kind": item.kind,
        "source": item.source_name,
        "source_node": item.source_node,
        "term": {"counter": item.term.counter, "node_id": item.term.node_id},
        "seq": item.seq,
        "changes": item.changes,
        "kept_bytes": kept_bytes(destination.store, destination.domain, item.number),
        "complete": item.complete,
        "taken_in": not item.stage,
        "incomplete": item.incomplete,
        "protected": protected[item.number].reason if item.number in protected else "",
        "pins": [reason for number, reason in pins if number == item.number],
    }


def _paths(destination: Destination, number: int) -> list[dict[str, Any]]:
    require_generation(destination, number)
    lacking = read_unkept(destination.store, destination.domain, number)
    rows = read_displaced(destination.store, destination.domain, number)
    return [_path(row, lacking.get(row.path, "")) for row in rows]


def _path(row: Displaced, lacking: str) -> dict[str, Any]:
    return {
        "path": shown(row.path),
        "before": None if row.entry is None else entry_document(row.entry),
        "edited": row.edited,
        "problem": lacking,
    }


def _planned(destination: Destination, chosen: way_back.RollbackPlan) -> dict[str, Any]:
    return {
        "domain": destination.domain,
        "outcome": "planned" if chosen.items else "equal",
        "from": chosen.generation,
        "to": chosen.target,
        "generation": None,
        "plan": [
            {"path": shown(item.path), "action": item.action, "kind": item.kind.name.lower(), "size": item.size}
            for item in chosen.items[:PATHS_SHOWN]
        ],
        "plan_total": len(chosen.items),
        "problems": [],
        "seconds": 0.0,
        "exit_code": 3 if chosen.items else 0,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
