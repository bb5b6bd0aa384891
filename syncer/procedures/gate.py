"""What every call of the service Procedures passes: who calls, whether its term still counts, what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio

from syncer.errors import PeerProtocolError, Reason, SyncerError, UnreachableError
from syncer.procedures.messages import Refusal, Speaker, Why
from syncer.procedures.voice import Voice
from syncer.state.peers import Peer
from syncer.trust.server import refuse

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Authorise = Callable[[Context], Awaitable[Peer]]
"""Returns the pinned node that calls, or ends the call."""

T = TypeVar("T")


class Gate:
    """Lets calls in; whatever is wrong with one ends it, in the peer's words and in the log."""

    def __init__(self, voice: Voice, authorise: Authorise) -> None:
        """Hear callers with `voice`."""
        self.voice = voice
        self._authorise = authorise

    async def enter(
        self, context: Context, decode: Callable[[bytes], tuple[Speaker, T]], data: bytes
    ) -> tuple[Peer, Speaker, T]:
        """Return the pinned node that calls, who it says to be, and what it says, checked."""
        peer = await self._authorise(context)
        try:
            speaker, body = decode(data)
            _require_owner(peer, speaker)
        except PeerProtocolError as error:
            log.warning("%s sent what no procedure allows: %s", peer.name, error)
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, Reason.MALFORMED, str(error))
        return peer, speaker, body

    async def hear(self, peer: Peer, speaker: Speaker) -> Speaker:
        """Take in what a peer says of itself; returns who this node is."""
        # Under the name that it was paired with: the one that it gives itself proves nothing.
        return await self.voice.hear(speaker._replace(node_name=peer.name))

    async def stale(self, peer: Peer, speaker: Speaker) -> Refusal | None:
        """Hear the peer; refuse where this node has seen a higher term than it has."""
        own = await self.voice.speak()
        if speaker.term < own.term:
            seen, known = speaker.term.counter, own.term.counter
            return Refusal(
                Why.STALE_TERM,
                f"{own.node_name} has seen term {known} of {own.term.node_id[:8]}, and {speaker.node_name} speaks with "
                f"{seen}: another node was promoted meanwhile",
            )
        await self.hear(peer, speaker)
        return None

    async def guarded(self, context: Context, peer: Peer, answer: Awaitable[T]) -> T:
        """Return an answer, or end the call where it cannot be had."""
        try:
            return await answer
        except SyncerError as error:
            return await self.failed(context, peer, error)

    async def failed(self, context: Context, peer: Peer, error: SyncerError) -> NoReturn:
        """End a call that could not be answered."""
        if isinstance(error, UnreachableError):
            await refuse(context, grpc.StatusCode.UNAVAILABLE, Reason.SHUTTING_DOWN, str(error))
        # The state failed, not the peer: it may try again.
        log.error("what %s asked could not be done: %s", peer.name, error)
        await refuse(context, grpc.StatusCode.INTERNAL, Reason.INTERNAL, str(error))


def _require_owner(peer: Peer, speaker: Speaker) -> None:
    if speaker.node_id != peer.node_id:
        raise PeerProtocolError("the peer says to be another node than its certificate does; update it")
