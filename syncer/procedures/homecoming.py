"""How a node that was production becomes failover of the one that serves, without losing anybody's edits (pure).

Steps alternate between the two: who comes home (X) looks, keeps and becomes failover; who serves (S) compares, fills
and verifies. X may be the lead or the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.procedures.home_plan import Policy
from syncer.procedures.kinds import Run, Step
from syncer.procedures.parts import Ordered, Part
from syncer.procedures.steps import Role, StepSpec

LOOK, COMPARE, KEEP, REJOIN, FILL, VERIFY = "look", "compare", "keep", "rejoin", "fill", "verify"
NAMES = (LOOK, COMPARE, KEEP, REJOIN, FILL, VERIFY)

TITLES = {
    LOOK: "Scan once more what stands on the old production",
    COMPARE: "Compare both sides with the last state that they had in common, and decide",
    KEEP: "Keep what will be overwritten",
    REJOIN: "Make the old production a failover server of the serving node",
    FILL: "Synchronize it in full",
    VERIFY: "Verify that both sides are equal",
}
_OURS = (LOOK, KEEP, REJOIN)
"""What the node does that comes home."""
WISHES = ("policy", "prefer", "expect", "decided", "unseen")
"""Parameters that say how to decide."""


def other_role(role: Role) -> Role:
    """Return the role of the other node."""
    return Role.SECOND if role is Role.LEAD else Role.LEAD


def homecoming(
    old: Role,
    prefix: str,
    actions: Mapping[str, Step],
    *,
    chosen: bool = True,
    no_return: str = REJOIN,
    titles: Mapping[str, str] = {},
) -> Part:
    """Return the part in which the node with the role `old` comes home to the other one.

    `chosen`: the procedure's parameters say how to decide; else the serving node's state stays as a whole. `no_return`:
    the step from which nothing can be undone, "" for none: then an undo leaves the node failover. `actions` do the
    steps, by their names without the prefix.
    """
    said = {**TITLES, **titles}
    specs = tuple(
        StepSpec(
            f"{prefix}.{name}",
            said[name],
            old if name in _OURS else other_role(old),
            point_of_no_return=name == no_return,
        )
        for name in NAMES
    )

    def order(name: str) -> Ordered:
        return lambda run: ordered(run, prefix, name, chosen=chosen)

    return Part(
        specs,
        {f"{prefix}.{name}": _Given(actions[name], prefix, name, chosen=chosen) for name in NAMES},
        {f"{prefix}.{name}": order(name) for name in NAMES},
    )


def ordered(run: Run, prefix: str, name: str, *, chosen: bool) -> Mapping[str, Any]:
    """Return what one step is given, on either node: so much of what the lead knows as it needs."""
    looked = run.results.get(f"{prefix}.{LOOK}", {})
    given: dict[str, Any] = {"skip": bool(looked.get("skip"))}
    parameters = run.parameters
    if name == LOOK:
        # What comes behind a switch is done, whatever the old production has become meanwhile.
        return {"strict": chosen, "exact": chosen and is_exact(parameters)}
    if name == COMPARE:
        wishes = {key: parameters[key] for key in WISHES if key in parameters} if chosen else {"unseen": True}
        return given | wishes
    if name == REJOIN:
        compared = run.results.get(f"{prefix}.{COMPARE}", {})
        heads = {one.get("name"): one.get("there") for one in compared.get("domains", ())}
        return given | {
            "running": list(looked.get("running", ())),
            "generations": dict(run.results.get(f"{prefix}.{KEEP}", {}).get("generations", {})),
            "heads": heads,
            # What one side keeps by a choice was decided for what stood then, and for nothing later.
            "exact": chosen and is_exact(parameters),
            "keep_services": bool(parameters.get("keep_services")),
        }
    if name == FILL:
        return given | {"exact": chosen and is_exact(parameters)}
    if name == VERIFY:
        return given | {"exact": chosen and is_exact(parameters), "verify": chosen and bool(parameters.get("verify"))}
    return given


def is_exact(parameters: Mapping[str, Any]) -> bool:
    """Tell whether something was chosen for what stands now, and for nothing else."""
    return bool(parameters.get("prefer") or parameters.get("expect") or parameters.get("policy") == Policy.MERGE.value)


class _Given:
    """A step that finds in its parameters the same on either node: what was ordered."""

    def __init__(self, step: Step, prefix: str, name: str, *, chosen: bool) -> None:
        self._step = step
        self._prefix = prefix
        self._name = name
        self._chosen = chosen

    async def require(self, run: Run) -> None:
        await self._step.require(self._given(run))

    async def do(self, run: Run) -> Mapping[str, Any]:
        return await self._step.do(self._given(run))

    async def verify(self, run: Run) -> None:
        await self._step.verify(self._given(run))

    async def undo(self, run: Run) -> Mapping[str, Any] | None:
        return await self._step.undo(self._given(run))

    def _given(self, run: Run) -> Run:
        if run.procedure.role is Role.SECOND:
            return run
        return run._replace(parameters=ordered(run, self._prefix, self._name, chosen=self._chosen))
