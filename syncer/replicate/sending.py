"""One transaction of a stream: taken from the index, sent through a session, its answer folded in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from syncer.errors import Reason
from syncer.model import Problem
from syncer.replicate import messages as m
from syncer.replicate.content import ContentChangedError
from syncer.replicate.failures import class_of_reason
from syncer.replicate.outcomes import Outcomes
from syncer.replicate.preparation import Preparation
from syncer.replicate.progress import after_ack, after_brake, after_reject, after_release, backoff
from syncer.replicate.reconnect import until_news
from syncer.replicate.sending_brake import BrakedError, SendingBrake
from syncer.replicate.session import Outcome, Planned, Report, Session, Transaction, Worker
from syncer.replicate.stream import Production, Stream
from syncer.replicate.stream_state import StreamState

log = logging.getLogger(__name__)

UNSTABLE_AFTER = 3
"""Transactions in a row that one path may spoil by changing, before it is sent as UNKNOWN."""


class Sending:
    """Sends what the state machine has decided on, one transaction at a time."""

    def __init__(
        self,
        stream: Stream,
        production: Production,
        state: StreamState,
        brake: SendingBrake,
        preparation: Preparation,
        on_thread: Worker,
        wake: asyncio.Event,
    ) -> None:
        """Work for `stream`, and fold into its `state`; `wake` is set when the index has news."""
        self._stream = stream
        self._production = production
        self._state = state
        self._brake = brake
        self._preparation = preparation
        self._on_thread = on_thread
        self._wake = wake
        self._spoiled: Counter[bytes] = Counter()
        self.outcomes = Outcomes(
            stream.target, stream.domain, production.record, production.observations, production.standing_problems
        )
        """What is told of the stream; it outlives a new configuration."""

    def problems(self) -> tuple[Problem, ...]:
        """Return the files that the target is not sent, since they could not come home."""
        return self._preparation.problems()

    async def synchronize(self, session: Session, *, full: bool) -> None:
        """Send one transaction, and fold the answer in."""
        request = self._state.requests[0] if full and self._state.requests else None
        if not self._state.is_looking():
            self._state.failing.attempting()
        holds = self._production.holds_begun(self._stream.domain)
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
            if self._production.holds_begun(self._stream.domain) != holds:
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
        self._fold(outcome, snapshot.head.seq, full=full, unstable=unstable)

    async def _spoil(self, path: bytes) -> None:
        """A path changed under our hands: have it read again, and go on once the index knows more."""
        self._spoiled[path] += 1
        self._wake.clear()
        self._production.content_changed(self._stream.domain, path)
        await until_news(self._wake, time.monotonic() + 0.5)

    def _fold(self, outcome: Outcome, seq: int, *, full: bool, unstable: frozenset[bytes]) -> None:
        now = time.monotonic()
        if isinstance(outcome, Planned):
            return
        if isinstance(outcome, m.Reject):
            delay = backoff(self._state.progress.failures + 1, self._stream.retry_min, self._stream.retry_max)
            self._state.progress = after_reject(self._state.progress, outcome, seq, now, delay)
            log.warning("%s, domain %s: %s", self._stream.target, self._stream.domain, outcome.message)
            self._state.failing.failed(class_of_reason(outcome.reason), outcome.message)
            self._state.attempted(outcome.message)
            if outcome.reason is Reason.CHECK_FAILED:
                self._production.check_failed(self._stream, outcome.failure)
            self.outcomes.rejected(outcome, self._state.progress.failures, full=full)
            return
        self._state.progress = after_ack(self._state.progress, outcome)
        self._state.failing.ended()
        self._state.attempted("")
        self.outcomes.arrived(outcome, full=full)
        if self._state.vitals is not None:
            # Nothing is acknowledged by a root that is away or a domain that stands at a rollback.
            self._state.vitals.unavailable, self._state.vitals.rolled_back = "", False
        self._state.told.acknowledged(outcome, time.time(), full=full)
        self._spoiled.clear()
        for path in unstable:
            self._production.content_changed(self._stream.domain, path)
        self._production.succeeded(self._stream, outcome, full=full)


def _report_nothing(_: Report) -> None:
    """Nobody watches an automatic synchronization."""
