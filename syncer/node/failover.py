"""The failover side of a node: the destinations of its domains and the receiver that fills them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

from syncer import __version__
from syncer.capture.watch import Watcher
from syncer.config import Settings
from syncer.drift.monitor import DriftMonitor, forget_what_is_not_watched
from syncer.errors import SyncerError
from syncer.files import Disk
from syncer.model import Mode, RecordEvent, Term
from syncer.node.protected import protected_paths
from syncer.observations import UNOBSERVED, Observations
from syncer.replicate.destination import Destination
from syncer.replicate.receiver import Receiver
from syncer.replicate.rollback import bring_back
from syncer.replicate.server import sync_handlers
from syncer.services.command import CommandRunner
from syncer.services.domain import DomainServices
from syncer.state.store import StateStore
from syncer.state.term import observe_term, read_term

log = logging.getLogger(__name__)

TEND_EVERY = 1.0
"""Seconds between two looks at what waits for the history; a burst of changes is taken in behind it."""
QUIET_SECONDS = 0.5
"""How long nothing must have arrived before the history is tended, so that it holds up no change of a burst."""
TEND_AT_LEAST_EVERY = 10.0
"""Seconds after which it is tended all the same, so that what was put aside does not pile up."""


class FailoverIdentity:
    """What the receiver asks of the node it lives in."""

    def __init__(self, settings: Settings, store: StateStore) -> None:
        """Answer from the configuration and node.db."""
        self.node_id = store.node_id
        self.name = settings.node.name
        self.software = __version__
        self.echoes = 0
        self._store = store
        self._start_mode = settings.node.mode

    def mode(self) -> Mode:
        """Return what this node is now."""
        return self._store.mode() or self._start_mode

    def term(self) -> Term:
        """Return the highest term seen."""
        return read_term(self._store)

    def observe_term(self, term: Term) -> None:
        """Make a higher term durable."""
        observe_term(self._store, term)


class FailoverSide:
    """Everything that accepts changes."""

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        record: RecordEvent,
        observations: Observations = UNOBSERVED,
    ) -> None:
        """Make a destination for each configured domain."""
        self._record = record
        self.identity = FailoverIdentity(settings, store)
        self._trouble: dict[str, str] = {}
        self._tended: dict[str, float] = {}
        self._runner = CommandRunner()
        self.services = {
            domain.name: DomainServices(settings.node.name, domain, self._runner, record) for domain in settings.domains
        }
        self.destinations = {
            domain.name: Destination(
                domain.name,
                domain.path,
                domain.patterns,
                store,
                protected_paths(settings, domain.path),
                Disk(flushed=observations.flushed),
                owners=domain.owners,
                brake=domain.brake,
                name=settings.node.name,
                services=self.services[domain.name],
                rollback=partial(self._bring_back, domain.name),
                limits=domain.history,
                record=record,
                keep_local=domain.keep_local,
                verify_rate=domain.verify_rate,
            )
            for domain in settings.domains
        }
        rules = {target.name: target.rules for target in settings.failover}
        self.receiver = Receiver(self.identity, self.destinations, settings.node.peer_timeout, rules, observations)
        self.monitors: dict[str, DriftMonitor] = {}
        self._settings = settings
        self._store = store
        self._watcher: Watcher | None = None

    def handlers(
        self, authorise: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[tuple[str, str]]]
    ) -> grpc.GenericRpcHandler:
        """Return the gRPC handlers of the Sync service."""
        return sync_handlers(self.receiver, authorise, self._record)

    def watch_for_drift(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to notice local edits in the domains that ask for it; `on_failure` may be called on any thread."""
        self._watcher = Watcher(on_failure)
        for domain in self._settings.domains:
            destination = self.destinations[domain.name]
            if domain.drift == "ignore":
                forget_what_is_not_watched(destination, self._store)
                continue
            monitor = self.monitors[domain.name] = DriftMonitor(
                destination,
                self._store,
                self._watcher,
                partial(self.receiver.submit, domain.name),
                policy=domain.drift,
                rescan=self._settings.node.rescan,
                record=self._record,
                on_failure=on_failure,
            )
            monitor.start()

    def start(self) -> None:
        """Do what a crash has left to do, before anything new is applied; returns at once."""
        if self.identity.mode() is Mode.FAILOVER:
            self.receiver.recover()

    def end_commands(self) -> None:
        """End the checks and reloads that run, so that nothing waits for them."""
        self._runner.cancel()

    async def run(self) -> None:
        """Tend the histories until cancelled, in slices between which transactions pass."""
        while True:
            await asyncio.sleep(TEND_EVERY)
            for domain, destination in self.destinations.items():
                now = time.monotonic()
                if destination.is_quiet(QUIET_SECONDS) or now - self._tended.get(domain, 0.0) >= TEND_AT_LEAST_EVERY:
                    await self._tend(domain, destination)
                    self._tended[domain] = now

    def _bring_back(self, domain: str, generation: int) -> None:
        done = bring_back(self.destinations[domain], generation)
        if done is not None:
            by = "the check, which failed"
            made: dict[str, str | int | float | bool] = {
                "domain": domain,
                "generation": done.generation,
                "to": generation,
            }
            self._record("rolled_back", {**made, "by": by})

    async def _tend(self, domain: str, destination: Destination) -> None:
        try:
            while await self.receiver.on_worker(domain, destination.tend_history):
                continue
        except SyncerError as error:
            # What waits stays where it is, and is tried again; it is told once.
            if self._trouble.get(domain) != str(error):
                log.warning("the history of %s waits: %s", domain, error)
            self._trouble[domain] = str(error)
        else:
            self._trouble.pop(domain, None)

    def close(self) -> None:
        """Finish what runs, and release the threads and directories."""
        self.end_commands()
        for monitor in self.monitors.values():
            monitor.stop()
        if self._watcher is not None:
            self._watcher.close()
        self.receiver.close()
        for services in self.services.values():
            services.close()
        for destination in self.destinations.values():
            destination.close()
