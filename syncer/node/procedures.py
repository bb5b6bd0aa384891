"""What procedures need of the node that they run on: its word among its peers, the way to them, and their events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc.aio

from syncer.errors import UnreachableError
from syncer.node import home_decisions
from syncer.node.introduced import stated_addresses
from syncer.node.seeking import Doubts, seek
from syncer.node.way_home import addresses_to
from syncer.procedures.keeper import Procedures
from syncer.procedures.kinds import Kinds
from syncer.procedures.messages import Speaker
from syncer.procedures.steps import Outcome
from syncer.replicate.fencing import Rank
from syncer.state.cursors import read_target
from syncer.state.peers import Peer, peer_by_node_id
from syncer.trust.tls import open_channel

if TYPE_CHECKING:
    from syncer.node.agent import Node


class NodeVoice:
    """The node's standing among its peers: its mode and its term, of one moment."""

    def __init__(self, node: Node, ways: Ways) -> None:
        """Speak for `node`; `ways` lead to those that it hears."""
        self._node = node
        self._ways = ways

    async def speak(self) -> Speaker:
        """Return who this node is, and the highest term that it has seen."""
        return self._speaker(await asyncio.to_thread(self._node.modes.rank))

    async def hear(self, peer: Speaker) -> Speaker:
        """Take note of what a pinned peer says of itself, be fenced by it where its term says so; return what holds."""
        self._ways.answered(peer.node_id)
        return self._speaker(await self._node.modes.heard(peer.node_id, peer.node_name, peer.term, peer.mode))

    def _speaker(self, rank: Rank) -> Speaker:
        return Speaker(self._node.store.node_id, self._node.settings.node.name, rank.term, rank.mode)


class Ways:
    """Where paired nodes are: by the [[failover]] tables and those derived, else by what they said of themselves."""

    def __init__(self, node: Node) -> None:
        """Look for the peers of `node`."""
        self._node = node
        self._doubts: dict[str, Doubts] = {}

    async def dial(self, node_id: str) -> grpc.aio.Channel:
        """Open a channel to a paired node. UnreachableError where it is not paired, or not to be found."""
        peer, address = await self.find(node_id)
        return open_channel(address, self._node.identity, peer.certificate_pem)

    async def find(self, node_id: str) -> tuple[Peer, str]:
        """Return a paired node and where it is (host:port); UnreachableError as `dial`."""
        peer, addresses = await asyncio.to_thread(self._find, node_id)
        if len(addresses) == 1:
            return peer, addresses[0]
        return peer, await seek(peer.name, addresses, self._doubts.setdefault(node_id, Doubts()))

    def answered(self, node_id: str) -> None:
        """Believe again where a node was found: it has spoken."""
        if node_id in self._doubts:
            self._doubts[node_id].answered()

    def _find(self, node_id: str) -> tuple[Peer, list[str]]:
        store = self._node.store
        peer = peer_by_node_id(store, node_id)
        if peer is None:
            raise UnreachableError(f"the node {node_id} is not paired with this one any more: pair it again")
        for target in self._node.settings.failover:
            record = read_target(store, target.name)
            if record is not None and record.node_id == node_id:
                return peer, [target.address, *target.further]
        addresses = list(dict.fromkeys([*addresses_to(store, node_id), *stated_addresses(store, node_id)]))
        if not addresses:
            raise UnreachableError(
                f"this node does not know the address of {peer.name}: it is called from there, or add a [[failover]] "
                "table for it and join"
            )
        return peer, addresses


def procedures_of(node: Node, kinds: Kinds) -> tuple[Procedures, NodeVoice]:
    """Return the procedures of a node, of which nothing runs yet, and the voice that they speak with."""
    ways = Ways(node)
    voice = NodeVoice(node, ways)
    return Procedures(node.store, kinds, voice, ways.dial, node.events.raise_event), voice


def is_open(procedures: Procedures, procedure: str) -> bool:
    """Tell whether a procedure, by its whole id, is under way; for any thread."""
    known = procedures.journal.read(procedure)
    return known is not None and known.journal.outcome is Outcome.OPEN


def awaited(procedures: Procedures) -> frozenset[str]:
    """Return the nodes that a procedure under way brings home and that cannot be sent anything yet; blocking."""
    return home_decisions.awaited(procedures.journal.unsettled())


async def knock(procedures: Procedures, peer: Peer, own: Rank) -> Rank:
    """Tell a peer what this node is by now, at least `own`; returns what it answers. See knocking.Knock."""
    said = await procedures.knock(peer)
    return Rank(said.mode, said.term)
