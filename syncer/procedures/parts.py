"""Parts that kinds of procedures are joined of: steps in order, with what does them and what they are ordered with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from syncer.procedures.kinds import Kind, Run, Step
from syncer.procedures.steps import Procedure, StepSpec

Ordered = Callable[[Run], Mapping[str, Any]]
"""Returns what a step of the second is ordered with, from what the lead knows."""


Report = Callable[[Procedure, Mapping[str, Mapping[str, Any]]], Mapping[str, Any]]
"""Returns what is kept of a procedure, from the results of its steps."""


def _nothing(procedure: Procedure, results: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return {}


class Part(NamedTuple):
    """Some steps that follow each other."""

    steps: tuple[StepSpec, ...]
    actions: Mapping[str, Step]
    """For each step by its name."""
    orders: Mapping[str, Ordered] = {}


def kind_of(name: str, *parts: Part, report: Report = _nothing) -> Kind:
    """Return the kind that does these parts one after another; their steps have different names."""
    actions: dict[str, Step] = {}
    orders: dict[str, Ordered] = {}
    for part in parts:
        actions.update(part.actions)
        orders.update(part.orders)
    return Kind(name, tuple(spec for part in parts for spec in part.steps), actions, orders=orders, report=report)
