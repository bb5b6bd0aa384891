"""What the node shows of its health: gathers the pulse of its parts, feeds the HTTP service and systemd."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syncer.events.catalogue import CATALOGUE
from syncer.health.answers import Answers, Shown
from syncer.health.exposition import exposition
from syncer.health.measurements import Measurements
from syncer.health.notifier import Notifier
from syncer.health.pulse import BEAT_EVERY, CaptureBeat, LaneBeat, Pulse, StreamBeat, stalls
from syncer.health.readiness import unready
from syncer.health.samples import Look
from syncer.health.server import HealthServer
from syncer.health.systemd import Systemd
from syncer.status import node_status

if TYPE_CHECKING:
    from syncer.node.agent import Node

SEEN_SECONDS = 0.5
"""How long a look at the status serves everybody who asks: many who ask at once cost one."""

Sentence = Callable[[dict[str, Any]], str]
"""Makes the leading sentence of a status."""


class Vitals:
    """The health of one agent; `beat` and the threads that ask may be at work at the same time."""

    def __init__(self, node: Node, measured: Measurements, notifier: Notifier, sentence: Sentence) -> None:
        """Show `node`; nothing is served yet."""
        self.notifier = notifier
        self.outbox_waiting: Callable[[], int] | None = None
        """How many actions of triggers wait; None where the node has no outbox. May block, and raise SyncerError."""
        self._node = node
        self._measured = measured
        self._sentence = sentence
        self._beat_at = time.monotonic()
        self._looking = threading.Lock()
        self._seen: tuple[float, dict[str, Any]] | None = None
        self._server: HealthServer | None = None
        self._systemd = Systemd(notifier, self.stalled, self._leading)

    def open(self) -> str:
        """Open the port, where one is configured, and return its address; StateError where it cannot be had."""
        address = self._node.settings.node.http
        if not address:
            return ""
        self._server = HealthServer(
            address, Answers(Shown(self._still, lambda: self._node.mode.value, self.status, self.stalled, self.metrics))
        )
        return self._server.address

    def start(self) -> None:
        """Begin to answer."""
        if self._server is not None:
            self._server.start()

    async def run(self) -> None:
        """Beat, and keep systemd informed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._systemd.run())

    def close(self) -> None:
        """Stop answering; blocking."""
        if self._server is not None:
            self._server.close()

    def changed(self) -> None:
        """Show at once what has changed: the mode. On the event loop."""
        self._seen = None
        self._systemd.look()

    def status(self) -> dict[str, Any]:
        """Return the node's status, at most SEEN_SECONDS old; blocking. Raises SyncerError."""
        with self._looking:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > SEEN_SECONDS:
                self._seen = (now, node_status(self._node))
            return self._seen[1]

    def stalled(self) -> list[str]:
        """Say at once which parts do not move."""
        return stalls(self.pulse())

    def pulse(self) -> Pulse:
        """Return what moves now; from any thread, without blocking."""
        node = self._node
        now = time.monotonic()
        captures: list[CaptureBeat] = []
        streams: list[StreamBeat] = []
        lanes: list[LaneBeat] = []
        # RACE: another thread: it may cease to be production between two looks.
        production = node.production
        if production is not None:
            for domain, capturer in list(production.captures.capturers.items()):
                beat = capturer.beat()
                captures.append(CaptureBeat(domain, beat.alive, now - beat.moved_at, beat.waiting))
            for (target, domain), sender in () if production.refusal else list(production.senders.items()):
                streams.append(StreamBeat(target, domain, not sender.has_ended))
        if node.failover is not None:
            limits = {domain.name: domain.command_timeout for domain in node.settings.domains}
            for domain, worker in node.failover.receiver.workers().items():
                # A check runs within a step, and once more where it can only come after the commit.
                allowed = 2 * limits.get(domain, 0.0)
                lanes.append(LaneBeat(domain, worker.busy_seconds, worker.waiting, allowed))
        return Pulse(self._still(), captures, lanes, streams)

    def metrics(self) -> tuple[bytes, str]:
        """Return the exposition with its content type; blocking. Raises SyncerError."""
        status, pulse = self.status(), self.pulse()
        stalled = stalls(pulse)
        outbox = self.outbox_waiting
        look = Look(
            status,
            pulse,
            stalled,
            unready(status, stalled),
            self._node.events.waiting,
            outbox() if outbox is not None else None,
            CATALOGUE,
        )
        return exposition(look, self._measured)

    def _still(self) -> float:
        return time.monotonic() - self._beat_at

    async def _beat(self) -> None:
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT_EVERY)

    async def _leading(self) -> str:
        return self._sentence(await asyncio.to_thread(self.status))
