"""The gRPC face of homecomings: what a node says of what it has, and of what would become of the other's changes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import grpc
import grpc.aio

from syncer.errors import SyncerError
from syncer.procedures import home_messages as h
from syncer.procedures import messages as m
from syncer.procedures import wire
from syncer.procedures.gate import Authorise, Context, Gate
from syncer.procedures.messages import Refusal, Speaker
from syncer.procedures.voice import Voice
from syncer.procedures.wire import home as home_words
from syncer.state.peers import Peer

log = logging.getLogger(__name__)


class HomeServed(Protocol):
    """What a node answers; each may yield or return a refusal, as the only thing."""

    def others(self, peer: Peer, speaker: Speaker, request: h.OthersRequest) -> AsyncIterator[h.OthersPart | Refusal]:
        """Tell what this node has of a domain, while it is fenced by that peer."""

    def compare(self, peer: Peer, wishes: h.Wishes) -> AsyncIterator[m.Progress | h.PlanLines | Refusal]:
        """Tell what would become of a peer's changes, while this node serves."""

    async def begin(self, peer: Peer, speaker: Speaker, wish: h.BeginWish) -> h.Begun | Refusal:
        """Lead a procedure with that peer, where it serves."""


def home_handlers(served: HomeServed, voice: Voice, authorise: Authorise) -> grpc.GenericRpcHandler:
    """Return further handlers of the service Procedures for the node's gRPC server."""
    service = _Service(served, voice, authorise)
    return grpc.method_handlers_generic_handler(
        wire.SERVICE,
        {
            "Others": grpc.unary_stream_rpc_method_handler(service.others),
            "Compare": grpc.unary_stream_rpc_method_handler(service.compare),
            "Begin": grpc.unary_unary_rpc_method_handler(service.begin),
        },
    )


class _Service:
    def __init__(self, served: HomeServed, voice: Voice, authorise: Authorise) -> None:
        self._served = served
        self._voice = voice
        self._gate = Gate(voice, authorise)

    async def others(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        peer, speaker, request = await self._gate.enter(context, home_words.decode_others_request, data)
        stale = await self._gate.guarded(context, peer, self._gate.stale(peer, speaker))
        if stale is not None:
            yield home_words.encode_others(await self._voice.speak(), stale)
            return
        try:
            async for event in self._served.others(peer, speaker, request):
                _log_refusal(peer, event)
                yield home_words.encode_others(await self._voice.speak(), event)
        except SyncerError as error:
            await self._gate.failed(context, peer, error)

    async def compare(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        peer, speaker, wishes = await self._gate.enter(context, home_words.decode_compare_request, data)
        # What it has seen counts here too; a lower term is why it asks.
        await self._gate.guarded(context, peer, self._gate.hear(peer, speaker))
        try:
            async for event in self._served.compare(peer, wishes):
                _log_refusal(peer, event)
                yield home_words.encode_compared(await self._voice.speak(), event)
        except SyncerError as error:
            await self._gate.failed(context, peer, error)

    async def begin(self, data: bytes, context: Context) -> bytes:
        peer, speaker, wish = await self._gate.enter(context, home_words.decode_begin, data)

        async def answer() -> h.Begun | Refusal:
            return await self._gate.stale(peer, speaker) or await self._served.begin(peer, speaker, wish)

        asked: Awaitable[h.Begun | Refusal] = answer()
        found = await self._gate.guarded(context, peer, asked)
        _log_refusal(peer, found)
        return home_words.encode_begun(await self._voice.speak(), found)


def _log_refusal(peer: Peer, answer: object) -> None:
    if isinstance(answer, Refusal):
        log.warning("refused what %s asked: %s", peer.name, answer.message)
