"""Production's end of one stream: connects, asks the state machine what to do, and does it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from syncer.errors import (
    Reason,
    RefusedError,
    SyncerError,
    UnreachableError,
)
from syncer.index.store import IndexStore
from syncer.model import Cursor, Head, Problem
from syncer.replicate import messages as m
from syncer.replicate.content import ContentChangedError, ContentSource
from syncer.replicate.examination import Examination
from syncer.replicate.failing import Failing
from syncer.replicate.failures import class_of_reason
from syncer.replicate.link import Dial
from syncer.replicate.outcomes import Outcomes
from syncer.replicate.pauses import Cause
from syncer.replicate.preflight import first_scan
from syncer.replicate.preparation import Preparation
from syncer.replicate.progress import (
    Progress,
    Step,
    after_ack,
    after_approval,
    after_brake,
    after_full_wanted,
    after_reject,
    after_release,
    after_root_change,
    backoff,
    braking_reason,
    decide,
    is_retrying,
)
from syncer.replicate.reconnect import first_of, reconnecting, until_ended, until_news
from syncer.replicate.rendered_tree import Outlook
from syncer.replicate.sending_brake import BrakedError, SendingBrake
from syncer.replicate.session import Outcome, Planned, Report, Session, Transaction
from syncer.replicate.stream import Production, Request, Stream, StreamView, Watched, hello_of
from syncer.replicate.stream_state import StreamState
from syncer.state.cursors import TargetProgress

log = logging.getLogger(__name__)

Result = TypeVar("Result")

UNSTABLE_AFTER = 3
"""Transactions in a row that one path may spoil by changing, before it is sent as UNKNOWN."""
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
        self._production = production
        self._index = index
        self._dial = dial
        self._brake = brake
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, f"send-{stream.target}-{stream.domain}")
        self._preparation = Preparation(stream.domain, index, source, brake, rendering)
        self._state = StreamState(stream, production, index, brake, before, failing)
        self._session: Session | None = None
        self._running: asyncio.Task[None] | None = None
        self._target_root: str | None = None
        self._spoiled: Counter[bytes] = Counter()
        self._moved = asyncio.Condition()
        self._outcomes = Outcomes(stream.target, stream.domain, production.record, production.observations)
        self.has_ended = False
        """Whether `run` has come to its end; for any thread."""
        self.ending = ""
        """Why the stream is about to be cancelled while the agent goes on: it takes nothing new, who waits is told."""

    def take_over(self, before: Sender) -> None:
        """Go on where `before`, the same stream under an earlier configuration, has ended."""
        self._outcomes = before._outcomes
        self._brake.take_over(before._brake)
        self._state.take_over(before._state)

    def view(self) -> StreamView:
        """Return what status shows of this stream."""
        view = self._state.view()
        return view._replace(problems=(*view.problems, *self.unsent()))

    def unsent(self) -> tuple[Problem, ...]:
        """Return the files that this target is not sent, since they could not come home."""
        return self._preparation.problems()

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
        await self._state.failing.kept()
        self.hurry()
        return True

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
            self._outcomes.end_minute()
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
            self._lost(failure)
            if time.monotonic() - started < PROVEN_SECONDS and self._state.told.last_success == acknowledged:
                raise failure from group
        except SyncerError as failure:
            self._lost(failure)
            raise

    def _lost(self, failure: SyncerError) -> None:
        # The target ended the session on purpose, to be connected to again: a rollback, or a new configuration there.
        is_over = getattr(failure, "reason", None) is Reason.SUPERSEDED
        if not self._state.progress.failures:
            log.warning("%s, domain %s: %s", self.stream.target, self.stream.domain, failure)
        refused = self._state.lost(failure, is_over=is_over)
        # Who suspends a target may well switch it off: that is no news then.
        if self._state.pause().cause is not Cause.PERSON and not is_over:
            self._outcomes.lost(failure, self._state.progress.failures, full=not self._state.progress.trusted)
        decision = self._state.decision()
        self._outcomes.decided(decision, retrying=is_retrying(self._state.progress, decision))
        reason = getattr(failure, "reason", Reason.UNSPECIFIED)
        self._state.fail_requests(RefusedError(str(failure), reason) if refused else failure)

    async def _connected(self) -> None:
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
            self._state.welcomed(welcome)
            self._production.reached(self.stream)
            self._outcomes.has_problems(welcome.problems)
            self._session, self._state.vitals = session, session.vitals
            self._target_root = None
            await self._announce()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.read())
                tasks.create_task(session.beat(self._state.heartbeat))
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
                self._outcomes.decided(decision, retrying=is_retrying(self._state.progress, decision))
                await self._tell_braking(braking_reason(self._state.progress, facts, decision))
            if decision.step is Step.REFUSE:
                self._state.requests.popleft().fail(RefusedError(decision.reason, Reason.ROOT_UNAVAILABLE))
            elif decision.step is Step.FULL:
                await self._synchronize(session, full=True)
            elif decision.step is Step.PARTIAL:
                await self._synchronize(session, full=False)
            else:
                await until_news(self._wake, self._state.next_attempt())

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

    async def _synchronize(self, session: Session, *, full: bool) -> None:
        """Send one transaction, and fold the answer in."""
        request = self._state.requests[0] if full and self._state.requests else None
        if not self._state.is_looking():
            self._state.failing.attempting()
        holds = self._production.holds_begun(self.stream.domain)
        unstable = frozenset(path for path, times in self._spoiled.items() if times >= UNSTABLE_AFTER)
        try:
            prepared = await self._on_thread(
                lambda: self._preparation.take(self._state.progress, request, unstable, full=full)
            )
        except BrakedError as braked:
            self._state.progress = after_brake(self._state.progress, str(braked), braked.seq)
            return
        except ContentChangedError as changed:
            await self._spoil(changed.path)
            return
        snapshot, begin, tree, source = prepared
        try:
            # RACE: a hold that began meanwhile may have let its command change what this snapshot shows.
            if self._production.holds_begun(self.stream.domain) != holds:
                return
            if not begin.dry_run:
                self._state.progress = after_release(self._state.progress)
            report = request.report if request else _report_nothing
            outcome = await session.run(Transaction(begin, tree, source, unstable, report))
        except ContentChangedError as changed:
            await self._spoil(changed.path)
            return
        finally:
            await self._on_thread(snapshot.close)
        if request is not None:
            self._state.requests.popleft()
            request.answer(outcome)
        if isinstance(outcome, m.Ack):
            self._brake.acknowledged(snapshot.head.seq, time.monotonic(), approved=begin.deletions_approved)
        await self._fold(outcome, snapshot.head.seq, full=full, unstable=unstable)

    async def _spoil(self, path: bytes) -> None:
        """A path changed under our hands: have it read again, and go on once the index knows more."""
        self._spoiled[path] += 1
        self._wake.clear()
        self._production.content_changed(self.stream.domain, path)
        await until_news(self._wake, time.monotonic() + 0.5)

    async def _fold(self, outcome: Outcome, seq: int, *, full: bool, unstable: frozenset[bytes]) -> None:
        now = time.monotonic()
        if isinstance(outcome, Planned):
            return
        if isinstance(outcome, m.Reject):
            delay = backoff(self._state.progress.failures + 1, self.stream.retry_min, self.stream.retry_max)
            self._state.progress = after_reject(self._state.progress, outcome, seq, now, delay)
            log.warning("%s, domain %s: %s", self.stream.target, self.stream.domain, outcome.message)
            self._state.failing.failed(class_of_reason(outcome.reason), outcome.message)
            if outcome.reason is Reason.CHECK_FAILED:
                self._production.check_failed(self.stream, outcome.failure)
            self._outcomes.rejected(outcome, self._state.progress.failures, full=full)
            return
        self._state.progress = after_ack(self._state.progress, outcome)
        self._state.failing.ended()
        self._outcomes.arrived(outcome, full=full)
        if self._state.vitals is not None:
            # Nothing is acknowledged by a root that is away or a domain that stands at a rollback.
            self._state.vitals.unavailable, self._state.vitals.rolled_back = "", False
        self._state.told.acknowledged(outcome, time.time(), full=full)
        self._spoiled.clear()
        for path in unstable:
            self._production.content_changed(self.stream.domain, path)
        self._production.succeeded(self.stream, outcome, full=full)
        await self._announce()

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _report_nothing(_: Report) -> None:
    """Nobody watches an automatic synchronization."""
