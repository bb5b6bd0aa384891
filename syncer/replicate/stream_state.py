"""What production knows of one stream at a moment: what the target told, what people ask, and what follows from it."""

from __future__ import annotations

import time
from collections import deque

from syncer.errors import PeerProtocolError, PeerRejectedError, SyncerError
from syncer.index.store import IndexStore
from syncer.model import Cursor, Head, Problem
from syncer.replicate import messages as m
from syncer.replicate.failing import Failing
from syncer.replicate.failures import WORSENED_BY_RETRYING, class_of_error
from syncer.replicate.lag import Lag
from syncer.replicate.pauses import Cause, Pause
from syncer.replicate.progress import (
    Decision,
    Facts,
    Progress,
    after_loss,
    after_rest,
    after_resume,
    after_welcome,
    braking_reason,
    decide,
)
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.session import Vitals
from syncer.replicate.stream import Production, Request, Stream, StreamView, Watched
from syncer.state.cursors import TargetProgress


class Told:
    """What the target said of itself, and when it last took something; times are Unix seconds."""

    def __init__(self, before: TargetProgress | None) -> None:
        """Begin with what it told in an earlier life."""
        self.last_success = before.last_success if before else None
        self.last_full = before.last_full if before else None
        self.generation = 0
        self.connected_at: float | None = None
        self.problems: tuple[Problem, ...] = ()
        self.kept_local: tuple[bytes, ...] = ()
        self.welcome: m.Welcome | None = None

    def welcomed(self, welcome: m.Welcome) -> None:
        """Take in the target's first word in a session."""
        self.welcome = welcome
        self.connected_at = time.time()
        self.problems = welcome.problems
        self.kept_local = welcome.kept_local

    def acknowledged(self, ack: m.Ack, now: float, *, full: bool) -> None:
        """Take in that a transaction is durable there."""
        self.last_success = now
        self.last_full = now if full else self.last_full
        self.generation = ack.generation
        self.problems = ack.problems
        self.kept_local = ack.kept_local

    def reset(self) -> None:
        """The target is forgotten."""
        self.welcome = None
        self.last_success = self.last_full = None


