"""The failover side of a node: the destinations of its domains and the receiver that fills them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

from syncer import __version__
from syncer.config import Settings
from syncer.errors import SyncerError
from syncer.model import Mode, Term
from syncer.node.events import RecordEvent, log_event
from syncer.node.protected import protected_paths
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

    def __init__(self, settings: Settings, store: StateStore, record: RecordEvent = log_event) -> None:
        """Make a destination for each configured domain; failures of its commands are recorded as events."""
        self.identity = FailoverIdentity(settings, store)
        self._trouble: dict[str, str] = {}
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
                owners=domain.owners,
                brake=domain.brake,
                name=settings.node.name,
                services=self.services[domain.name],
                rollback=partial(self._bring_back, domain.name),
                limits=domain.history,
                record=record,
            )
            for domain in settings.domains
        }
        self.receiver = Receiver(self.identity, self.destinations, settings.node.peer_timeout)

    def handlers(
        self, authorise: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[tuple[str, str]]]
    ) -> grpc.GenericRpcHandler:
        """Return the gRPC handlers of the Sync service."""
        return sync_handlers(self.receiver, authorise)

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
                await self._tend(domain, destination)

    def _bring_back(self, domain: str, generation: int) -> None:
        bring_back(self.destinations[domain], generation)

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
        self.receiver.close()
        for services in self.services.values():
            services.close()
        for destination in self.destinations.values():
            destination.close()
