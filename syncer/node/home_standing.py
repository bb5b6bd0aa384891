"""What a node stands at as a failover of the one that serves, and whether it may be brought home from there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.state.cursors import read_standing
from syncer.state.peers import Peer

if TYPE_CHECKING:
    from syncer.node.agent import Node

TURNING_BACK = frozenset({(Mode.FAILOVER, Mode.FENCED)})
"""The way of a mode that is for the undo of a way home alone."""


async def unfilled(node: Node, serving: str) -> list[str]:
    """Return the domains that the serving node has not synchronized since this node became failover; none: at home."""

    def read() -> list[str]:
        found = {domain.name: read_standing(node.store, domain.name) for domain in node.settings.domains}
        # Whoever was production in between, or fenced, has nothing to be resumed.
        return [name for name, at in found.items() if at is None or at.source_node != serving or not at.resumable]

    return await asyncio.to_thread(read)


async def require_reversible(node: Node, peer: Peer, *, exact: bool) -> None:
    """Raise RefusedError where this node is not to become production again by coming home, or not in this way.

    `exact`: something was chosen, which only a comparison can carry out.
    """
    name = node.settings.node.name
    # One that is fenced was production, whatever it is configured as.
    if node.settings.node.mode is Mode.FAILOVER and node.mode is not Mode.FENCED:
        raise RefusedError(
            f"{name} would become production, but is configured as failover ([node] mode): a way home leads to a node "
            f"that is configured as production; run `syncer promote` on {name} if that is what you want"
        )
    if node.mode is Mode.FAILOVER:
        await require_filled(node, peer.node_id, peer.name, exact=exact)


async def require_filled(node: Node, serving: str, serving_name: str, *, exact: bool) -> None:
    """Raise RefusedError where this failover node is not at home yet, or `exact`: where nothing can be chosen."""
    name = node.settings.node.name
    missing = await unfilled(node, serving)
    if missing:
        raise RefusedError(
            f"{name} is failover, but {serving_name} has not synchronized {', '.join(missing)} to it since: nothing "
            f"can be compared or exchanged before; `syncer status` on {serving_name} says what it waits for, and "
            f"`syncer snapshot` there synchronizes in full"
        )
    if exact:
        raise RefusedError(at_home_sentence(name, serving_name))


def at_home_sentence(name: str, serving: str) -> str:
    """Say why nothing can be chosen of a node that is at home already."""
    return (
        f"{name} is failover of {serving} already, and has what that sends: there is nothing left to be merged or "
        f"chosen, so leave --merge, --prefer and --apply out; what was overwritten of its own is in its history "
        f"(`syncer history` on {name})"
    )