class StreamState:
    """The knowledge of one sender; changes nothing but itself."""

    def __init__(
        self,
        stream: Stream,
        production: Production,
        index: IndexStore,
        brake: SendingBrake,
        before: TargetProgress | None,
        failing: Failing,
    ) -> None:
        """Know `stream` of this node; `before` is what the target told in an earlier life."""
        self.failing = failing
        # Only for display until the target answers: then its own word counts.
        trusted = before is not None and before.rule_hash == stream.rules.hash
        self.progress = Progress(cursor=before.cursor if before else None, trusted=trusted)
        self.told = Told(before)
        self.requests: deque[Request] = deque()
        self.vitals: Vitals | None = None
        """Of the session, None where there is none."""
        self._stream = stream
        self._production = production
        self._index = index
        self._brake = brake
        self.tried: str | None = None
        """Why the first attempt since a person resumed has failed, "" where it went well; None: not tried yet."""
        self._lag = Lag()
        self._counted: tuple[Cursor | None, int] | None = None

    def take_over(self, before: StreamState) -> None:
        """Remember what `before` knew of the same stream, and a person's word that has not done its work yet."""
        known = before.progress
        self.told = before.told
        # Not what waits for a person: under other patterns that may be another plan, so the target is asked again.
        theirs, ours = before._stream, self._stream
        same = (theirs.rules.hash, theirs.pattern_hash) == (ours.rules.hash, ours.pattern_hash)
        self.progress = Progress(
            cursor=known.cursor,
            trusted=known.trusted and same,
            approved=known.approved,
            approved_empty_seq=known.approved_empty_seq,
        )
        self._lag = before._lag
        self.failing.take_over(before.failing)

    def fail_requests(self, error: SyncerError) -> None:
        """Tell everybody who waits for a full synchronization why there is none."""
        while self.requests:
            self.requests.popleft().fail(error)

    def facts(self) -> Facts:
        """Return what this node knows apart from the target."""
        domain = self._stream.domain
        cursor = self.progress.cursor
        return Facts(
            self._index.head(domain),
            cursor is not None and self._index.is_resumable(domain, cursor),
            self._production.scanned(domain),
            self._production.unavailable(domain),
            self._index.is_empty(domain),
            self._stream.automatic,
            bool(self.requests),
            self.vitals.unavailable if self.vitals else "",
            self._brake.trouble(),
            self.is_looking(),
            "" if self.is_looking() else self.pause().reason,
            "" if self.is_looking() else self.failing.reason,
            self.failing.may_attempt(),
            self._production.held_back(self._stream.target, domain),
        )

    def decision(self) -> Decision:
        """Return what comes next."""
        return decide(self.progress, self.facts(), time.monotonic())

    def is_looking(self) -> bool:
        """Tell whether what is asked for first changes nothing on the target: that is no sending."""
        return bool(self.requests) and self.requests[0].dry_run

    def pause(self) -> Pause:
        """Return why nothing is to be sent by a person's word."""
        return self._production.pause(self._stream.target, self._stream.domain)

    def waiting_approval(self) -> m.Approval | None:
        """Return the plan that waits for a person, or None; reads the index where this node's own brake holds."""
        if self.progress.approval is not None and self.progress.approved != self.progress.approval.id:
            return self.progress.approval
        facts = self.facts()
        now = time.monotonic()
        if not braking_reason(self.progress, facts, decide(self.progress, facts, now)):
            return None
        return self._brake.offer(self._index, self.progress.cursor, now)

    def has_reached(self, head: Head) -> bool:
        """Tell whether the target is durable at `head` or beyond it."""
        cursor = self.progress.cursor
        return (
            cursor is not None
            and self.progress.trusted
            and cursor.index_id == head.index_id
            and cursor.seq >= head.seq
            and self._index.is_resumable(self._stream.domain, cursor)
        )

    def welcomed(self, welcome: m.Welcome) -> None:
        """Take in the target's first word in a session. Raises PeerRejectedError where it is not to be believed."""
        stream = self._stream
        self._production.words.greeted(stream, welcome)
        self.progress = after_welcome(self.progress, welcome, stream.pattern_hash, stream.rules.hash)
        self.told.welcomed(welcome)
        if self.has_reached(self._index.head(stream.domain)):
            # Nothing waits to be sent, so nothing can fail any more.
            self.failing.ended()
            self.progress = after_rest(self.progress)

    def lost(self, failure: SyncerError, *, is_over: bool) -> bool:
        """Take in that a connection was lost, or ended on purpose (`is_over`); tells whether the target refused."""
        if isinstance(failure, PeerRejectedError):
            self._production.words.rejected(self._stream, failure)
        refused = isinstance(failure, PeerRejectedError | PeerProtocolError) and not is_over
        kind = class_of_error(failure)
        self.failing.failed(kind, str(failure))
        self.attempted(str(failure))
        self.progress = after_loss(
            self.progress,
            str(failure),
            refused=refused,
            malformed=isinstance(failure, PeerProtocolError),
            worsens=kind in WORSENED_BY_RETRYING,
        )
        return refused

    def next_attempt(self) -> float:
        """Return when to look again though nothing is new (monotonic seconds); in the past: not before news."""
        return max(self.progress.retry_at, self.failing.probe_at)

    def resume(self) -> bool:
        """Take in that a person ends a suspension by failures; tells whether there was one."""
        if not self.failing.ended():
            return False
        self.progress = after_resume(self.progress)
        self.tried = None
        return True

    def attempted(self, error: str) -> None:
        """Take in how an attempt ended: `error` is "" where it went well."""
        if self.tried is None:
            self.tried = error

    def first_attempt(self) -> str | None:
        """Return how the first attempt since a person resumed ended, as `tried`; with nothing to send, it is well."""
        at_rest = self.progress.connected and self.has_reached(self._index.head(self._stream.domain))
        return "" if self.tried is None and at_rest else self.tried

    def heartbeat(self) -> m.Heartbeat:
        """Return what production knows at this moment."""
        head = self._index.head(self._stream.domain)
        cursor = self.progress.cursor
        if self.has_reached(head) or cursor is None:
            changes = 0
        elif self._counted is not None and self._counted[0] == cursor:
            changes = self._counted[1]
        else:
            changes = max(head.seq - cursor.seq, 0)
        return m.Heartbeat(time.time_ns(), head.seq, self.lag(), changes)

    def lag(self) -> float:
        """Return the age of the oldest change that the target has not acknowledged, in seconds; on the event loop."""
        head = self._index.head(self._stream.domain)
        cursor = self.progress.cursor
        known = cursor is not None and self.progress.trusted and cursor.index_id == head.index_id
        acknowledged = cursor.seq if cursor is not None and known else None
        return self._lag.seconds(head, acknowledged, time.monotonic(), reached=self.has_reached(head))

    def counted(self, cursor: Cursor | None, changes: int) -> None:
        """Take in how many paths wait behind `cursor`: seqs count a path as often as it changed."""
        self._counted = (cursor, changes)

    def watched(self) -> Watched:
        """Return what the watch over all streams looks at; cheap, on the event loop."""
        vitals = self.vitals
        stream = self._stream
        return Watched(
            stream.target,
            stream.domain,
            self.lag(),
            not stream.automatic or self.pause().cause in (Cause.PERSON, Cause.HOLD),
            vitals.clock_skew if vitals else None,
            vitals.round_trip if vitals else None,
            self._index.head(stream.domain).seq,
            self.progress.cursor,
            self._lag.is_whole,
        )

    def view(self) -> StreamView:
        """Return what status shows of this stream."""
        told, vitals = self.told, self.vitals
        return StreamView(
            self._stream.target,
            self._stream.domain,
            self.decision(),
            self.progress,
            vitals.round_trip if vitals else None,
            vitals.clock_skew if vitals else None,
            told.last_success,
            told.last_full,
            told.generation,
            told.welcome.echoes if told.welcome else 0,
            told.problems,
            told.welcome.node_id if told.welcome else "",
            vitals.rolled_back if vitals else False,
            told.kept_local,
            vitals.drift if vitals else None,
            vitals.examined if vitals else 0,
            told.welcome.limits if told.welcome else (),
            vitals.service if vitals else "",
            told.connected_at if self.progress.connected else None,
            self.failing.suspension,
        )
