"""The gRPC face of procedures: who calls, whether its term still counts, and what it says, before anything is done."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
import grpc.aio

from syncer.errors import PeerProtocolError, Reason, SyncerError, UnreachableError
from syncer.procedures import messages as m
from syncer.procedures import wire
from syncer.procedures.messages import Refusal, Speaker, Why
from syncer.procedures.voice import Voice
from syncer.state.peers import Peer
from syncer.trust.server import refuse

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Authorise = Callable[[Context], Awaitable[Peer]]
"""Returns the pinned node that calls, or ends the call."""

T = TypeVar("T")


class Served(Protocol):
    """What a node does with what its peers say; see keeper.py."""

    async def propose(self, peer: Peer, proposal: m.Proposal) -> Refusal | None:
        """Take part in a procedure."""

    def order(self, peer: Peer, order: m.Order) -> AsyncIterator[m.Progress | m.Ending | Refusal]:
        """Carry out an order."""

    async def end(self, peer: Peer, end: m.End) -> Refusal | None:
        """Close a procedure."""

    async def abort_asked(self, peer: Peer, wish: m.AbortWish) -> Refusal | None:
        """Undo a procedure of this node's own."""

    async def standing(self, peer: Peer, procedure: str) -> m.StandingOf | Refusal:
        """Say where a procedure stands."""


def procedure_handlers(served: Served, voice: Voice, authorise: Authorise) -> grpc.GenericRpcHandler:
    """Return the handlers of the service Procedures for the node's gRPC server."""
    service = _Service(served, voice, authorise)
    unary = grpc.unary_unary_rpc_method_handler
    # Requests arrive as bytes: gRPC would answer one that cannot be parsed with a traceback in the log.
    return grpc.method_handlers_generic_handler(
        wire.SERVICE,
        {
            "Knock": unary(service.knock),
            "Propose": unary(service.propose),
            "Order": grpc.unary_stream_rpc_method_handler(service.order),
            "End": unary(service.end),
            "Abort": unary(service.abort),
            "State": unary(service.state),
        },
    )


class _Service:
    def __init__(self, served: Served, voice: Voice, authorise: Authorise) -> None:
        self._served = served
        self._voice = voice
        self._authorise = authorise

    async def knock(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        speaker, _ = await self._decoded(context, peer, lambda found: (wire.decode_knock(found), None), data)
        self_now = await self._guarded(context, peer, self._hear(peer, speaker))
        return wire.encode_knock_answer(self_now)

    async def propose(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        speaker, proposal = await self._decoded(context, peer, wire.decode_proposal, data)
        return await self._answer(context, peer, speaker, lambda: self._served.propose(peer, proposal))

    async def end(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        speaker, end = await self._decoded(context, peer, wire.decode_end, data)
        return await self._answer(context, peer, speaker, lambda: self._served.end(peer, end))

    async def abort(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        speaker, wish = await self._decoded(context, peer, wire.decode_abort, data)
        return await self._answer(context, peer, speaker, lambda: self._served.abort_asked(peer, wish))

    async def state(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        speaker, procedure = await self._decoded(context, peer, wire.decode_state_request, data)

        async def answer() -> m.StandingOf | Refusal:
            return await self._stale(peer, speaker) or await self._served.standing(peer, procedure)

        found = await self._guarded(context, peer, answer())
        return wire.encode_state_answer(await self._voice.speak(), found)

    async def order(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        peer = await self._authorise(context)
        speaker, order = await self._decoded(context, peer, wire.decode_order, data)
        stale = await self._guarded(context, peer, self._stale(peer, speaker))
        if stale is not None:
            yield wire.encode_order_event(await self._voice.speak(), stale)
            return
        try:
            async for event in self._served.order(peer, order):
                yield wire.encode_order_event(await self._voice.speak(), event)
        except SyncerError as error:
            await self._failed(context, peer, error)

    async def _answer(
        self, context: Context, peer: Peer, speaker: Speaker, act: Callable[[], Awaitable[Refusal | None]]
    ) -> bytes:
        async def answer() -> Refusal | None:
            return await self._stale(peer, speaker) or await act()

        refusal = await self._guarded(context, peer, answer())
        if refusal is not None:
            log.warning("refused what %s asked: %s", peer.name, refusal.message)
        return wire.encode_answer(await self._voice.speak(), refusal)

    async def _stale(self, peer: Peer, speaker: Speaker) -> Refusal | None:
        """Hear the peer; refuse where this node has seen a higher term than it has."""
        own = await self._voice.speak()
        if speaker.term < own.term:
            seen, known = speaker.term.counter, own.term.counter
            return Refusal(
                Why.STALE_TERM,
                f"{own.node_name} has seen term {known} of {own.term.node_id[:8]}, and {speaker.node_name} speaks with "
                f"{seen}: another node was promoted meanwhile",
            )
        await self._hear(peer, speaker)
        return None

    async def _hear(self, peer: Peer, speaker: Speaker) -> Speaker:
        # Under the name that it was paired with: the one that it gives itself proves nothing.
        return await self._voice.hear(speaker._replace(node_name=peer.name))

    async def _decoded(
        self, context: Context, peer: Peer, decode: Callable[[bytes], tuple[Speaker, T]], data: bytes
    ) -> tuple[Speaker, T]:
        try:
            speaker, body = decode(data)
            _require_owner(peer, speaker)
        except PeerProtocolError as error:
            log.warning("%s sent what no procedure allows: %s", peer.name, error)
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, Reason.MALFORMED, str(error))
        return speaker, body

    async def _guarded(self, context: Context, peer: Peer, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except SyncerError as error:
            return await self._failed(context, peer, error)

    async def _failed(self, context: Context, peer: Peer, error: SyncerError) -> NoReturn:
        if isinstance(error, UnreachableError):
            await refuse(context, grpc.StatusCode.UNAVAILABLE, Reason.SHUTTING_DOWN, str(error))
        # The state failed, not the peer: it may try again.
        log.error("what %s asked could not be done: %s", peer.name, error)
        await refuse(context, grpc.StatusCode.INTERNAL, Reason.INTERNAL, str(error))


def _require_owner(peer: Peer, speaker: Speaker) -> None:
    if speaker.node_id != peer.node_id:
        raise PeerProtocolError("the peer says to be another node than its certificate does; update it")
