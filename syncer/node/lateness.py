"""Notices what does not happen: a target that stays behind, and a production node that says nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from syncer.model import Mode, RecordEvent
from syncer.replicate.pauses import Cause
from syncer.state.peers import peers

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import Exposure

LOOK_EVERY = 1.0
"""Seconds between two looks."""


class Silence:
    """Whether production is silent, as failover hears it; times in seconds of a monotonic clock."""

    def __init__(self, timeout: float, started: float, record: RecordEvent) -> None:
        """Call production silent after `timeout` seconds; before it was first heard, they count from `started`."""
        self._timeout = timeout
        self._since = started
        self._record = record
        self._is_silent = False
        self._is_told = False

    def look(self, peer: str, heard_at: float | None, now: float) -> None:
        """Raise an event where the silence begins or ends; `peer` is who should be heard."""
        before, self._since = self._since, max(self._since, heard_at or self._since)
        silent = now - self._since > self._timeout
        if silent and not self._is_silent:
            self._record("peer.silent", {"peer": peer, "seconds": now - self._since})
        # Told once after a start, too: somebody may know of a silence that ended while no agent ran.
        if not silent and heard_at is not None and (self._is_silent or not self._is_told):
            self._record("peer.heard", {"peer": peer, "seconds": max(0.0, self._since - before)})
            self._is_told = True
        self._is_silent = silent


class Lag:
    """Whether one target is behind in one domain."""

    def __init__(self, target: str, domain: str, limit: float, record: RecordEvent) -> None:
        """Call it behind when its oldest missing change is older than `limit` seconds."""
        self._where = {"target": target, "domain": domain}
        self._limit = limit
        self._record = record
        self._is_behind = False

    def look(self, exposure: Exposure | None) -> None:
        """Raise an event where it falls behind, or has everything again; None: a person keeps it behind."""
        if exposure is None:
            return
        found = {"changes": exposure.changes, "bytes": exposure.bytes, "seconds": exposure.oldest_seconds}
        if exposure.oldest_seconds > self._limit and not self._is_behind:
            self._is_behind = True
            self._record("target.behind", {**self._where, **found})
        elif self._is_behind and not exposure.changes:
            self._is_behind = False
            self._record("target.caught_up", self._where)


async def watch_lateness(node: Node) -> None:
    """Look each second, until cancelled."""
    if node.production is not None:
        await _watch_targets(node)
    elif node.mode is Mode.FAILOVER:
        await _watch_production(node)


async def _watch_targets(node: Node) -> None:
    assert node.production is not None, "only production has targets"
    limit = node.settings.node.behind_after
    lags = {key: Lag(*key, limit, node.events.raise_event) for key in node.production.senders}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        # One visit to a thread for all: an idle agent is to cost nothing.
        found = await asyncio.to_thread(lambda: {key: _exposure(node, key) for key in lags})
        for key, lag in lags.items():
            lag.look(found[key])


def _exposure(node: Node, key: tuple[str, str]) -> Exposure | None:
    """Return what a target lacks; None where a person keeps it from it."""
    production = node.production
    assert production is not None, "only production has targets"
    sender = production.senders[key]
    if not sender.stream.automatic or production.pause(*key).cause in (Cause.PERSON, Cause.HOLD):
        return None
    return production.exposure(sender.view())


async def _watch_production(node: Node) -> None:
    assert node.failover is not None, "prepare comes first"
    silence = Silence(node.settings.node.peer_timeout, time.monotonic(), node.events.raise_event)
    while True:
        await asyncio.sleep(LOOK_EVERY)
        spoken = [heard for heard in node.failover.receiver.heard().values() if heard.node_id]
        latest = max(spoken, key=lambda heard: heard.at, default=None)
        known = [peer.name for peer in await asyncio.to_thread(peers, node.store)]
        # Before anybody was paired nobody is missed.
        if latest is not None or known:
            name = latest.node_name if latest is not None else ", ".join(known)
            silence.look(name, latest.at if latest is not None else None, time.monotonic())
