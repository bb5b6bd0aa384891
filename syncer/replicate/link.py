"""One call from production to one target: the channel, the stream, and what its end means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, UnreachableError
from syncer.replicate import messages as m
from syncer.replicate import wire


class Stream(Protocol):
    """Production's side of one call, decoded; ends are exceptions."""

    async def send(self, message: m.FromProduction) -> None:
        """Send one message; UnreachableError or PeerRejectedError where the call has ended."""

    async def receive(self) -> m.FromFailover:
        """Return the next message; UnreachableError or PeerRejectedError where the call has ended."""

    async def close(self) -> None:
        """Release the call and its channel."""


Dial = Callable[[], Stream]
"""Opens a new call to the target; the connection is made by the first message."""


class Link:
    """A call on a channel of its own, so that one domain's stream never waits for another's."""

    def __init__(self, channel: grpc.aio.Channel, peer: str) -> None:
        """Open the call on `channel`; `peer` is how errors name the target."""
        self._channel = channel
        self._peer = peer
        self._call: Any = channel.stream_stream(wire.METHOD)()

    async def send(self, message: m.FromProduction) -> None:
        """Send one message; waits while the target does not read."""
        try:
            await self._call.write(wire.encode_from_production(message))
        # grpc.aio raises InvalidStateError where the call ended before the write (measured, 1.85).
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError) as error:
            raise await self._end() from error

    async def receive(self) -> m.FromFailover:
        """Return the target's next message, checked."""
        try:
            data = await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise await self._end() from error
        if data is grpc.aio.EOF:
            raise await self._end()
        return wire.decode_from_failover(data)

    async def close(self) -> None:
        """Cancel the call and close the channel."""
        self._call.cancel()
        await self._channel.close(None)

    async def _end(self) -> Exception:
        """Say why the call ended: a typed refusal, or nobody there."""
        code = await self._call.code()
        for key, value in await self._call.trailing_metadata() or ():
            if key == wire.REFUSAL_TRAILER and isinstance(value, bytes):
                reason, message, term = wire.parse_refusal(value)
                if reason is Reason.MALFORMED:
                    return PeerProtocolError(f"{self._peer} refused what was sent: {message}")
                return PeerRejectedError(f"{self._peer} refused: {message}", reason, term)
        details = last_word(await self._call.details() or "")
        if code is grpc.StatusCode.PERMISSION_DENIED:
            return PeerRejectedError(f"{self._peer} refused: {details}", Reason.NOT_PAIRED)
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return UnreachableError(f"{self._peer} cannot be reached: {details}")
        return UnreachableError(f"the connection to {self._peer} was lost ({code.name.lower()}: {details})")


def last_word(details: str) -> str:
    """Return what an operator needs of gRPC's details, which tell its whole inner way to an error."""
    words = [word for word in details.split(": ") if word not in ("", "OK")]
    last = words[-1] if words else "no reason given"
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            f"its certificate is not the one that it was paired with ({last}); where it was set up anew, pair it again "
            "with `syncer invite` and `syncer join`"
        )
    return f"TLS was refused ({last})" if "handshake failed" in details else last
