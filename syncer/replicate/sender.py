"""Production's end of one stream: connects, asks the state machine what to do, and does it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from syncer.errors import (
    PeerRejectedError,
    Reason,
    RefusedError,
    SyncerError,
    UnreachableError,
)
from syncer.index.store import IndexStore
from syncer.model import Cursor, Head, Problem
from syncer.replicate import messages as m
from syncer.replicate.content import ContentSource
from syncer.replicate.examination import Examination
from syncer.replicate.failing import Failing
from syncer.replicate.link import Dial
from syncer.replicate.pauses import Cause
from syncer.replicate.preflight import first_scan, let_in
from syncer.replicate.preparation import Preparation
from syncer.replicate.progress import (
    Decision,
    Progress,
    Step,
    after_approval,
    after_full_wanted,
    after_root_change,
    braking_reason,
    decide,
    is_retrying,
)
from syncer.replicate.reconnect import first_of, reconnecting, until_ended, until_news
from syncer.replicate.rendered_tree import Outlook
from syncer.replicate.sending import Sending
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.session import Session
from syncer.replicate.stream import Production, Request, Stream, StreamView, Watched, hello_of
from syncer.replicate.stream_state import StreamState
from syncer.state.cursors import TargetProgress

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PROVEN_SECONDS = 5.0
"""A session that lived this long, or had a transaction acknowledged, starts the backoff anew."""


class Sender:
    """Keeps one target equal to this node in one domain."""

    def __init__(
        self,
        stream: Stream,
        production: Production,
        index: IndexStore,
        source: ContentSource,
        dial: Dial,
        before: TargetProgress | None,
        brake: SendingBrake,
        rendering: Outlook | None = None,
        failing: Failing | None = None,
    ) -> None:
        """Send `stream` through calls made by `dial`; `before` is what the target told in an earlier life.

        `rendering` is what substitution makes of it; None: no rules. `failing` None: it does not outlive the process.
        """
        failing = failing or Failing(stream.target, stream.domain, stream.suspend_policy())
        self.stream = stream
        self.rendering = rendering
        """What is made of the index for the target; None: it goes as it is."""
        self._production = production
        self._index = index
        self._dial = dial
        self._brake = brake
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, f"send-{stream.target}-{stream.domain}")
        self._state = StreamState(stream, production, index, brake, before, failing)
        preparation = Preparation(stream.domain, index, source, brake, rendering)
        self._sending = Sending(stream, production, self._state, brake, preparation, self._on_thread, self._wake)
        self._session: Session | None = None
        self._running: asyncio.Task[None] | None = None
        self._target_root: str | None = None
        self._moved = asyncio.Condition()
        self._announcing: asyncio.Task[None] | None = None
        self.has_ended = False
        """Whether `run` has come to its end; for any thread."""
        self.ending = ""
        """Why the stream is about to be cancelled while the agent goes on: it takes nothing new, who waits is told."""

    def take_over(self, before: Sender) -> None:
        """Go on where `before`, the same stream under an earlier configuration, has ended."""
        self._sending.outcomes = before._sending.outcomes
        self._brake.take_over(before._brake)
        self._state.take_over(before._state)

    def view(self) -> StreamView:
        """Return what status shows of this stream."""
        view = self._state.view()
        return view._replace(problems=(*view.problems, *self.unsent()))

    def unsent(self) -> tuple[Problem, ...]:
        """Return the files that this target is not sent, since they could not come home."""
        return self._sending.problems()

    def watched(self) -> Watched:
        """Return what the watch over all streams looks at; cheap."""
        return self._state.watched()

    def counted(self, cursor: Cursor | None, changes: int) -> None:
        """Take in how many paths wait behind `cursor`, for the heartbeats."""
        self._state.counted(cursor, changes)

    def head_moved(self) -> None:
        """Look again: the index has news, or the root came or went."""
        self._wake.set()

    def hurry(self) -> None:
        """Try to connect now rather than after the backoff."""
        self._hurry.set()
        self._wake.set()

    def request(self, request: Request) -> None:
        """Queue a full synchronization; it runs between transactions, never beside one."""
        if self.ending:
            request.fail(SyncerError(self.ending))
            return
        if not request.dry_run and self._state.pause().reason:
            request.fail(RefusedError(self._state.pause().reason))
            return
        self._state.requests.append(request)
        self.hurry()

    def waiting_approval(self) -> m.Approval | None:
        """Return the plan that waits for a person, or None."""
        return self._state.waiting_approval()

    def approve(self, approval_id: str) -> None:
        """Let the plan pass that waits under this id."""
        self._brake.approve(approval_id)
        self._state.progress = after_approval(self._state.progress, self._index.head(self.stream.domain).seq)
        self.hurry()

    def reset(self) -> None:
        """Forget the target, and end the session with it."""
        self._state.progress = Progress()
        self._brake.reset()
        self._state.told.reset()
        self._state.failing.ended()
        if self._running is not None:
            self._running.cancel()

    async def resume(self) -> bool:
        """End a suspension by failures, durably, by a person's word; tells whether there was one. Raises StateError."""
        if not self._state.resume():
            return False
        self._sending.outcomes.continued()
        await self._state.failing.kept()
        self.hurry()
        return True

    async def first_attempt(self, seconds: float) -> str | None:
        """Return why the first attempt since `resume` has failed, "" where it went well; None: not within `seconds`."""
        decision = self._state.decision()
        if self._state.progress.connected and decision.step is Step.WAIT and self._state.first_attempt() is None:
            return None  # something else holds it back
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.ending or self._state.first_attempt() is not None)
        except TimeoutError:
            return None
        return self._state.first_attempt()

    async def wait_acknowledged(self, head: Head) -> None:
        """Return once the target is durable at `head` or beyond it, or the stream is ending."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.ending or self._state.has_reached(head))

    def _root_changed(self) -> None:
        """The target says another thing about its root; its first word in a session changes nothing."""
        if self._target_root is not None and self._session is not None:
            self._state.progress = after_root_change(self._state.progress)
        self._target_root = self._session.vitals.unavailable if self._session else None
        self._wake.set()

    def end(self, why: str) -> None:
        """Take nothing new any more, since the stream is about to be cancelled; whoever waits is told `why`."""
        self.ending = why
        # RACE: a stream that never ran has no end of its own to tell of.
        self._announcing = asyncio.get_running_loop().create_task(self._announce())

    def require_full(self) -> None:
        """Build upon the target's cursor no more: what comes next is a full synchronization."""
        self._state.progress = after_full_wanted(self._state.progress)
        self._wake.set()

    def examination(self) -> Examination:
        """Return how to have the target verify itself; UnreachableError where it is not connected."""
        asking = self._session.verification if self._session is not None else None
        return Examination.on(self.stream.target, asking, self._running)

    async def run(self) -> None:
        """Connect, stream, reconnect; ends only by cancellation."""
        try:
            while True:
                await reconnecting(self._run_session, self._hurry, self.stream.retry_min, self.stream.retry_max)
        finally:
            self.has_ended = True
            self._sending.outcomes.end_minute()
            why = SyncerError(self.ending) if self.ending else UnreachableError("the agent is stopping")
            self._state.fail_requests(why)
            await self._announce()
            # RACE: nothing of it may go on beside the stream that takes its place.
            await asyncio.to_thread(self._thread.shutdown, wait=bool(self.ending), cancel_futures=True)

    async def _run_session(self) -> None:
        """Run one session to its end; returns (starting the backoff anew) where it had proven itself."""
        started = time.monotonic()
        self._hurry.clear()
        await self._state.failing.kept()
        acknowledged = self._state.told.last_success
        self._running = asyncio.create_task(self._connected())
        try:
            await until_ended(self._running)
        except BaseExceptionGroup as group:
            failure = first_of(group)
            if not isinstance(failure, SyncerError):
                raise
            await self._lost(failure)
            if time.monotonic() - started < PROVEN_SECONDS and self._state.told.last_success == acknowledged:
                raise failure from group
        except SyncerError as failure:
            await self._lost(failure)
            raise

    async def _lost(self, failure: SyncerError) -> None:
        # The target ended the session on purpose, to be connected to again: a rollback, or a new configuration there.
        is_over = getattr(failure, "reason", None) is Reason.SUPERSEDED
        if not self._state.progress.failures:
            log.warning("%s, domain %s: %s", self.stream.target, self.stream.domain, failure)
        refused = self._state.lost(failure, is_over=is_over)
        # Who suspends a target may well switch it off: that is no news then.
        if self._state.pause().cause is not Cause.PERSON and not is_over:
            self._sending.outcomes.lost(failure, self._state.progress.failures, full=not self._state.progress.trusted)
        decision = self._state.decision()
        self._decided(decision)
        reason = getattr(failure, "reason", Reason.UNSPECIFIED)
        self._state.fail_requests(RefusedError(str(failure), reason) if refused else failure)
        await self._announce()

    async def _connected(self) -> None:
        apart = partial(self._production.kept_apart, self.stream.target)
        await let_in(self._on_thread, apart, self._wake, self._state.fail_requests)
        stream = self._dial()
        session = Session(
            stream,
            self._on_thread,
            self.stream.timeout,
            self.stream.target,
            self._root_changed,
            self.require_full,
        )
        try:
            await first_scan(self.stream.domain, self._production, self._wake)
            names = await self._on_thread(lambda: self._index.owner_names(self.stream.domain))
            welcome = await session.handshake(
                hello_of(self.stream, self._production, self._index.head(self.stream.domain), names)
            )
            try:
                self._state.welcomed(welcome)
            except PeerRejectedError as error:
                # So that it shows there, too, whom production does not believe.
                await session.goodbye(error.reason, str(error))
                raise
            self._production.reached(self.stream)
            self._sending.outcomes.has_problems(welcome.problems)
            self._session, self._state.vitals = session, session.vitals
            self._target_root = None
            await self._announce()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.read())
                tasks.create_task(session.beat(self._state.heartbeat))
                tasks.create_task(session.until_silent())
                tasks.create_task(self._drive(session))
        except asyncio.CancelledError:
            if self._session is session:
                await asyncio.shield(self._part(session))
            raise
        finally:
            self._session = self._state.vitals = None
            await stream.close()

    async def _part(self, session: Session) -> None:
        """Say goodbye, briefly: the target may be gone."""
        try:
            async with asyncio.timeout(1.0):
                await session.goodbye(Reason.SHUTTING_DOWN, self.ending or "production's agent is stopping")
        except (TimeoutError, SyncerError) as error:
            log.debug("goodbye to %s was not heard: %s", self.stream.target, error)

    async def _drive(self, session: Session) -> None:
        """Do what the state machine says, for as long as the session lives."""
        while True:
            self._wake.clear()
            await self._state.failing.kept()
            if self._state.requests:
                await self._agree(self._state.requests[0])
            facts = self._state.facts()
            decision = decide(self._state.progress, facts, time.monotonic())
            if not self._state.is_looking() and self._state.pause().cause is not Cause.HOLD:
                self._decided(decision)
                await self._tell_braking(braking_reason(self._state.progress, facts, decision))
            if decision.step is Step.REFUSE:
                self._state.requests.popleft().fail(RefusedError(decision.reason, Reason.ROOT_UNAVAILABLE))
            elif decision.step is Step.FULL:
                await self._send(session, full=True)
            elif decision.step is Step.PARTIAL:
                await self._send(session, full=False)
            else:
                await until_news(self._wake, self._state.next_attempt())

    def _decided(self, decision: Decision) -> None:
        """Have it told where a suspension begins or ends by this; what a procedure holds back is none."""
        if decision.reason and decision.reason == self._production.held_back(self.stream.target, self.stream.domain):
            return
        by_person = self._state.pause().cause is Cause.PERSON
        retrying = is_retrying(self._state.progress, decision)
        self._sending.outcomes.decided(decision, retrying=retrying, by_person=by_person)

    async def _send(self, session: Session, *, full: bool) -> None:
        await self._sending.synchronize(session, full=full)
        await self._announce()

    async def _agree(self, request: Request) -> None:
        """A person who asks may have agreed already to what waits."""
        waiting = await self._on_thread(self.waiting_approval) if request.approval else None
        if waiting is not None and waiting.id == request.approval:
            self.approve(waiting.id)

    async def _tell_braking(self, reason: str) -> None:
        """Raise an event once where a brake engages; it is another one only after the stream was free again."""
        if self._brake.engaged_by(reason):
            waiting = await self._on_thread(self.waiting_approval)
            self._production.record("brake.engaged", self._brake.event(waiting, self._index, reason))

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
