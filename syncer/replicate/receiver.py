"""Failover's end of the streams: handshake, fencing, heartbeats, and handing transactions to the worker.

One session a domain: a newer one of the same production node ends the older, which may be a connection
that died without a word. Messages that need the disk run on the domain's one worker thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Protocol, TypeVar

from syncer.errors import PeerProtocolError, Reason, RefusedError
from syncer.model import Term
from syncer.observations import UNOBSERVED, Observations
from syncer.replicate import messages as m
from syncer.replicate.admission import HEARTBEAT, Admission, Node
from syncer.replicate.destination import Destination, unknown_domain
from syncer.replicate.lane import Heard, Lane, new_lane
from syncer.replicate.received_rules import take_rules
from syncer.replicate.transactions import Transactions
from syncer.replicate.worker import Worker
from syncer.substitution.rules import RuleSet

log = logging.getLogger(__name__)

T = TypeVar("T")

LOCK_SECONDS = 0.1
"""How long to wait for a session to end before looking who holds the lane now."""
_MEANT = (Reason.UNSPECIFIED, Reason.SHUTTING_DOWN, Reason.SUPERSEDED)
"""Why a production ends a session without anything being wrong."""
QUEUED_MESSAGES = 4
"""Messages read ahead of the worker; more would only fill memory while the disk is slow."""


class ServerStream(Protocol):
    """The server's side of one call, decoded: None from receive is the end of the stream."""

    async def receive(self) -> m.FromProduction | None:
        """Return the next message of production."""

    async def send(self, message: m.FromFailover) -> None:
        """Send one message to production."""


