"""A session's transactions on failover, one after the other, on the domain's worker thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from syncer.errors import PeerProtocolError, SyncerError
from syncer.observations import UNOBSERVED, Observations
from syncer.replicate import messages as m
from syncer.replicate.causes import word_of
from syncer.replicate.destination import Destination
from syncer.replicate.examination import Examining, begins_examination
from syncer.replicate.incoming import Incoming


class Transactions:
    """Runs a session's transactions one after the other on the domain's worker."""

    def __init__(
        self,
        destination: Destination,
        worker: ThreadPoolExecutor,
        hello: m.Hello,
        node_name: str,
        send: Callable[[m.FromFailover], Awaitable[None]],
        observations: Observations = UNOBSERVED,
    ) -> None:
        self._destination = destination
        self._worker = worker
        self._hello = hello
        self._node_name = node_name
        self._send = send
        self._observations = observations
        self._incoming: Incoming | None = None
        self._examining = Examining(destination, worker, destination.verify_rate, send)
        self._last = 0

    async def run(self, queue: asyncio.Queue[m.FromProduction | None]) -> None:
        """Take messages until the peer says goodbye or is lost; then nothing half done remains."""
        try:
            while True:
                message = await queue.get()
                if message is None or isinstance(message, m.Goodbye):
                    return
                if begins_examination(message):
                    await self._examining.take(message)
                    continue
                for reply in await self._on_worker(message):
                    await self._send(reply)
                    self._observe(reply)
                    if isinstance(reply, m.Ack):
                        self._destination.checked.acknowledged()
                        if queue.empty():
                            await self._tidy()
        finally:
            # RACE: the next session of this domain waits for the lane's lock until this is done.
            await asyncio.shield(self._give_up())

    def _observe(self, reply: m.FromFailover) -> None:
        """Count what came of a transaction."""
        domain, incoming = self._destination.domain, self._incoming
        if isinstance(reply, m.Ack) and incoming is not None:
            self._observations.applied(
                domain, full=incoming.full, changes=reply.changes, received_bytes=reply.bytes, seconds=reply.seconds
            )
        elif isinstance(reply, m.Reject):
            self._observations.refused(domain, word_of(reply.reason))

    async def _tidy(self) -> None:
        """Use the time until the next transaction, of which nobody waits for this."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(self._worker, self._destination.tidy))

    async def _give_up(self) -> None:
        await self._examining.stop()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._discard)

    def _discard(self) -> None:
        if self._incoming is not None and not self._incoming.done:
            self._incoming.abandon()
        self._incoming = None
        self._destination.is_busy = False

    async def _on_worker(self, message: m.FromProduction) -> list[m.FromFailover]:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._worker, self._take_one, message)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # RACE: the thread cannot be interrupted; what it began, it ends before anyone else begins.
            with contextlib.suppress(SyncerError):
                await work
            raise

    def _take_one(self, message: m.FromProduction) -> list[m.FromFailover]:
        try:
            return self._take(message)
        finally:
            self._destination.is_busy = self._incoming is not None and not self._incoming.done

    def _take(self, message: m.FromProduction) -> list[m.FromFailover]:
        if isinstance(message, m.Part) and message.begin is not None:
            return self._open(message)
        number = getattr(message, "transaction", 0)
        incoming = self._incoming
        if incoming is None or incoming.number != number:
            raise PeerProtocolError("the peer sent a piece of a transaction that is not open")
        if isinstance(message, m.Abandon):
            incoming.abandon()
        # What follows a Reject was sent before the peer could read it.
        if incoming.done:
            return []
        if isinstance(message, m.Part):
            return incoming.take_part(message)
        if isinstance(message, m.Contents):
            return incoming.take_contents(message)
        raise PeerProtocolError("the peer sent a message that has no place here")

    def _open(self, part: m.Part) -> list[m.FromFailover]:
        if self._incoming is not None and not self._incoming.done:
            raise PeerProtocolError("the peer opened a transaction before the last one ended")
        if part.transaction <= self._last:
            raise PeerProtocolError("the peer used a transaction number twice")
        self._last = part.transaction
        self._incoming = Incoming(self._destination, self._hello, self._node_name, part)
        return self._incoming.open(part)
