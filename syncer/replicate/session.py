"""One connected stream of production: handshake, heartbeats, and transactions one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, UnreachableError
from syncer.replicate import messages as m
from syncer.replicate.content import ContentChangedError, ContentSource
from syncer.replicate.examination import Asking
from syncer.replicate.link import Stream
from syncer.replicate.outgoing import Outgoing
from syncer.replicate.rendered_tree import Tree

HEARTBEAT = 1.0
"""Seconds between signs of life; each also carries what failover would lose."""
NOTICED = 0.9
"""The part of `timeout` after which silence counts, so that it has been shown and told when `timeout` is over."""

ANSWERS_AT_MOST = 4096
"""Unread answers that a peer may pile up; a tree of 30 million files wants no more."""

Result = TypeVar("Result")


class Report(NamedTuple):
    """How far a transaction is: phase is compare, transfer or apply; done and total count contents."""

    phase: str
    done: int
    total: int
    bytes: int


class Worker(Protocol):
    """Runs blocking work on the stream's own thread."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return the result of `work`."""


class Transaction(NamedTuple):
    """What a transaction is made of: its opening, one state of the index, and paths that cannot be read now."""

    begin: m.Begin
    tree: Tree
    source: ContentSource
    unstable: frozenset[bytes]
    report: Callable[[Report], None]


class Planned(NamedTuple):
    """The answer to a dry run."""

    items: tuple[m.PlanItem, ...]
    approval: str


Outcome = m.Ack | m.Reject | Planned
Answer = m.WantEntries | m.Want | m.Ack | m.Reject | m.Plan


class Vitals:
    """What the heartbeats measure: silence, round trip and clock skew (seconds)."""

    def __init__(self) -> None:
        self.heard_at = time.monotonic()
        self.round_trip: float | None = None
        self.clock_skew: float | None = None
        self.unavailable: str | None = None
        self.drift: int | None = None
        self.wants_full = False
        self.examined = 0
        self.rolled_back = False
        self.service = ""

    def hear(self, answer: m.HeartbeatAnswer) -> None:
        """Fold a heartbeat's answer in; unsolicited ones only show life."""
        self.unavailable = answer.unavailable
        self.drift, self.wants_full, self.examined = answer.drift, answer.wants_full, answer.examined
        self.rolled_back, self.service = answer.rolled_back, answer.service
        if not answer.sent_unix_ns:
            return
        now = time.time_ns()
        self.round_trip = (now - answer.sent_unix_ns) / 1e9
        self.clock_skew = (answer.received_unix_ns - (answer.sent_unix_ns + now) / 2) / 1e9


