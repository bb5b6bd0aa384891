"""What procedures need of the node that they run on: its word among its peers, the way to them, and their events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc.aio

from syncer.errors import UnreachableError
from syncer.model import Mode, Term
from syncer.procedures.keeper import Procedures
from syncer.procedures.kinds import Kinds
from syncer.procedures.messages import Speaker
from syncer.state.cursors import read_target
from syncer.state.peers import peer_by_node_id
from syncer.state.term import observe_term, read_term
from syncer.trust.tls import open_channel

if TYPE_CHECKING:
    from syncer.node.agent import Node

Heard = Callable[[str, str, Term, Mode], Awaitable[object]]
"""Takes note of a peer's node id, name, term and mode: makes a higher term durable before it returns."""


class NodeVoice:
    """The node's standing among its peers, as node.db has it."""

    def __init__(self, node: Node) -> None:
        """Speak for `node`."""
        self.heard: Heard = self._observe
        """What is done with a peer's word; whoever knows more than the term puts its own here."""
        self._node = node

    async def speak(self) -> Speaker:
        """Return who this node is, and the highest term that it has seen."""
        return await asyncio.to_thread(self._now)

    async def hear(self, peer: Speaker) -> Speaker:
        """Take note of what a pinned peer says of itself; return what holds now."""
        await self.heard(peer.node_id, peer.node_name, peer.term, peer.mode)
        return await self.speak()

    def _now(self) -> Speaker:
        store = self._node.store
        return Speaker(store.node_id, self._node.settings.node.name, read_term(store), self._node.mode)

    async def _observe(self, node_id: str, name: str, term: Term, mode: Mode) -> None:
        await asyncio.to_thread(observe_term, self._node.store, term)


def procedures_of(node: Node, kinds: Kinds) -> tuple[Procedures, NodeVoice]:
    """Return the procedures of a node, of which nothing runs yet, and the voice that they speak with."""
    voice = NodeVoice(node)
    return Procedures(node.store, kinds, voice, lambda peer: dial(node, peer), node.events.raise_event), voice


def dial(node: Node, node_id: str) -> grpc.aio.Channel:
    """Open a channel to a paired node. UnreachableError where it is not paired, or nobody knows where it is."""
    peer = peer_by_node_id(node.store, node_id)
    if peer is None:
        raise UnreachableError(f"the node {node_id} is not paired with this one any more: pair it again")
    for target in node.settings.failover:
        record = read_target(node.store, target.name)
        if record is not None and record.node_id == node_id:
            return open_channel(target.address, node.identity, peer.certificate_pem)
    raise UnreachableError(
        f"this node does not know the address of {peer.name}: it is called from there, or add a [[failover]] table "
        "for it and join"
    )
