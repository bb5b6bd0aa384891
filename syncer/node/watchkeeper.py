"""Looks once a second at what everybody else shows, and raises what somebody must hear of: behind, silent, skewed.

What is seen is gathered on the event loop, cheaply; what follows from it is written and raised on a thread, so that
a slow disk holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import StateError
from syncer.events.alarms import Alarm, Observation, Raised, is_behind, is_silent, is_skewed, looked
from syncer.model import EventValue, Mode
from syncer.replicate.receiver import Heard
from syncer.replicate.stream import Watched
from syncer.state.alarms import AlarmRow, read_alarms, write_alarms
from syncer.state.peers import peers

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ABSENT_SECONDS = 5.0
"""A gap between two looks that means that this process itself did not run: silence is counted from its end."""
COUNT_PAUSE = 50.0
"""Counting what a stream lacks pauses for so many times as long as it took: it costs at most 2 % of a core."""


class Seen(NamedTuple):
    """What one look has gathered: of each stream, and of production where this node is failover."""

    streams: tuple[Watched, ...]
    heard: tuple[Heard, ...] | None
    """None: this node is not failover."""


class Watchkeeper:
    """Turns what the node shows into events, each state once."""

    def __init__(self, node: Node) -> None:
        """Take up which alarms stand."""
        self._node = node
        self._standing = {Alarm(*row[:3]): row.since for row in read_alarms(node.store)}
        self._written = dict(self._standing)
        self._trouble = ""
        self._counted_from = time.monotonic()
        self._excused: dict[Alarm, float] = {}
        self._count_at: dict[tuple[str, str], float] = {}
        self._counted: dict[tuple[str, str], object] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            slept_at = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - slept_at > ABSENT_SECONDS:
                self._counted_from = now
            seen = self._gather()
            await asyncio.to_thread(self._conclude, seen, now)
            for watched in seen.streams:
                await self._count(watched)

    def _gather(self) -> Seen:
        production, failover = self._node.production, self._node.failover
        streams = tuple(sender.watched() for sender in production.senders.values()) if production else ()
        receives = failover is not None and self._node.mode is Mode.FAILOVER
        heard = tuple(failover.receiver.heard().values()) if failover is not None and receives else None
        return Seen(streams, heard)

    def _conclude(self, seen: Seen, now: float) -> None:
        standing, due = looked(self._standing, [*self._observed(seen, now)], time.time())
        for raised in due:
            self._node.events.raise_event(raised.event, self._variables(raised, seen, now))
        self._standing = standing
        try:
            self._write()
        except StateError as error:
            # They stand in memory, and the events wait to be written too; it is tried again with each look.
            if str(error) != self._trouble:
                log.warning("which alarms stand cannot be recorded: %s", error)
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _write(self) -> None:
        if self._standing != self._written:
            # CRASH: the events first; told twice after a crash in between is better than never.
            self._node.events.flush()
            write_alarms(self._node.store, [AlarmRow(*alarm, since) for alarm, since in self._standing.items()])
            self._written = dict(self._standing)

    def _observed(self, seen: Seen, now: float) -> Iterator[Observation]:
        behind_after = self._node.settings.node.behind_after
        skews: dict[str, bool | None] = {}
        for item in seen.streams:
            alarm = Alarm("target.behind", item.target, item.domain)
            if item.excused:
                # What piled up meanwhile gets as long to arrive as anything that is new.
                self._excused[alarm] = now + behind_after
            excused = now < self._excused.get(alarm, now)
            yield Observation(alarm, is_behind(item.lag, behind_after, excused=excused))
            skews[item.target] = skews.get(item.target) or is_skewed(item.clock_skew, item.round_trip)
        for target, skewed in skews.items():
            yield Observation(Alarm("clock.skewed", target), skewed)
        if seen.heard is not None and peers(self._node.store):
            yield Observation(Alarm("peer.silent"), self._is_silent(seen.heard, now))
        else:
            # Nobody can come: who is paired later has as long as any other.
            self._counted_from = now

    def _is_silent(self, heard: tuple[Heard, ...], now: float) -> bool | None:
        latest = _latest(heard)
        timeout = self._node.settings.node.peer_timeout
        return is_silent(now, latest.at if latest else None, self._counted_from, timeout)

    def _variables(self, raised: Raised, seen: Seen, now: float) -> Mapping[str, EventValue]:
        alarm = raised.alarm
        if alarm.name == "target.behind":
            return self._behind(alarm)
        if alarm.name == "peer.silent":
            return self._silence(raised, seen.heard or (), now)
        measured = [
            item.clock_skew for item in seen.streams if item.target == alarm.peer and item.clock_skew is not None
        ]
        return {"peer": alarm.peer, "seconds": max(measured, key=abs, default=0.0)}

    def _behind(self, alarm: Alarm) -> Mapping[str, EventValue]:
        production = self._node.production
        assert production is not None, "only production has targets"
        view = production.senders[alarm.peer, alarm.domain].view()
        decision, exposure = view.decision, production.exposure(view)._asdict()
        return {
            "target": alarm.peer,
            "domain": alarm.domain,
            "state": decision.phase.value,
            "reason": decision.reason,
            **exposure,
        }

    def _silence(self, raised: Raised, heard: tuple[Heard, ...], now: float) -> Mapping[str, EventValue]:
        latest = _latest(heard)
        names = latest.node_name if latest else ", ".join(peer.name for peer in peers(self._node.store))
        if raised.event == "peer.silent":
            seconds = now - (latest.at if latest else self._counted_from)
        else:
            seconds = max(time.time() - raised.since, 0.0) + self._node.settings.node.peer_timeout
        return {
            "peer": names,
            "seconds": seconds,
            "ever_heard": latest is not None,
            "changes": sum(item.changes_behind for item in heard if item.node_id),
        }

    async def _count(self, watched: Watched) -> None:
        """Count the paths that a stream lacks where that is news, for its heartbeats."""
        key = (watched.target, watched.domain)
        place = (watched.head_seq, watched.cursor)
        production = self._node.production
        if production is None or not watched.lag or self._counted.get(key) == place:
            return
        began = time.monotonic()
        if began < self._count_at.get(key, 0.0):
            return
        sender = production.senders[key]
        exposure = await asyncio.to_thread(production.exposure, sender.view())
        sender.counted(watched.cursor, exposure.changes)
        self._counted[key] = place
        self._count_at[key] = began + COUNT_PAUSE * (time.monotonic() - began)


def _latest(heard: tuple[Heard, ...]) -> Heard | None:
    """Return what production said last, of whichever domain; None where it said nothing since the start."""
    return max((item for item in heard if item.node_id), key=lambda item: item.at, default=None)