class Session:
    """A stream to one target for one domain, from Hello to its end."""

    def __init__(
        self,
        stream: Stream,
        worker: Worker,
        timeout: float,
        peer: str,
        on_root: Callable[[], None],
        on_full_wanted: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak on `stream`; a target silent for `timeout` seconds is taken for dead.

        `on_root` is called when the target says another thing about its root than before, `on_full_wanted`
        when it asks for a full synchronization.
        """
        self._on_root = on_root
        self._on_full_wanted = on_full_wanted
        self.verification = Asking(self._send)
        self.vitals = Vitals()
        self._stream = stream
        self._worker = worker
        self._timeout = timeout
        self._silence = timeout * NOTICED
        self._peer = peer
        self._inbox: asyncio.Queue[Answer] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._number = 0
        self._rejected = 0

    async def handshake(self, hello: m.Hello) -> m.Welcome:
        """Say Hello and return the Welcome.

        Raises UnreachableError after the timeout, PeerRejectedError where the target refuses.
        """
        try:
            async with asyncio.timeout(self._silence):
                await self._stream.send(hello)
                answer = await self._stream.receive()
        except TimeoutError as error:
            raise UnreachableError(f"{self._peer} did not answer within {self._timeout:g} s") from error
        if not isinstance(answer, m.Welcome):
            raise PeerProtocolError(f"{self._peer} did not answer the Hello with a Welcome")
        if answer.protocol != m.PROTOCOL:
            raise PeerRejectedError(
                f"{self._peer} speaks protocol {answer.protocol} and this node {m.PROTOCOL}: "
                "run the same version of syncer on both nodes",
                Reason.PROTOCOL_VERSION,
            )
        if answer.term > hello.term:
            raise PeerRejectedError(
                f"{self._peer} has seen term {answer.term.counter}, this node has {hello.term.counter}: "
                "another node was promoted since",
                Reason.STALE_TERM,
                answer.term,
            )
        self.vitals.heard_at = time.monotonic()
        return answer

    async def read(self) -> None:
        """Take in what the target says until the stream ends (then raises why)."""
        while True:
            message = await self._stream.receive()
            self.vitals.heard_at = time.monotonic()
            if isinstance(message, m.HeartbeatAnswer):
                before = self.vitals.unavailable
                self.vitals.hear(message)
                if before != self.vitals.unavailable:
                    self._on_root()
                if self.vitals.wants_full:
                    self._on_full_wanted()
            elif self.verification.take(message):
                continue
            elif isinstance(message, m.Goodbye):
                raise PeerRejectedError(f"{self._peer} ended the session: {message.message}", message.reason)
            elif isinstance(message, m.Welcome):
                raise PeerProtocolError(f"{self._peer} said Welcome twice")
            else:
                # Unbounded on purpose: a reader that waits here would not see heartbeats and declare the peer dead.
                if self._inbox.qsize() > ANSWERS_AT_MOST:
                    raise PeerProtocolError(f"{self._peer} sent answers without end")
                if isinstance(message, m.Reject):
                    self._rejected = message.transaction
                self._inbox.put_nowait(message)

    async def beat(self, heartbeat: Callable[[], m.Heartbeat]) -> None:
        """Send a heartbeat each second."""
        while True:
            # RACE: a write that waits for a slow target holds the lock; its data is sign enough of life.
            if not self._writing.locked():
                await self._send(heartbeat())
            await asyncio.sleep(min(HEARTBEAT, self._timeout / 3))

    async def until_silent(self) -> None:
        """Return never; raises UnreachableError at the moment when the target has been silent too long."""
        # Apart from the heartbeats: one that cannot be written to a frozen target must not keep this from being seen.
        while True:
            silent = time.monotonic() - self.vitals.heard_at
            if silent >= self._silence:
                raise UnreachableError(f"{self._peer} has been silent for {silent:.1f} s: frozen, or cut off")
            await asyncio.sleep(self._silence - silent)

    async def goodbye(self, reason: Reason, message: str) -> None:
        """Tell the target that the end of the stream is meant."""
        await self._send(m.Goodbye(reason, message))

    async def run(self, transaction: Transaction) -> Outcome:
        """Send one transaction and return the target's answer.

        Raises ContentChangedError where it had to be given up because production's disk moved on.
        """
        self._number += 1
        begin, tree, source, unstable, report = transaction
        outgoing = Outgoing(self._number, begin, tree, source, unstable)
        try:
            return await self._exchange(outgoing, report)
        except ContentChangedError:
            await self._send(m.Abandon(self._number, Reason.CONTENT_CHANGED, "a content changed meanwhile"))
            raise
        finally:
            outgoing.close()

    async def _exchange(self, outgoing: Outgoing, report: Callable[[Report], None]) -> Outcome:
        part = await self._worker(outgoing.opening)
        await self._send(part)
        if not outgoing.begin.full:
            await self._send_parts(outgoing, part)
        planned: list[m.PlanItem] = []
        wanted = 0
        while True:
            answer = await self._answer(outgoing.number)
            if isinstance(answer, m.Ack | m.Reject):
                return answer
            if isinstance(answer, m.Plan):
                planned.extend(answer.items)
                if answer.last:
                    return Planned(tuple(planned), answer.approval)
            elif isinstance(answer, m.WantEntries):
                report(Report("compare", 0, outgoing.begin.entries, 0))
                outgoing.send_entries()
                await self._send_parts(outgoing, None)
            else:
                wanted += len(answer.digests)
                await self._send_contents(outgoing, answer, wanted, report)

    async def _send_parts(self, outgoing: Outgoing, part: m.Part | None) -> None:
        while part is None or not part.end:
            part = await self._worker(outgoing.next_part)
            await self._send(part)

    async def _send_contents(
        self, outgoing: Outgoing, want: m.Want, wanted: int, report: Callable[[Report], None]
    ) -> None:
        """Read the next message while the last one is under way, so that disk and network overlap."""
        batches = outgoing.contents(want.digests, last=want.last)
        done = wanted - len(want.digests)
        batch = await self._worker(lambda: next(batches, None))
        while batch is not None:
            following = asyncio.ensure_future(self._worker(lambda: next(batches, None)))
            try:
                await self._send(batch)
                done += sum(1 for content in batch.contents if not content.more)
                report(Report("transfer", done, wanted, outgoing.bytes))
            except BaseException:
                following.cancel()
                raise
            batch = await following
            if self._rejected == outgoing.number:
                return  # nobody waits for the rest of it
        if want.last:
            report(Report("apply", wanted, wanted, outgoing.bytes))

    async def _answer(self, number: int) -> Answer:
        """Return the next answer to this transaction; older ones belong to one that was given up."""
        while True:
            answer = await self._inbox.get()
            if answer.transaction == number:
                return answer
            if answer.transaction > number:
                raise PeerProtocolError(f"{self._peer} answered a transaction that was never sent")

    async def _send(self, message: m.FromProduction) -> None:
        async with self._writing:
            await self._stream.send(message)
