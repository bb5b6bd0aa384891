"""What production knows of one stream at a moment: what the target told, what people ask, and what follows from it."""

from __future__ import annotations

import time
from collections import deque

from syncer.index.store import IndexStore
from syncer.model import Head, Problem
from syncer.replicate import messages as m
from syncer.replicate.pauses import Pause
from syncer.replicate.progress import Decision, Facts, Progress, braking_reason, decide
from syncer.replicate.sending_brake import SendingBrake
from syncer.replicate.session import Vitals
from syncer.replicate.stream import Production, Request, Stream, StreamView
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
    ) -> None:
        """Know `stream` of this node; `before` is what the target told in an earlier life."""
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
        self._behind_since = 0.0

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
        self._behind_since = before._behind_since

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

    def heartbeat(self) -> m.Heartbeat:
        """Return what production knows at this moment; its age counts from when the target fell behind."""
        head = self._index.head(self._stream.domain)
        now = time.monotonic()
        behind = not self.has_reached(head)
        since = self._behind_since = (self._behind_since or now) if behind else 0.0
        changes = head.seq - self.progress.cursor.seq if behind and self.progress.cursor else 0
        return m.Heartbeat(time.time_ns(), head.seq, now - since if since else 0.0, max(changes, 0))

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
        )
