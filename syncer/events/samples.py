"""Made-up variables of an event, to prove templates with, and for `syncer trigger test` (pure)."""

from __future__ import annotations

from syncer.events.catalogue import CATALOGUE
from syncer.events.notice import TEST, Notice
from syncer.events.states import STATES
from syncer.model import EventValue

_SAMPLES: dict[str, EventValue] = {
    "kind": "partial",
    "success": True,
    "target": "dr-a",
    "domain": "nginx",
    "peer": "dr-a",
    "consecutive_failures": 3,
    "seconds": 1.5,
    "error_class": "unreachable",
    "state": "unreachable",
    "action": "reload",
}
_ON_FAILOVER = frozenset({"peer.silent", "peer.heard", "rules.refused"})
"""Events that failover raises about production."""
_BY_KIND: dict[type[EventValue], EventValue] = {str: "example", int: 3, float: 1.5, bool: True}


def sample_variables(event: str, node: str) -> dict[str, EventValue]:
    """Return a value for each variable of the event; such that it begins a state, where it can."""
    definition = CATALOGUE[event]
    found = {name: _SAMPLES.get(name, _BY_KIND[variable.kind]) for name, variable in definition.variables.items()}
    found["node"] = node
    if event in _ON_FAILOVER:
        found["peer"] = "prod-a"
    for name in ("peer", "target"):
        # No node is its own peer.
        if found.get(name) == node:
            found[name] = f"{str(node)[:-1]}b" if str(node).endswith("-a") else f"{node}-b"
    if event in STATES:
        found.update(STATES[event].having)
    return found


def zero_variables(event: str, node: str) -> dict[str, EventValue]:
    """Return the same with 0 for each number: what a template or a condition divides by may be that."""
    found = sample_variables(event, node)
    return {name: type(value)(0) if type(value) in (int, float) else value for name, value in found.items()}


def sample_notice(trigger: str, event: str, node: str, at: float) -> Notice:
    """Return a notice that is marked as a test."""
    return Notice(TEST, trigger, event, node, at, at, 1, False, (), sample_variables(event, node))


def zero_notice(trigger: str, event: str, node: str) -> Notice:
    """Return a notice with 0 for each number."""
    return Notice(TEST, trigger, event, node, 0.0, 0.0, 1, False, (), zero_variables(event, node))
