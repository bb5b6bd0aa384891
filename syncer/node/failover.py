"""The failover side of a node: the destinations of its domains and the receiver that fills them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import grpc
import grpc.aio

from syncer.capture.watch import Watcher
from syncer.config import DomainSettings, Settings
from syncer.drift.monitor import DriftMonitor, forget_what_is_not_watched
from syncer.errors import SyncerError
from syncer.files import Disk
from syncer.model import NEVER, Mode, RecordEvent, Start, Term
from syncer.node.own_rank import OwnRank
from syncer.node.protected import protected_paths
from syncer.node.reload_plan import Plan
from syncer.node.target_words import nobody_is_fenced
from syncer.observations import UNOBSERVED, Observations
from syncer.replicate.destination import Destination
from syncer.replicate.receiver import Receiver
from syncer.replicate.refusals import Refusals
from syncer.replicate.rollback import bring_back
from syncer.replicate.server import sync_handlers
from syncer.services.command import CommandRunner
from syncer.services.commands import Outcome
from syncer.services.domain import DomainServices
from syncer.state.store import StateStore
from syncer.substitution.rules import RuleSet

log = logging.getLogger(__name__)

TEND_EVERY = 1.0
"""Seconds between two looks at what waits for the history; a burst of changes is taken in behind it."""
QUIET_SECONDS = 0.5
"""How long nothing must have arrived before the history is tended, so that it holds up no change of a burst."""
TEND_AT_LEAST_EVERY = 10.0
"""Seconds after which it is tended all the same, so that what was put aside does not pile up."""


class FailoverSide:
    """Everything that accepts changes."""

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        record: RecordEvent,
        observations: Observations = UNOBSERVED,
        start: Start = NEVER,
        saw_term: Callable[[str, Term], None] = nobody_is_fenced,
    ) -> None:
        """Make a destination for each configured domain.

        `start` is which start of the node it is; `saw_term` is told a peer's name with a term that this node does
        not only record.
        """
        self._record = record
        self._observations = observations
        self.identity = OwnRank(settings, store, start, saw_term)
        self.refusals = Refusals(record)
        self._trouble: dict[str, str] = {}
        self._tended: dict[str, float] = {}
        self.runner = CommandRunner()
        """Runs the domains' commands, until the agent stops."""
        self._settings = settings
        self._store = store
        # These three are replaced as a whole, never changed: other threads read them.
        self.services = {domain.name: self._services(domain) for domain in settings.domains}
        self.destinations = {
            domain.name: self._destination(settings, domain, self.services[domain.name]) for domain in settings.domains
        }
        self.monitors: dict[str, DriftMonitor] = {}
        self.receiver = Receiver(
            self.identity, self.destinations, settings.node.peer_timeout, _rules_of(settings), observations
        )
        self._watcher: Watcher | None = None
        self._on_failure: Callable[[BaseException], None] = _nobody_watches

    def handlers(
        self, authorise: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[tuple[str, str]]]
    ) -> grpc.GenericRpcHandler:
        """Return the gRPC handlers of the Sync service."""
        return sync_handlers(self.receiver, authorise, self.refusals)

    def watch_for_drift(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to notice local edits in the domains that ask for it; `on_failure` may be called on any thread."""
        if self._watcher is None:
            self._watcher, self._on_failure = Watcher(on_failure), on_failure
            self._watch(self._settings.domains)

    async def settle(self) -> list[str]:
        """Carry to its end what a crash or the disk had interrupted: transactions, checks; returns what cannot be.

        On a node that is not failover nothing of it may wait: done later it would undo what was changed since.
        """
        troubles = []
        for name, destination in sorted(self.destinations.items()):
            await self.receiver.on_worker(name, partial(_settle, destination))
            trouble = destination.half_applied or destination.checked.trouble
            if trouble:
                troubles.append(trouble)
        return troubles

    async def leave(self, why: str) -> list[str]:
        """Accept nothing any more, which the mode forbids already; returns once nothing of it goes on.

        Every session is ended and told `why`, each behind the transaction that is being applied. Returns what cannot
        be carried to its end.
        """
        await asyncio.to_thread(self._stop_watching)
        async with contextlib.AsyncExitStack() as held:
            for name in sorted(self.destinations):
                await held.enter_async_context(self.receiver.held(name, why))
            return await self.settle()

    def stop_services(self, why: str) -> None:
        """Stop the services of every domain that has a command for it; returns at once, failures are events."""
        for name, services in self.services.items():
            if services.has("stop"):
                log.warning("stopping the services of domain %s: %s", name, why)
                services.by_hand("stop", why).add_done_callback(partial(_stopped, name))

    def watch_services(self) -> None:
        """Begin to ask the services of every domain how they are; returns at once."""
        for services in self.services.values():
            services.watch()

    def _stop_watching(self) -> None:
        self._stop_monitors(list(self.monitors))
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _watch(self, domains: Sequence[DomainSettings]) -> None:
        """Begin to notice local edits in these domains, where anything is watched at all."""
        if self._watcher is None:
            return
        for domain in domains:
            destination = self.destinations[domain.name]
            if domain.drift == "ignore":
                forget_what_is_not_watched(destination, self._store)
                continue
            monitor = DriftMonitor(
                destination,
                self._store,
                self._watcher,
                partial(self.receiver.submit, domain.name),
                policy=domain.drift,
                rescan=self._settings.node.rescan,
                record=self._record,
                on_failure=self._on_failure,
            )
            self.monitors = {**self.monitors, domain.name: monitor}
            monitor.start()

    def start(self) -> None:
        """Do what a crash has left to do, before anything new is applied; returns at once."""
        if self.identity.rank().mode is Mode.FAILOVER:
            self.receiver.recover()
            self.watch_services()

    def end_commands(self) -> None:
        """End the commands that run, so that nothing waits for them."""
        self.runner.cancel()

    async def run(self) -> None:
        """Tend the histories until cancelled, in slices between which transactions pass."""
        while True:
            await asyncio.sleep(TEND_EVERY)
            for domain, destination in self.destinations.items():
                now = time.monotonic()
                if destination.is_quiet(QUIET_SECONDS) or now - self._tended.get(domain, 0.0) >= TEND_AT_LEAST_EVERY:
                    await self._tend(domain)
                    self._tended[domain] = now

    async def reload(self, plan: Plan) -> None:
        """Put a new configuration in force: what the plan does not name goes on undisturbed.

        Sessions of the domains that it names end, each behind the transaction that is being applied; production
        connects again by itself.
        """
        domains = {domain.name: domain for domain in plan.settings.domains}
        await asyncio.to_thread(self._stop_monitors, plan.monitors.ended)
        self._settings = plan.settings
        self.receiver.silence = plan.settings.node.peer_timeout
        rules = _rules_of(plan.settings)
        if rules != self.receiver.rules:
            self.receiver.rules = rules
            self.receiver.end_sessions("the substitution rules there were changed")
        ended, begun = plan.destinations
        async with contextlib.AsyncExitStack() as held:
            for name in sorted(ended):
                await held.enter_async_context(self.receiver.held(name, "the configuration was reloaded there"))
            # All of them before any begins: two domains may have exchanged their roots.
            for name in ended:
                await self._close(name, for_good=name not in domains)
            for name in sorted(begun):
                await self._begin(plan.settings, domains[name])
        self._watch([domain for domain in plan.settings.domains if domain.name in plan.monitors.begun])

    async def _begin(self, settings: Settings, domain: DomainSettings) -> None:
        services = self._services(domain)
        make = partial(self._destination, settings, domain, services)
        is_served = domain.name in self.destinations
        destination = await (self.receiver.on_worker(domain.name, make) if is_served else asyncio.to_thread(make))
        self.services = {**self.services, domain.name: services}
        self.destinations = {**self.destinations, domain.name: destination}
        self.receiver.place(domain.name, destination)
        if self.identity.rank().mode is Mode.FAILOVER:
            self.receiver.recover(domain.name)
            services.watch()

    async def _close(self, name: str, *, for_good: bool) -> None:
        """End a destination with its commands, on its worker, behind everything that was begun there."""
        destination, services = self.destinations[name], self.services[name]

        def close() -> None:
            services.close()
            destination.close()

        await self.receiver.on_worker(name, close)
        if for_good:
            self.destinations = {key: item for key, item in self.destinations.items() if key != name}
            self.services = {key: item for key, item in self.services.items() if key != name}
            await asyncio.to_thread(self.receiver.remove(name).shutdown)

    def _stop_monitors(self, names: Collection[str]) -> None:
        stopped = [self.monitors[name] for name in names if name in self.monitors]
        self.monitors = {name: monitor for name, monitor in self.monitors.items() if name not in names}
        for monitor in stopped:
            monitor.stop()
        for monitor in stopped:
            # RACE: a domain has one at a time: two would record what each of them knows.
            monitor.join()

    def _services(self, domain: DomainSettings) -> DomainServices:
        return DomainServices(self._settings.node.name, domain, self.runner, self._record, self._store)

    def _destination(self, settings: Settings, domain: DomainSettings, services: DomainServices) -> Destination:
        return Destination(
            domain.name,
            domain.path,
            domain.patterns,
            self._store,
            protected_paths(settings, domain.path),
            Disk(flushed=self._observations.flushed),
            owners=domain.owners,
            brake=domain.brake,
            name=settings.node.name,
            services=services,
            rollback=partial(self._bring_back, domain.name),
            limits=domain.history,
            record=self._record,
            keep_local=domain.keep_local,
            verify_rate=domain.verify_rate,
        )

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

    async def _tend(self, domain: str) -> None:
        def tend() -> bool:
            # RACE: looked up on the worker: a destination that was replaced meanwhile is closed.
            destination = self.destinations.get(domain)
            return destination is not None and destination.tend_history()

        try:
            while domain in self.destinations and await self.receiver.on_worker(domain, tend):
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


def _settle(destination: Destination) -> None:
    destination.recover()
    destination.begin_agent()


def _stopped(domain: str, done: Future[Outcome]) -> None:
    error = done.exception() if not done.cancelled() else None
    if error is not None:
        log.warning("the services of domain %s were not stopped: %s", domain, error)


def _rules_of(settings: Settings) -> dict[str, RuleSet]:
    """Return this node's own rules for the other direction, by the name of the peer."""
    # What was derived is the inverse by itself, and would bind the peer to the rules of before.
    return {target.name: target.rules for target in settings.failover if not target.is_derived}


def _nobody_watches(_: BaseException) -> None:
    """No domain is watched for local edits."""
