"""The way home as one procedure: who is to be production again leads, who serves meanwhile is the second (pure).

What other products have an operator do in six steps (reverse replication) is done in these, in the same order: (1) no
automatic synchronization from the old production, (2) the serving node is pointed at it, (3) a full synchronization
back, (5) production is loaded and verified, (4) the way back is disabled, by the handover, (6) production to failover
is enabled again. The way back ends after the verification rather than before it: nothing can be lost in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.procedures import homecoming as names
from syncer.procedures.homecoming_node import ReturningNode
from syncer.procedures.kinds import Plain, Run, Step
from syncer.procedures.parts import Part
from syncer.procedures.steps import Procedure, Role, StepSpec

REVERSE = "reverse"
"""Name of the kind; the only one that a peer can have this node lead."""

DISABLE, CHECK, BEFORE_FAILBACK, TOLD = "disable", "check", "before_failback", "told"

FRONT_TITLES = {
    names.LOOK: "(2) Scan once more what stands here",
    names.COMPARE: "(2) Compare both sides, decide, and point the serving node here",
    names.KEEP: "(2) Keep what will be overwritten here",
    names.REJOIN: "(2) Make this node a failover server of the serving one",
    names.FILL: "(3) Synchronize in full, back to here",
    names.VERIFY: "(5) Verify both sides, byte for byte",
}
TAIL_TITLES = {
    names.LOOK: "(6) Scan once more what stands on the node that served",
    names.COMPARE: "(6) Compare both sides",
    names.KEEP: "(6) Keep what will be overwritten there",
    names.REJOIN: "(6) Make the node that served a failover server again",
    names.FILL: "(6) Enable synchronization from production to failover",
    names.VERIFY: "(6) Verify that both sides are equal",
}


SWITCH_TITLES = {
    "freeze": "(4) Freeze the serving node",
    "drain": "(4) Wait until everything has arrived",
    "hand_over": "(4) Disable the way back: the serving node hands over",
    "take_over": "(6) Take over: be production again",
    "serve": "(6) Start the services and check them",
}


class Disable(Plain):
    """The lead sends nothing, and will not by itself."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Refuse on a production node, and with a node that is not the one that serves."""
        if self._node.mode() is Mode.PRODUCTION:
            raise RefusedError("this node is production: there is nothing to bring home to it")
        await self._node.require_followed(run.procedure)

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Say what it is."""
        return {"mode": self._node.mode().value}


class Check(Plain):
    """Each domain's own check accepts what stands on the lead now."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the checks on the live tree, one that was merged as well."""
        return {"domains": await self._node.check(run.tell)}


class BeforeFailback(Plain):
    """The serving node's own preparation: a backup of a database, say."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the hook; its failure undoes the procedure."""
        await self._node.hook(BEFORE_FAILBACK, run.procedure)
        return {}


class Told(Plain):
    """The end is told, with numbers."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the hook that comes after, and raise the event."""
        trouble = await self._node.hook("after_failback", run.procedure)
        counts = numbers_of(run.results)
        # CRASH: told twice after a crash in between is better than never.
        self._node.tell("reversed", {"peer": run.procedure.peer_name, "procedure": run.procedure.id, **counts})
        return {**counts, "troubles": [trouble] if trouble else []}


def numbered(switch: Part) -> Part:
    """Return the switch with titles that say which of the six steps each is."""
    return switch._replace(
        steps=tuple(spec._replace(title=SWITCH_TITLES.get(spec.name, spec.title)) for spec in switch.steps)
    )


def front(node: ReturningNode) -> Part:
    """Return what comes before anything comes home."""
    return Part((StepSpec(DISABLE, "(1) Make sure that the old production sends nothing"),), {DISABLE: Disable(node)})


def middle(node: ReturningNode) -> Part:
    """Return what comes between the way home and the switch."""
    steps = (
        StepSpec(CHECK, "(5) Check what stands here with the domains' own checks"),
        StepSpec(BEFORE_FAILBACK, "(5) Prepare the serving node for the fail-back", on=Role.SECOND),
    )
    actions: dict[str, Step] = {CHECK: Check(node), BEFORE_FAILBACK: BeforeFailback(node)}
    return Part(steps, actions)


def end(node: ReturningNode) -> Part:
    """Return what comes last."""
    return Part((StepSpec(TOLD, "Tell what was done"),), {TOLD: Told(node)})


def numbers_of(results: Mapping[str, Mapping[str, Any]], prefix: str = "home") -> dict[str, Any]:
    """Return what a way home came to, in numbers: of paths, but for domains and bytes."""
    compared = _domains(results, f"{prefix}.compare")
    filled = _domains(results, f"{prefix}.fill")
    return {
        "domains": len(_domains(results, "old.fill") or filled),
        "changed_here": _sum(compared, "states", "here"),
        "changed_there": _sum(compared, "states", "there"),
        "conflicts": _sum(compared, "states", "conflict"),
        "overwritten": sum(int(one.get("overwritten", 0)) for one in compared),
        "kept": sum(int(one.get("kept_there", 0)) for one in compared),
        "changes": sum(int(one.get("changes", 0)) for one in filled),
        "bytes": sum(int(one.get("bytes", 0)) for one in filled),
    }


def report_of(
    procedure: Procedure, results: Mapping[str, Mapping[str, Any]], prefix: str = "home"
) -> Mapping[str, Any]:
    """Return what is kept of a homecoming on both nodes: the comparison, what was sent, and all of it as text.

    `prefix` is that of the steps by which somebody's changes came home.
    """
    counts = numbers_of(results, prefix)
    return {
        **counts,
        "text": "\n".join(_lines(procedure, results, counts, prefix)),
        "compared": list(_domains(results, f"{prefix}.compare")),
        "filled": list(_domains(results, f"{prefix}.fill")),
        "slipped_in": list(results.get(f"{prefix}.rejoin", {}).get("slipped_in", ())),
        "protected": dict(results.get(f"{prefix}.keep", {}).get("generations", {})),
    }


def _lines(
    procedure: Procedure, results: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Any], prefix: str
) -> list[str]:
    lines = [f"{procedure.kind} with {procedure.peer_name} ({procedure.id[:8]})"]
    for one in _domains(results, f"{prefix}.compare"):
        states = ", ".join(f"{count} {state}" for state, count in one.get("states", {}).items() if count) or "none"
        lines.append(f"{one.get('name')}: changed since the last common state: {states}; {one.get('same')} as before")
        for state, paths in one.get("first", {}).items():
            lines.append(f"  {state}: {', '.join(paths)}")
    lines.append(
        f"synchronized to the old production: {counts['changes']} changes, {counts['bytes']} bytes; "
        f"{counts['overwritten']} of its own were overwritten, {counts['kept']} paths stayed as it had them"
    )
    for domain, generation in results.get(f"{prefix}.keep", {}).get("generations", {}).items():
        lines.append(f"what was overwritten of {domain} is kept there: `syncer history {domain} {generation}`")
    return lines


def _domains(results: Mapping[str, Mapping[str, Any]], step: str) -> list[Mapping[str, Any]]:
    found = results.get(step, {}).get("domains", ())
    return [one for one in found if isinstance(one, dict)]


def _sum(domains: list[Mapping[str, Any]], key: str, state: str) -> int:
    return sum(int(one.get(key, {}).get(state, 0)) for one in domains)
