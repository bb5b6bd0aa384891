"""`syncer promote`: what a promotion of this node would meet, and the promotion itself, followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from syncer.admin.following import Event, begun_and_followed
from syncer.errors import RefusedError, UnreachableError
from syncer.model import Mode
from syncer.node.claiming import claim
from syncer.node.kinds import PROMOTE, PROMOTE_FORCED
from syncer.node.readiness_side import (
    ASKED_SECONDS,
    FORCED_SEARCH_SECONDS,
    SEARCH_SECONDS,
    ask,
    facts_of,
    production_of,
)
from syncer.procedures.messages import Speaker
from syncer.procedures.preconditions import assess
from syncer.procedures.readiness import Purpose, document
from syncer.procedures.shown import open_procedures
from syncer.state.peers import Peer, peers

if TYPE_CHECKING:
    from syncer.node.agent import Node

KINDS = {"planned": PROMOTE, "forced": PROMOTE_FORCED}
GIVEN_UP = "given up for a forced promotion"


async def promote(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """With `plan` say what a promotion would meet; else begin the one of `kind` that was shown, and follow it.

    Raises RefusedError where it cannot begin.
    """
    force = bool(arguments.get("force"))
    if arguments.get("plan"):
        yield "result", await _planned(node, force=force)
        return
    kind, peer = str(arguments.get("kind") or ""), await asyncio.to_thread(_production, node)
    if kind not in KINDS or (kind == "forced" and not force):
        raise RefusedError(f"a promotion is planned, or forced with `--force`, not {kind!a}")
    if force:
        await _give_up(node, peer)
    parameters = {"keep_services": bool(arguments.get("keep_services"))} if kind == "planned" else {}
    procedure = await node.procedures.begin(KINDS[kind], peer, parameters)
    async for event in begun_and_followed(node, procedure.id):
        yield event


async def _planned(node: Node, *, force: bool) -> dict[str, Any]:
    mode, _ = node.mode_and_term()
    if mode is not Mode.FAILOVER:
        cure = "run it on the failover node" if mode is Mode.PRODUCTION else "run `syncer rejoin` first"
        raise RefusedError(f"{node.settings.node.name} is {mode.value}, and only a failover node is promoted: {cure}")
    peer = await asyncio.to_thread(_production, node)
    given_up = await asyncio.to_thread(_open, node, peer) if force else []
    # What is given up first stands in nobody's way.
    besides = str(given_up[0]["id"]) if given_up else ""
    search = FORCED_SEARCH_SECONDS if force else SEARCH_SECONDS
    asking = asyncio.ensure_future(ask(node, peer, ASKED_SECONDS if force else None))
    try:
        purpose = Purpose.FORCED if force else Purpose.PLANNED
        facts = await facts_of(node, purpose, search=search, check=True, besides=besides, said=asyncio.shield(asking))
        trouble = _trouble(peer, await asking)
    finally:
        asking.cancel()
    kind = "forced" if force or trouble else "planned"
    found = document(Purpose(kind), assess(facts, Purpose(kind)))
    needs_force = bool(trouble) and not force
    return {
        "kind": kind,
        "node": node.settings.node.name,
        "peer": peer.name,
        "answers": not trouble,
        "trouble": trouble,
        "needs_force": needs_force,
        "gives_up": given_up,
        "readiness": found,
        "exit_code": UnreachableError.exit_code if needs_force else 0 if found["ready"] else RefusedError.exit_code,
    }


def _trouble(peer: Peer, said: Speaker | str) -> str:
    """Say why production cannot hand over; "" where it can."""
    if isinstance(said, str):
        return said
    if said.mode is not Mode.PRODUCTION:
        return f"{peer.name} is {said.mode.value}, and has no role to hand over"
    return ""


def _production(node: Node) -> Peer:
    """Return the node whose role is taken over; blocking."""
    found = production_of(node)
    if found is not None:
        return found
    paired = peers(node.store)
    if len(paired) != 1:
        raise RefusedError(
            f"{node.settings.node.name} has received nothing yet, so it has nothing to take over: pair it, and let "
            "production synchronize first"
        )
    return paired[0]


def _open(node: Node, peer: Peer) -> list[dict[str, Any]]:
    return [found for found in open_procedures(node.procedures) if found["peer_id"] == peer.node_id]


async def _give_up(node: Node, peer: Peer) -> None:
    """End here what is open with a node that is taken for dead, without it: it hears of the end when it returns."""
    given_up = await asyncio.to_thread(_open, node, peer)
    if given_up:
        # RACE: it may be alive, and would take back what it has handed over: it hears a higher term first.
        await claim(node, str(given_up[0]["id"]))
    for found in given_up:
        await node.procedures.abort(found["id"], why=GIVEN_UP, force=True)
        await node.procedures.over(found["id"])