class Receiver:
    """Accepts production's streams and applies what they carry."""

    def __init__(
        self,
        node: Node,
        destinations: Mapping[str, Destination],
        silence: float,
        rules: Mapping[str, RuleSet] | None = None,
        observations: Observations = UNOBSERVED,
    ) -> None:
        """Serve these domains; a session silent for `silence` seconds is taken for dead.

        `rules` are this node's own for the other direction, by the name of the peer.
        """
        self._node = node
        self._admission = Admission(node)
        self.admitted: Callable[[str], None] = _nobody_cares
        """Told the node id of whoever is listened to."""
        self.objected: Callable[[str, str, Reason, str], None] = _nobody_objects
        """Told the node id and name of a production that does not take this node for the one that it knows, and why."""
        self._observations = observations
        self.rules = rules or {}
        self.silence = silence
        # Replaced as a whole, never changed: other threads read it.
        self._lanes = {name: new_lane(name, destination) for name, destination in destinations.items()}

    def submit(self, domain: str, work: Callable[[], T]) -> Future[T]:
        """Run `work` on the domain's worker, between the steps of its transactions; RuntimeError after close."""
        return self._lane(domain).worker.submit(work)

    def workers(self) -> dict[str, Worker]:
        """Return the worker of each domain; for any thread, to look at."""
        return {name: lane.worker for name, lane in list(self._lanes.items())}

    def heard(self) -> dict[str, Heard]:
        """Return for each domain what production last said."""
        return {name: lane.heard for name, lane in self._lanes.items()}

    def recover(self, domain: str | None = None) -> None:
        """Have a domain, or every one, do what a crash has left to do; what comes for it waits until then."""
        for lane in self._lanes.values() if domain is None else (self._lane(domain),):
            lane.worker.submit(lane.destination.begin_agent)

    async def on_worker(self, domain: str, work: Callable[[], T]) -> T:
        """Run `work` on a domain's worker thread, between two of its transactions, to its end.

        Raises what it raises.
        """
        worker = self._lane(domain).worker
        # RACE: the thread cannot be interrupted, so a caller that gives up does not end what was begun.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(worker, work))

    async def alone(self, domain: str, work: Callable[[], T]) -> T:
        """Run `work` on a domain's worker thread while no transaction is open; a session that runs is ended.

        Production connects again by itself. Raises what `work` raises.
        """
        async with self.held(domain, "a rollback has begun there"):
            return await self.on_worker(domain, work)

    @contextlib.asynccontextmanager
    async def held(self, domain: str, why: str) -> AsyncIterator[None]:
        """Let no session have the domain during the block; one that runs is ended, and told `why`.

        Raises RefusedError where the domain is not configured any more.
        """
        lane = self._lane(domain)
        ended: asyncio.Task[None] | None = None
        while True:
            # RACE: another session may have waited for the lock before us; it is ended as well, each once.
            if lane.holder is not None and lane.holder is not ended:
                ended = lane.holder
                self._end(lane, why)
            try:
                async with asyncio.timeout(LOCK_SECONDS):
                    await lane.lock.acquire()
            except TimeoutError:
                continue
            break
        try:
            yield
        finally:
            lane.lock.release()

    def place(self, domain: str, destination: Destination) -> None:
        """Serve a domain from `destination` from now on; one that is served already is held meanwhile."""
        lane = self._lanes.get(domain)
        if lane is None:
            self._lanes = {**self._lanes, domain: new_lane(domain, destination)}
        else:
            lane.destination, lane.trouble = destination, ""

    def remove(self, domain: str) -> Worker:
        """Serve a domain no more, which is held meanwhile; returns its worker, for the caller to end."""
        worker = self._lanes[domain].worker
        self._lanes = {name: lane for name, lane in self._lanes.items() if name != domain}
        return worker

    def _lane(self, domain: str) -> Lane:
        lane = self._lanes.get(domain)
        if lane is None:
            raise unknown_domain(domain)
        return lane

    def close(self) -> None:
        """End the workers; a transaction that runs is finished first."""
        for lane in self._lanes.values():
            lane.worker.shutdown(wait=True)

    async def serve(self, stream: ServerStream, peer_node_id: str) -> None:
        """Run one session to its end.

        Raises RefusedError before the Welcome where the session may not be, PeerProtocolError where a
        message breaks the protocol; nothing of an unfinished transaction becomes visible.
        """
        hello = await self._first_message(stream)
        self._admission.admit(hello, peer_node_id)
        lane = self._lane(hello.domain)
        await self._admission.alone(hello, self._lanes.values())
        # What is open under a lower term belongs to a production that was left behind.
        self.end_below(hello.term)
        await self._supersede(lane)
        async with lane.lock:
            # RACE: while we waited, the configuration may have been reloaded, and this node be something else.
            if self._lanes.get(hello.domain) is not lane:
                raise unknown_domain(hello.domain)
            self._admission.agree(hello)
            task = asyncio.current_task()
            lane.taken(task, hello.term, hello.start)
            try:
                await self._session(stream, hello, lane)
            except asyncio.CancelledError:
                if lane.ending is None or task is None:
                    raise
                # The peer must hear of it: a call that just stops looks like one that is frozen.
                task.uncancel()
                raise lane.ending from None
            finally:
                lane.holder = None

    async def _first_message(self, stream: ServerStream) -> m.Hello:
        async with asyncio.timeout(self.silence):
            message = await stream.receive()
        if not isinstance(message, m.Hello):
            raise PeerProtocolError("the peer did not open the stream with Hello")
        return message

    async def _supersede(self, lane: Lane) -> None:
        """End the session that holds the lane; its transaction is finished or given up before ours begins."""
        if lane.holder is not None:
            self._end(lane, "a newer connection has taken its place")

    def end_sessions(self, why: str) -> None:
        """End every session, each behind what is being applied; production connects again and is asked anew."""
        for lane in self._lanes.values():
            if lane.holder is not None:
                self._end(lane, why)

    def end_below(self, term: Term) -> None:
        """End every session of a lower term, and tell its production which one has come."""
        for lane in self._lanes.values():
            if lane.holder is not None and lane.term < term:
                why = f"another node was promoted, with term {term.counter}"
                self._end(lane, why, Reason.STALE_TERM, term)

    def end_of(self, node_id: str, why: str) -> None:
        """End every session of one node: it is not let in any more."""
        for lane in self._lanes.values():
            if lane.holder is not None and lane.heard.node_id == node_id:
                self._end(lane, why, Reason.RETIRED)

    def _end(self, lane: Lane, why: str, reason: Reason = Reason.SUPERSEDED, term: Term | None = None) -> None:
        assert lane.holder is not None, "somebody holds the lane"
        why = f"the connection for domain {lane.destination.domain} was ended: {why}"
        # RACE: ended twice before it could end, what it is told of a term must not be lost.
        if lane.ending is None or lane.ending.term is None:
            lane.ending = RefusedError(why, reason, term)
        lane.holder.cancel()

    async def _session(self, stream: ServerStream, hello: m.Hello, lane: Lane) -> None:
        await asyncio.to_thread(take_rules, lane.destination.store, hello, self.rules)
        lane.heard = Heard(hello.node_id, hello.node_name, time.monotonic(), hello.head.seq)
        loop = asyncio.get_running_loop()
        welcome = await loop.run_in_executor(lane.worker, self._welcome, lane.destination, hello)
        await stream.send(welcome)
        lane.trouble = await asyncio.to_thread(lane.destination.root_trouble)
        await stream.send(lane.answer(0, time.time_ns()))
        queue: asyncio.Queue[m.FromProduction | None] = asyncio.Queue(QUEUED_MESSAGES)
        sending = asyncio.Lock()

        async def send(message: m.FromFailover) -> None:
            async with sending:
                await stream.send(message)

        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(stream, queue, lane, hello, send))
            beating = tasks.create_task(self._beat(lane, send, sending))
            try:
                await Transactions(lane.destination, lane.worker, hello, self._node.name, send, self._observations).run(
                    queue
                )
            finally:
                reading.cancel()
                beating.cancel()

    def _welcome(self, destination: Destination, hello: m.Hello) -> m.Welcome:
        node = self._node
        # What the disk refused the last time may be possible now, and decides where the domain stands.
        destination.recover()
        standing = destination.standing()
        own = standing is not None and standing.source_node == hello.node_id
        destination.checked.greeted(hello, standing)
        problems = tuple(destination.problems())
        limits = tuple(destination.limits(hello.users, hello.groups))
        if own and standing is not None and standing.pattern_hash == hello.pattern_hash:
            destination.receive(hello.patterns)
        head = (m.PROTOCOL, node.software, node.node_id, node.name, node.rank().term)
        if standing is None or not own:
            return m.Welcome(*head, None, b"", b"", False, problems, node.echoes, limits, (), node.start)
        return m.Welcome(
            *head,
            standing.cursor,
            standing.pattern_hash,
            standing.rule_hash,
            standing.resumable,
            problems,
            node.echoes,
            limits,
            destination.kept.paths(),
            node.start,
        )

    async def _read(
        self,
        stream: ServerStream,
        queue: asyncio.Queue[m.FromProduction | None],
        lane: Lane,
        hello: m.Hello,
        send: Callable[[m.FromFailover], Awaitable[None]],
    ) -> None:
        """Answer heartbeats at once, whatever the worker does, and queue the rest."""
        heard = lane.heard
        is_first = True
        while True:
            async with asyncio.timeout(self.silence):
                message = await stream.receive()
            if isinstance(message, m.Goodbye) and message.reason not in _MEANT:
                self.objected(hello.node_id, hello.node_name, message.reason, message.message)
            elif is_first:
                self.admitted(hello.node_id)
            is_first = False
            heard.at = time.monotonic()
            if isinstance(message, m.Heartbeat):
                now = time.time_ns()
                heard.head_seq = message.head_seq
                heard.oldest_seconds = message.oldest_seconds
                heard.changes_behind = message.changes_behind
                heard.clock_skew_seconds = (now - message.sent_unix_ns) / 1e9
                await send(lane.answer(message.sent_unix_ns, now))
                continue
            await queue.put(message)
            if message is None or isinstance(message, m.Goodbye):
                return

    async def _beat(self, lane: Lane, send: Callable[[m.FromFailover], Awaitable[None]], sending: asyncio.Lock) -> None:
        """Show life each second, also while a long transaction keeps the reader waiting."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            if not sending.locked():
                lane.trouble = await asyncio.to_thread(lane.destination.root_trouble)
                await send(lane.answer(0, time.time_ns()))


def _nobody_objects(*_: object) -> None:
    """Nobody keeps who refuses this node."""


def _nobody_cares(_: str) -> None:
    """Nobody keeps whom this node refuses."""
