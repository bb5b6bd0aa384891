"""The gRPC face of introductions: from a pinned node, or through a door, where only what is signed counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from syncer.errors import PeerProtocolError, Reason, RefusedError, SyncerError
from syncer.state.introductions import doors
from syncer.state.peers import Peer
from syncer.state.store import StateStore
from syncer.trust.certificates import public_key_of
from syncer.trust.server import RefusalLog, refuse
from syncer.trust.tls import caller_of
from syncer.trust.wire import introductions as wire

Context = grpc.aio.ServicerContext[Any, Any]


class Listener(Protocol):
    """What a node does with what it is told."""

    async def told(self, peer: Peer, told: wire.Told) -> wire.Answered:
        """Take statements from a pinned node."""

    async def shown(self, told: wire.Told) -> wire.Answered:
        """Take statements from whoever has the key of a door."""


def introduction_handlers(
    store: StateStore, listener: Listener, authorise: Callable[[Context], Awaitable[Peer]]
) -> grpc.GenericRpcHandler:
    """Return the handlers of the service Introductions for the node's gRPC server."""
    service = _Service(store, listener, authorise)
    return grpc.method_handlers_generic_handler(
        wire.SERVICE,
        {
            "Introduce": grpc.unary_unary_rpc_method_handler(service.introduce),
            "Show": grpc.unary_unary_rpc_method_handler(service.show),
        },
    )


class _Service:
    def __init__(self, store: StateStore, listener: Listener, authorise: Callable[[Context], Awaitable[Peer]]) -> None:
        self._store = store
        self._listener = listener
        self._authorise = authorise
        self._refusals = RefusalLog()

    async def introduce(self, data: bytes, context: Context) -> bytes:
        peer = await self._authorise(context)
        return await self._answer(context, data, lambda told: self._listener.told(peer, told))

    async def show(self, data: bytes, context: Context) -> bytes:
        try:
            caller = caller_of(context)
            known = await asyncio.to_thread(doors, self._store)
        except RefusedError as error:
            await refuse(context, grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_PAIRED, str(error))
        if caller.public_key not in {public_key_of(door.certificate_pem) for door in known}:
            message = "statements are shown through a door that is not the caller's; pair it with `syncer invite`"
            self._refusals.warn(caller.fingerprint, "refused what %s shows: %s", context.peer(), message)
            await refuse(context, grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_PAIRED, message)
        return await self._answer(context, data, self._listener.shown)

    async def _answer(
        self, context: Context, data: bytes, take: Callable[[wire.Told], Awaitable[wire.Answered]]
    ) -> bytes:
        try:
            return wire.encode_answered(await take(wire.decode_told(data)))
        except PeerProtocolError as error:
            self._refusals.warn(str(error), "refused what %s said of others: %s", context.peer(), error)
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.reason, str(error))
        except SyncerError as error:
            await refuse(context, grpc.StatusCode.INTERNAL, Reason.INTERNAL, str(error))
