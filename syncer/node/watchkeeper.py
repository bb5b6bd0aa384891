"""Looks once a second at what everybody else shows, and raises what somebody must hear of: behind, silent, skewed.

What is seen is gathered on the event loop, cheaply; what follows from it is written and raised on a thread, so that
a slow disk holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import IndexStoreError, SyncerError
from syncer.events.standing import Alarm, Observation, Raised, is_behind, is_silent, is_skewed, looked
from syncer.model import EventValue, Mode
from syncer.node.standings import Standings
from syncer.replicate.lane import Heard
from syncer.replicate.sender import Sender
from syncer.replicate.stream import Watched
from syncer.state.alarms import AlarmRow, read_alarms, write_alarms
from syncer.state.peers import peers

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ABSENT_SECONDS = 5.0
"""A look that comes this late means that this process itself did not run: silence is counted from then on."""


class SeenStream(NamedTuple):
    """One stream at one look."""

    sender: Sender
    watched: Watched


class Seen(NamedTuple):
    """What one look has gathered: of each stream, and of production where this node is failover."""

    streams: tuple[SeenStream, ...]
    heard: tuple[Heard, ...] | None
    """None: this node is not failover."""
    production: ProductionSide | None = None
    """Whose streams they are."""


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
        self._standings = Standings(node.store)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            slept_at = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - slept_at > ABSENT_SECONDS:
                self._counted_from = now
            await self.look(now)

    async def look(self, now: float) -> None:
        """Look once, at `now` (monotonic seconds)."""
        seen = self._gather()
        if not self._is_news(seen, now):
            return
        for stream, changes in await asyncio.to_thread(self._conclude, seen, now):
            stream.sender.counted(stream.watched.cursor, changes)

    def _gather(self) -> Seen:
        production, failover = self._node.production, self._node.failover
        senders = list(production.senders.values()) if production is not None and not production.refusal else []
        heard = None
        if failover is not None and self._node.mode is Mode.FAILOVER:
            heard = tuple(failover.receiver.heard().values())
        return Seen(tuple(SeenStream(sender, sender.watched()) for sender in senders), heard, production)

    def _is_news(self, seen: Seen, now: float) -> bool:
        """Tell whether a look may have any consequence: on a node where all is well it costs next to nothing."""
        if self._standing or self._standing != self._written:
            return True
        if seen.heard is not None and (_latest(seen.heard) is None or self._is_silent(seen.heard, now)):
            return True
        if seen.heard is None:
            self._counted_from = now
        return any(
            item.lag or item.excused or is_skewed(item.clock_skew, item.round_trip) or self._standings.is_news(item)
            for item in (stream.watched for stream in seen.streams)
        )

    def _conclude(self, seen: Seen, now: float) -> list[tuple[SeenStream, int]]:
        """Raise what is due and write what is news; blocking. Returns the streams whose lack was counted anew."""
        standing, due = looked(self._standing, [*self._observed(seen, now)], time.time())
        for raised in due:
            try:
                variables = self._variables(raised, seen, now)
            except IndexStoreError:
                # RACE: it has ceased to be production while we looked: it has no targets that could be behind.
                return []
            self._node.events.raise_event(raised.event, variables)
        self._standing = standing
        counted: list[tuple[SeenStream, int]] = []
        try:
            self._write()
            for stream in seen.streams:
                changes = self._standings.tend(stream.sender, stream.watched, seen.production, now)
                if changes is not None:
                    counted.append((stream, changes))
        except SyncerError as error:
            # The alarms stand in memory, and the events wait to be written too; each look tries again.
            if str(error) != self._trouble:
                log.warning("how the targets stand cannot be recorded: %s", error)
            self._trouble = str(error)
        else:
            self._trouble = ""
        return counted

    def _write(self) -> None:
        if self._standing != self._written:
            # CRASH: the events first; told twice after a crash in between is better than never.
            self._node.events.flush()
            write_alarms(self._node.store, [AlarmRow(*alarm, since) for alarm, since in self._standing.items()])
            self._written = dict(self._standing)

    def _observed(self, seen: Seen, now: float) -> Iterator[Observation]:
        behind_after = self._node.settings.node.behind_after
        skews: dict[str, list[bool | None]] = {}
        for item in (stream.watched for stream in seen.streams):
            alarm = Alarm("target.behind", item.target, item.domain)
            if item.excused:
                # What piled up meanwhile gets as long to arrive as anything that is new.
                self._excused[alarm] = now + behind_after
            excused = now < self._excused.get(alarm, now)
            yield Observation(alarm, is_behind(item.lag, behind_after, excused=excused, whole=item.lag_is_whole))
            skews.setdefault(item.target, []).append(is_skewed(item.clock_skew, item.round_trip))
        for target, found in skews.items():
            yield Observation(
                Alarm("clock.skewed", target), True if True in found else False if False in found else None
            )
        if seen.heard is not None and peers(self._node.store):
            yield Observation(Alarm("peer.silent"), self._is_silent(seen.heard, now))
        else:
            # Nobody can come: who is paired later has as long as any other.
            self._counted_from = now

    def _is_silent(self, heard: Sequence[Heard], now: float) -> bool | None:
        latest = _latest(heard)
        timeout = self._node.settings.node.peer_timeout
        return is_silent(now, latest.at if latest else None, self._counted_from, timeout)

    def _variables(self, raised: Raised, seen: Seen, now: float) -> Mapping[str, EventValue]:
        name, peer, domain = raised.alarm
        if name == "peer.silent":
            return self._silence(raised, seen.heard or (), now)
        streams = [stream for stream in seen.streams if stream.watched.target == peer]
        if name == "target.behind":
            return self._behind(
                next(stream.sender for stream in streams if stream.watched.domain == domain), seen.production
            )
        skews = [stream.watched.clock_skew for stream in streams if stream.watched.clock_skew is not None]
        return {"peer": peer, "seconds": max(skews, key=abs, default=0.0)}

    def _behind(self, sender: Sender, production: ProductionSide | None) -> Mapping[str, EventValue]:
        view = sender.view()
        assert production is not None, "only production has targets"
        decision, exposure = view.decision, production.exposure(view)._asdict()
        place = {"target": view.target, "domain": view.domain}
        return {**place, "state": decision.phase.value, "reason": decision.reason, **exposure}

    def _silence(self, raised: Raised, heard: Sequence[Heard], now: float) -> Mapping[str, EventValue]:
        latest = _latest(heard)
        names = latest.node_name if latest else ", ".join(peer.name for peer in peers(self._node.store))
        if raised.event == "peer.silent":
            seconds = now - (latest.at if latest else self._counted_from)
        else:
            seconds = max(time.time() - raised.since, 0.0) + self._node.settings.node.peer_timeout
        changes = sum(item.changes_behind for item in heard if item.node_id)
        return {"peer": names, "seconds": seconds, "ever_heard": latest is not None, "changes": changes}


def _latest(heard: Sequence[Heard]) -> Heard | None:
    """Return what production said last, of whichever domain; None where it said nothing since the start."""
    return max((item for item in heard if item.node_id), key=lambda item: item.at, default=None)
