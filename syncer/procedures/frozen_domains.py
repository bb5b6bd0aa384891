"""Carries out what freezing decides for each domain, one journalled step after another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping

from syncer.errors import CommandError, SyncerError
from syncer.model import RecordEvent
from syncer.procedures.freezing import Sees, Step, next_step
from syncer.procedures.frozen_node import FrozenNode
from syncer.procedures.frozen_watch import FrozenWatch
from syncer.procedures.read_only import ReadOnlyRoots
from syncer.state.freezes import (
    Claim,
    Frozen,
    forget_frozen,
    read_claims,
    read_frozen,
    write_claims,
    write_frozen,
)
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds between two attempts of what fails."""


class FrozenDomains:
    """What is wanted and what stands; one caller at a time changes it, `claims`, `items` and `trouble` are for all."""

    def __init__(
        self,
        store: StateStore,
        node: FrozenNode,
        roots: ReadOnlyRoots,
        record: RecordEvent,
        boot: str,
        clock: Callable[[], float],
    ) -> None:
        """Take up what node.db remembers; nothing is done yet. `boot`: this life of the machine."""
        # All three are replaced as a whole, never changed: other threads read them.
        self.claims: tuple[Claim, ...] = read_claims(store)
        self.items: tuple[Frozen, ...] = read_frozen(store)
        self.trouble: Mapping[str, str] = {}
        """Domain → why the next step fails."""
        self.started: dict[str, str] = {}
        """Domain → `started` or `failed`, of services that were to be started again; whoever asks takes it out."""
        self.watch = FrozenWatch(node, record)
        self._store = store
        self._node = node
        self._roots = roots
        self._record = record
        self._boot = boot
        self._clock = clock
        self._pauses: dict[str, tuple[float, float]] = {}

    def of(self, domain: str) -> tuple[Claim, ...]:
        """Return who wants a domain frozen."""
        return tuple(claim for claim in self.claims if claim.domain == domain)

    def item(self, domain: str) -> Frozen | None:
        """Return what was done to a domain."""
        return next((item for item in self.items if item.domain == domain), None)

    def due(self) -> list[str]:
        """Return the domains with something left to do that failed, or was cut off, whose pause is over."""
        left = {item.domain for item in self.items if not self.of(item.domain)} | self.trouble.keys()
        return sorted(name for name in left if time.monotonic() >= self._pauses.get(name, (0.0, 0.0))[0])

    async def want(self, claims: Collection[Claim]) -> None:
        """Make these the claims, durably."""
        if tuple(claims) != self.claims:
            await asyncio.to_thread(write_claims, self._store, claims)
            self.claims = tuple(claims)

    async def settle(self, domain: str, by: str) -> None:
        """Do one step after another until nothing is left. `by`: who ends it, where it ends; "": nobody was told.

        Raises SyncerError.
        """
        try:
            while True:
                item = self.item(domain)
                sees = await asyncio.to_thread(self.sees, domain)
                step = next_step(self.of(domain) if sees.is_production else (), item, sees)
                if step is Step.NOTHING:
                    break
                await self._do(step, item or Frozen(domain, self._clock(), was_running=False), by)
        except SyncerError as error:
            pause = min(2 * self._pauses.get(domain, (0.0, SHORTEST_PAUSE / 2))[1], LONGEST_PAUSE)
            self._pauses[domain] = (time.monotonic() + pause, pause)
            self.trouble = {**self.trouble, domain: str(error)}
            raise
        self._pauses.pop(domain, None)
        self.trouble = {name: said for name, said in self.trouble.items() if name != domain}

    def sees(self, domain: str) -> Sees:
        """Look at the machine; blocking."""
        item = self.item(domain)
        return Sees(
            self._boot,
            self._node.has(domain, "freeze"),
            self._node.has(domain, "start"),
            item is not None and item.cover is not None and self._roots.stands(item.cover),
            self._node.is_production(),
        )

    async def _do(self, step: Step, item: Frozen, by: str) -> None:
        domain = item.domain
        match step:
            case Step.NOTE:
                await self._keep(item._replace(was_running=await self._node.are_running(domain)))
            case Step.STOP:
                # CRASH: recorded before it is run, so that whoever undoes it starts what it may have stopped.
                await self._keep(item._replace(stopped_in=self._boot, is_stopped=False))
                failure = await self._node.run(domain, "freeze", by)
                if failure:
                    raise CommandError(f"the services of {domain} were not frozen: {failure}")
                await self._keep(item._replace(stopped_in=self._boot, is_stopped=True))
            case Step.COVER:
                planned = await asyncio.to_thread(self._roots.plan, self._node.roots()[domain])
                # CRASH: recorded before it is mounted; what was planned and is not there needs no undoing.
                await self._keep(item._replace(cover=planned))
                await asyncio.to_thread(self._roots.make, planned)
            case Step.MARK:
                await self._node.flush(domain)
                await self._keep(item._replace(head=self._node.head(domain)))
            case Step.UNCOVER:
                assert item.cover is not None, "it stands"
                await asyncio.to_thread(self._roots.undo, item.cover)
            case Step.START:
                await self._start(item, by)
            case Step.FORGET:
                await self._forget(item, by)

    async def _start(self, item: Frozen, by: str) -> None:
        # CRASH: recorded only afterwards: production without its services is worse than a start that is done twice.
        failure = await self._node.start_again(item.domain, by)
        self.started[item.domain] = "failed" if failure else "started"
        if failure:
            log.error("the services of %s were not started again after the freeze: %s", item.domain, failure)
        # A start that fails is told, and not tried again and again.
        await self._keep(item._replace(was_running=False))

    async def _forget(self, item: Frozen, by: str) -> None:
        await asyncio.to_thread(forget_frozen, self._store, item.domain)
        self.items = tuple(other for other in self.items if other.domain != item.domain)
        changed = self.watch.forget(item.domain)
        # What was never told as frozen is not told as thawed.
        if item.head is not None and by:
            seconds = max(self._clock() - item.since, 0.0)
            self._record("thawed", {"domain": item.domain, "by": by, "seconds": seconds, "changed": changed})

    async def _keep(self, item: Frozen) -> None:
        await asyncio.to_thread(write_frozen, self._store, item)
        self.items = tuple(sorted((*(other for other in self.items if other.domain != item.domain), item)))
