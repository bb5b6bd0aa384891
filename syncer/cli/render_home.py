"""A plan of a homecoming for people and JSON: what each side changed, what is overwritten, and where it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syncer.cli.wording import counted
from syncer.model import shown
from syncer.procedures.comparison import State
from syncer.procedures.home_plan import DomainPlan, Item, Plan, Take, kept_in_history, summed, taken

PATHS_SHOWN = 5


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan as a person reads it before it is carried out."""
    yield f"{plan.there} comes home to {plan.here}, which serves; since the last state that both had in common:"
    for found in plan.domains:
        yield from _domain_lines(plan, found)


def undecided_lines(plan: Plan) -> Iterator[str]:
    """Yield what waits for a person, and how it is decided."""
    for found in plan.domains:
        waiting = found.undecided
        if not waiting:
            continue
        yield f"{found.domain}: {counted(len(waiting), 'path')} must be decided first: {_first(list(waiting))}"
        path = f"{found.domain}:{shown(waiting[0])}"
        yield f'  --prefer "{path}={plan.here}" keeps what {plan.here} has, ={plan.there} what {plan.there} has'


def roles_line(roles: Mapping[str, Any]) -> str:
    """Say who is what once it is carried out."""
    return f"afterwards {roles['production']} is production, and {roles['failover']} its failover"


def document(plan: Plan) -> dict[str, Any]:
    """Return a plan in numbers and first paths, as docs/json.md describes it."""
    return {
        "here": {"node": plan.here, "node_id": plan.here_id},
        "there": {"node": plan.there, "node_id": plan.there_id},
        "policy": plan.policy.value,
        "domains": [
            {
                "name": found.domain,
                "fingerprint": found.fingerprint.hex(),
                "compared": "contents" if found.by_content else "changes",
                "same": found.same,
                "states": summed(found),
                "first": {state.value: [shown(path) for path in _paths(found, state)[:PATHS_SHOWN]] for state in State},
                "undecided": len(found.undecided),
                "overwritten": len(kept_in_history(found)),
                "kept_there": len(taken(found, Take.THERE)),
            }
            for found in plan.domains
        ],
    }


def _domain_lines(plan: Plan, found: DomainPlan) -> Iterator[str]:
    how = " (compared by contents: the index of the other node was made anew)" if found.by_content else ""
    if not found.items:
        yield f"{found.domain}: nothing was changed on either, {counted(found.same, 'path')}{how}"
        return
    yield f"{found.domain}: {counted(found.same, 'path')} as before{how}"
    names = {
        State.HERE: f"changed on {plan.here} only",
        State.THERE: f"changed on {plan.there} only",
        State.ALIKE: "changed on both, to the same",
        State.CONFLICT: "changed on both",
        State.NEVER_SENT: f"on {plan.there} only, which could never send it: it stays there",
    }
    for state, name in names.items():
        items = [item for item in found.items if item.difference.state is state]
        if items:
            yield f"  {len(items):>7,}  {name}: {_first([item.difference.path for item in items])}{_takes(plan, items)}"
    overwritten = kept_in_history(found)
    if overwritten:
        paths = _first([one.path for one in overwritten])
        yield f"  {counted(len(overwritten), 'change')} of {plan.there} will be overwritten: {paths}"
        yield f"  what they overwrite is kept on {plan.there}, whatever its limits: `syncer history {found.domain}`"


def _takes(plan: Plan, items: list[Item]) -> str:
    """Say whose state stays where a person must know it."""
    if items[0].difference.state in (State.ALIKE, State.NEVER_SENT):
        return ""
    counts = {take: sum(item.take is take for item in items) for take in (Take.HERE, Take.THERE, None)}
    names = {Take.HERE: f"{plan.here} wins", Take.THERE: f"{plan.there} wins", None: "to be decided"}
    said = [
        f"{names[take]} {count:,}" if count < len(items) else names[take] for take, count in counts.items() if count
    ]
    return f" ({', '.join(said)})"


def _paths(found: DomainPlan, state: State) -> list[bytes]:
    return [item.difference.path for item in found.items if item.difference.state is state]


def _first(paths: list[bytes]) -> str:
    more = f" and {len(paths) - PATHS_SHOWN:,} more" if len(paths) > PATHS_SHOWN else ""
    return ", ".join(shown(path) for path in paths[:PATHS_SHOWN]) + more
