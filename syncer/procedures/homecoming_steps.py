"""The steps of a homecoming, each of them for the node that does it; all of them bear to be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.errors import PeerProtocolError, RefusedError, StepFailedError
from syncer.model import Head, Mode, shown
from syncer.procedures import homecoming as names
from syncer.procedures.homecoming_node import ReturningNode, ServingNode
from syncer.procedures.kinds import Plain, Run, Step
from syncer.procedures.steps import Role

PATHS_TOLD = 5
_SKIPPED = {"skip": True}


def homecoming_steps(returning: ReturningNode, serving: ServingNode) -> dict[str, Step]:
    """Return what does each step, by its name; a node is the one or the other, whichever mode it is in."""
    return {
        names.LOOK: Look(returning),
        names.COMPARE: Compare(serving),
        names.KEEP: Keep(returning),
        names.REJOIN: Rejoin(returning),
        names.FILL: Fill(serving),
        names.VERIFY: Verify(serving),
    }


class Look(Plain):
    """Scan once more; where the node is failover already, there is nothing to come home from."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Refuse on the node that serves, and where the other one is not known to."""
        if self._node.mode() is Mode.PRODUCTION:
            raise RefusedError(
                f"this node is production, and comes home to nobody: {run.procedure.peer_name} must serve, and this "
                "node must have heard of its promotion"
            )
        if run.procedure.role is Role.LEAD:
            # A second has handed over to its lead, under a term that it recorded.
            await self._node.require_followed(run.procedure)
        if run.parameters.get("strict") and self._node.mode() is Mode.FAILOVER:
            peer = run.procedure
            await self._node.require_filled(peer.peer, peer.peer_name, exact=bool(run.parameters.get("exact")))

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return where each domain stands."""
        if self._node.mode() is Mode.FAILOVER:
            return _SKIPPED
        found = await self._node.look()
        return {
            "domains": [{"name": one.domain, "head": list(one.head), "unsent": one.unsent} for one in found],
            "unsent": sum(one.unsent or 0 for one in found),
            # Whoever brings it back to what it was must know it, also after a crash.
            "running": await self._node.running() if run.parameters.get("strict") else [],
        }


class Compare(Plain):
    """Compare with the last common state and decide; nothing is changed on either side."""

    def __init__(self, node: ServingNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Refuse unless this node serves."""
        _require_serving(self._node)

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return what was found, once what was decided is durable."""
        if run.parameters.get("skip"):
            return _SKIPPED
        wishes = {key: run.parameters[key] for key in names.WISHES if key in run.parameters}
        return await self._node.compare(run.procedure.peer, run.procedure.id, wishes, run.tell)

    async def undo(self, run: Run) -> None:
        """Let the streams go on by themselves."""
        await self._node.release(run.procedure.id)


class Keep(Plain):
    """Protect what will be overwritten, before it is."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return which generation of each domain is protected."""
        if run.parameters.get("skip") or self._node.mode() is not Mode.FENCED:
            return _SKIPPED
        reason = f"what was changed here and never sent, before this node came home to {run.procedure.peer_name}"
        return {"generations": dict(await self._node.keep(reason))}


class Rejoin(Plain):
    """Become failover."""

    def __init__(self, node: ReturningNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Refuse where something was decided path by path, and has changed since."""
        if run.parameters.get("skip") or self._node.mode() is not Mode.FENCED:
            return
        moved = await self._node.moved(heads_of(run.parameters))
        if moved and run.parameters.get("exact"):
            domain, paths = next(iter(moved.items()))
            raise RefusedError(
                f"{len(paths)} paths of domain {domain} have changed here since both sides were compared, such as "
                f"{shown(paths[0])!a}: what was decided may not fit them; stop what writes there, and run it again"
            )

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return what slipped in since the comparison, and what went wrong with services and hook."""
        if run.parameters.get("skip"):
            return _SKIPPED
        moved: Mapping[str, list[bytes]] = {}
        if self._node.mode() is Mode.FENCED:
            # What slips in now is overwritten, too, and kept as the rest is.
            moved = await self._node.moved(heads_of(run.parameters))
        await self._node.become_failover(f"it comes home to {run.procedure.peer_name}")
        troubles = []
        if not run.parameters.get("keep_services"):
            troubles = await self._node.stop_services(f"the procedure {run.procedure.id[:8]}")
        trouble = await self._node.hook("after_demote", run.procedure)
        return {
            "slipped_in": [
                {"domain": domain, "total": len(paths), "first": [shown(path) for path in paths[:PATHS_TOLD]]}
                for domain, paths in moved.items()
            ],
            "troubles": [*troubles, *([trouble] if trouble else [])],
        }

    async def undo(self, run: Run) -> Mapping[str, Any] | None:
        """Leave it failover only where it has all that the serving node has; else what it never sent counts again."""
        if run.parameters.get("skip"):
            return None
        running = [] if run.parameters.get("keep_services") else list(run.parameters.get("running", ()))
        generations = dict(run.parameters.get("generations") or {})
        return {"note": await self._node.turn_back(run.procedure, generations, running)}


class Fill(Plain):
    """Synchronize in full."""

    def __init__(self, node: ServingNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Refuse unless this node serves."""
        _require_serving(self._node)

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return what was sent."""
        return await self._node.fill(run.procedure.peer, run.tell, exact=bool(run.parameters.get("exact")))


class Verify(Plain):
    """Make sure that both sides are equal."""

    def __init__(self, node: ServingNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Return how much was compared."""
        _require_serving(self._node)
        exact, reread = bool(run.parameters.get("exact")), bool(run.parameters.get("verify"))
        return await self._node.verify(run.procedure.peer, run.tell, exact=exact, reread=reread)


def heads_of(parameters: Mapping[str, Any]) -> dict[str, Head]:
    """Return the heads of an order, which are a peer's word: PeerProtocolError where they are none."""
    found: dict[str, Head] = {}
    given = parameters.get("heads") or {}
    if not isinstance(given, dict):
        raise PeerProtocolError("the heads of an order are none")
    for domain, head in given.items():
        match head:
            case [str(index_id), str(run), int(seq)] if 0 <= seq < 1 << 63:
                found[str(domain)] = Head(index_id, run, seq)
            case _:
                raise PeerProtocolError("the heads of an order are none")
    return found


def _require_serving(node: ServingNode) -> None:
    if node.mode() is not Mode.PRODUCTION:
        raise StepFailedError(
            f"this node is in mode {node.mode().value}: only the production node brings another one home", again=False
        )
