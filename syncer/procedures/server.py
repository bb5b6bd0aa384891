"""The gRPC face of procedures: each call passes the gate, and is answered by what the node keeps."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import grpc
import grpc.aio

from syncer.errors import SyncerError
from syncer.procedures import messages as m
from syncer.procedures import wire
from syncer.procedures.gate import Authorise, Context, Gate
from syncer.procedures.messages import Refusal, Speaker
from syncer.procedures.voice import Voice
from syncer.state.peers import Peer

log = logging.getLogger(__name__)


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
        self._gate = Gate(voice, authorise)

    async def knock(self, data: bytes, context: Context) -> bytes:
        peer, speaker, _ = await self._gate.enter(context, lambda found: (wire.decode_knock(found), None), data)
        self_now = await self._gate.guarded(context, peer, self._gate.hear(peer, speaker))
        return wire.encode_knock_answer(self_now)

    async def propose(self, data: bytes, context: Context) -> bytes:
        peer, speaker, proposal = await self._gate.enter(context, wire.decode_proposal, data)
        return await self._answer(context, peer, speaker, lambda: self._served.propose(peer, proposal))

    async def end(self, data: bytes, context: Context) -> bytes:
        peer, speaker, end = await self._gate.enter(context, wire.decode_end, data)
        return await self._answer(context, peer, speaker, lambda: self._served.end(peer, end))

    async def abort(self, data: bytes, context: Context) -> bytes:
        peer, speaker, wish = await self._gate.enter(context, wire.decode_abort, data)
        return await self._answer(context, peer, speaker, lambda: self._served.abort_asked(peer, wish))

    async def state(self, data: bytes, context: Context) -> bytes:
        peer, speaker, procedure = await self._gate.enter(context, wire.decode_state_request, data)

        async def answer() -> m.StandingOf | Refusal:
            return await self._gate.stale(peer, speaker) or await self._served.standing(peer, procedure)

        found = await self._gate.guarded(context, peer, answer())
        return wire.encode_state_answer(await self._voice.speak(), found)

    async def order(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        peer, speaker, order = await self._gate.enter(context, wire.decode_order, data)
        stale = await self._gate.guarded(context, peer, self._gate.stale(peer, speaker))
        if stale is not None:
            yield wire.encode_order_event(await self._voice.speak(), stale)
            return
        try:
            async for event in self._served.order(peer, order):
                yield wire.encode_order_event(await self._voice.speak(), event)
        except SyncerError as error:
            await self._gate.failed(context, peer, error)

    async def _answer(
        self, context: Context, peer: Peer, speaker: Speaker, act: Callable[[], Awaitable[Refusal | None]]
    ) -> bytes:
        async def answer() -> Refusal | None:
            return await self._gate.stale(peer, speaker) or await act()

        refusal = await self._gate.guarded(context, peer, answer())
        if refusal is not None:
            log.warning("refused what %s asked: %s", peer.name, refusal.message)
        return wire.encode_answer(await self._voice.speak(), refusal)
