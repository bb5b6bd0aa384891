"""The gRPC face of the receiver: authorises the caller, decodes messages, and turns refusals into statuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from syncer.errors import Reason, RefusedError, SyncerError
from syncer.replicate import messages as m
from syncer.replicate import wire
from syncer.replicate.receiver import Receiver
from syncer.replicate.reconnect import first_of
from syncer.replicate.refusals import Refusals

log = logging.getLogger(__name__)

_STATUS = {
    Reason.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_PAIRED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.PROTOCOL_VERSION: grpc.StatusCode.UNIMPLEMENTED,
    Reason.SUPERSEDED: grpc.StatusCode.UNAVAILABLE,
    Reason.SHUTTING_DOWN: grpc.StatusCode.UNAVAILABLE,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}

Context = grpc.aio.ServicerContext[bytes, bytes]

SETTLE_SECONDS = 2.0
"""How long a call that ends waits for a message that is still being written; a frozen peer takes none."""


class _CallStream:
    """One gRPC call as the receiver sees it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writing: asyncio.Future[None] | None = None

    async def receive(self) -> m.FromProduction | None:
        """Return the next message; None when the peer has ended or lost the call."""
        data: Any = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        return wire.decode_from_production(data)

    async def send(self, message: m.FromFailover) -> None:
        """Send one message; whoever gives up waiting for it does not end the writing."""
        self._writing = asyncio.ensure_future(self._write(wire.encode_from_failover(message)))
        self._writing.add_done_callback(_heard)
        try:
            await asyncio.shield(self._writing)
        except grpc.aio.InternalError as error:
            # RACE: the connection was lost and gRPC has not told the reader of it yet: no fault of this node.
            raise RefusedError("the connection was lost", Reason.SUPERSEDED) from error

    async def _write(self, data: bytes) -> None:
        await self._context.write(data)

    async def settle(self) -> bool:
        """Wait for what is being written, so that the call can be ended; tell whether it was."""
        if self._writing is None:
            return True
        done, _ = await asyncio.wait({self._writing}, timeout=SETTLE_SECONDS)
        return bool(done)


def _heard(writing: asyncio.Future[None]) -> None:
    """Take note of how a write ended: where nobody waits any more, the session has ended for a reason of its own."""
    if not writing.cancelled():
        writing.exception()


def sync_handlers(
    receiver: Receiver, authorise: Callable[[Context], Awaitable[tuple[str, str]]], refusals: Refusals
) -> grpc.GenericRpcHandler:
    """Return the handlers of the Sync service; `authorise` returns the paired peer's node id and name or aborts."""
    receiver.admitted = refusals.admitted
    receiver.objected = refusals.refused

    async def replicate(_: object, context: Context) -> None:
        node_id, name = await authorise(context)
        stream = _CallStream(context)
        try:
            await receiver.serve(stream, node_id)
            return
        except BaseExceptionGroup as group:
            failure = first_of(group)
        except (SyncerError, TimeoutError) as error:
            failure = error
        if isinstance(failure, RefusedError):
            refusals.refused(node_id, name, failure.reason, str(failure))
        await _refuse(context, stream, failure, name)

    return grpc.method_handlers_generic_handler(
        wire.SERVICE,
        {"Replicate": grpc.stream_stream_rpc_method_handler(replicate)},
    )


async def _refuse(context: Context, stream: _CallStream, failure: BaseException, name: str) -> None:
    """End the call with a typed refusal that says why; what is no SyncerError is a fault of ours."""
    if isinstance(failure, TimeoutError):
        reason, message = Reason.UNSPECIFIED, f"nothing was heard of {name} for too long"
    elif isinstance(failure, SyncerError):
        reason, message = getattr(failure, "reason", Reason.INTERNAL), str(failure)
    else:
        log.error("a session of %s failed", name, exc_info=failure)
        reason, message = (
            Reason.INTERNAL,
            f"a fault in failover's agent ({type(failure).__name__}): see its log",
        )
    log.warning("session of %s ended: %s", name, message)
    status = _STATUS.get(reason, grpc.StatusCode.FAILED_PRECONDITION)
    trailer = ((wire.REFUSAL_TRAILER, wire.refusal_bytes(reason, message, getattr(failure, "term", None))),)
    # RACE: a message that was being written as the session ended is still under way, and gRPC takes one at a time.
    if not await stream.settle():
        log.warning("%s cannot be told why its session ended: it takes no more messages", name)
        raise asyncio.CancelledError
    await context.abort(status, ascii(message[:512]), trailer)
