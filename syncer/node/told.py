"""What a node does with what production tells it of other nodes: believe it or not, and what follows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from syncer.errors import PairingError, PeerProtocolError, RefusedError, SyncerError
from syncer.model import Mode
from syncer.node.retiring import follow_retirement
from syncer.state.introductions import keep_door
from syncer.state.peers import Peer
from syncer.trust.believing import Taken, follows, take
from syncer.trust.certificates import fingerprint_of
from syncer.trust.doors import checked_door
from syncer.trust.introductions import Retirement, Signed
from syncer.trust.server import RefusalLog
from syncer.trust.wire.introductions import Answered
from syncer.trust.wire.introductions import Told as Message

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)


SHOWN_MAX = 8
"""Statements that whoever comes through a door may show at once: each costs a look at its signature."""


class Told:
    """Listens for one node, on its event loop."""

    def __init__(self, node: Node) -> None:
        """Listen for `node`."""
        self._node = node
        self._refusals = RefusalLog()

    async def told(self, peer: Peer, told: Message) -> Answered:
        """Take statements from a pinned node, which says to be production."""
        node = self._node
        if told.term is not None:
            # First: who follows another one believes nothing of what this one says.
            await node.modes.heard(peer.node_id, peer.name, told.term, Mode.PRODUCTION)
        refusals = [await self._take(signed, peer.name) for signed in told.statements]
        has_door = False
        # A key to handshakes here is taken of nobody but whom this node follows.
        if told.door_key and follows(node.store, peer.node_id, node.mode):
            door = await asyncio.to_thread(checked_door, peer.node_id, told.door_certificate, told.door_key)
            await asyncio.to_thread(keep_door, node.store, door)
            has_door = True
        return Answered(node.store.node_id, node.modes.rank().term, tuple(refusals), has_door)

    async def shown(self, told: Message) -> Answered:
        """Take statements from somebody who is not known: only what they say, and who has signed it, counts."""
        if len(told.statements) > SHOWN_MAX:
            raise PeerProtocolError(f"a node that is not known here shows more than {SHOWN_MAX} statements")
        refusals = [await self._take(signed, "a node that is not known here") for signed in told.statements]
        return Answered(self._node.store.node_id, None, tuple(refusals))

    async def _take(self, signed: Signed, by: str) -> str:
        node = self._node
        try:
            taken = await asyncio.to_thread(take, node.store, signed, node.mode)
        except (PeerProtocolError, RefusedError, PairingError) as error:
            # Told once, as it is logged: whoever repeats it must not be able to fill the journal.
            if self._refusals.warn(f"{by} {error}", "%s was not believed: %s", by, error):
                node.events.record("introduction.refused", peer=by, reason=str(error))
            return str(error)
        if taken.is_new:
            await self._follow(taken)
        return ""

    async def _follow(self, taken: Taken) -> None:
        node, said = self._node, taken.statement
        facts = {"peer": said.name, "peer_id": said.node_id, "by": taken.issuer.name}
        if not isinstance(said, Retirement):
            node.events.record("peer.introduced", **facts, fingerprint=fingerprint_of(said.certificate))
            log.info("%s has introduced %s (%s)", taken.issuer.name, said.name, said.node_id)
            node.knocker.look()
            return
        try:
            await follow_retirement(node, said.node_id, said.name, taken.issuer.name)
        except SyncerError as error:
            # It is refused already; what is left of it ends with the agent.
            log.error("not everything of %s could be ended: %s", said.name, error)  # noqa: TRY400 - a sentence
