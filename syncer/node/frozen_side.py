"""What the freezes of a node work on: its domains, their commands and its captures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.errors import RefusedError
from syncer.model import Head, Mode, ServiceState
from syncer.procedures.freeze import Freezes
from syncer.procedures.read_only import ReadOnlyRoots
from syncer.procedures.unsent import Changed, changed_since, slipped_in
from syncer.services import lifecycle
from syncer.services.commands import Outcome
from syncer.state.processes import boot_id

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.services.domain import DomainServices

_STOPPED = (ServiceState.STOPPED, ServiceState.FAILED)


class FrozenSide:
    """A node, as its freezes see it; see procedures.frozen_node."""

    def __init__(self, node: Node) -> None:
        """Look at `node` whenever it is asked."""
        self._node = node

    def is_production(self) -> bool:
        """Tell whether it is production now."""
        return self._node.mode is Mode.PRODUCTION

    def freeze_max(self) -> float:
        """Return how many seconds a freeze may last."""
        return self._node.settings.node.freeze_max

    def roots(self) -> Mapping[str, Path]:
        """Return the root of each configured domain."""
        return {domain.name: domain.path for domain in self._node.settings.domains}

    def own_paths(self) -> Collection[Path]:
        """Return what syncer itself writes to."""
        return (self._node.settings.node.state,)

    def has(self, domain: str, action: str) -> bool:
        """Tell whether a domain has a command."""
        services = self._services(domain)
        return services is not None and services.has(action)

    def shown(self, domain: str, action: str) -> str:
        """Return that command as a person would type it."""
        services = self._services(domain)
        return services.shown(action) if services is not None else ""

    async def are_running(self, domain: str) -> bool:
        """Ask `status`; without one, services run unless syncer knows that they were stopped: this is production."""
        services = self._services(domain)
        if services is None:
            return False
        if services.has("status"):
            return (await self._run(services, "status", "freeze")).report.exit == lifecycle.RUNS
        return services.life is None or services.life.state not in _STOPPED

    async def run(self, domain: str, action: str, by: str) -> str:
        """Run a command to its end; returns how it failed."""
        services = self._services(domain)
        return "" if services is None else (await self._run(services, action, by)).sentence(action)

    async def start_again(self, domain: str, by: str) -> str:
        """Start the services unless they run; returns how that failed."""
        services = self._services(domain)
        if services is None or (services.has("status") and await self.are_running(domain)):
            return ""
        return (await self._run(services, "start", f"thaw ({by})")).sentence("start")

    async def flush(self, domain: str) -> None:
        """Return once what has happened is in the index; at once where nothing is captured now."""
        production = self._node.production
        if production is None:
            return
        capturer = production.captures.capturers.get(domain)
        if capturer is not None and capturer.is_alive():
            await production.captures.flush([domain])

    def head(self, domain: str) -> Head:
        """Return where the index of a domain stands."""
        return self._production().index.head(domain)

    def changed(self, domain: str, head: Head, most: int) -> Changed:
        """Return what has changed behind `head`."""
        return changed_since(self._production().index, domain, head, most)

    def changed_paths(self, domain: str, head: Head) -> list[bytes]:
        """Return all of it."""
        return slipped_in(self._production().index, domain, head)

    def _services(self, domain: str) -> DomainServices | None:
        return self._node.failover.services.get(domain) if self._node.failover is not None else None

    async def _run(self, services: DomainServices, action: str, by: str) -> Outcome:
        # RACE: a command cannot be taken back; who waits for it may go away.
        return await asyncio.shield(asyncio.wrap_future(services.by_hand(action, by)))

    def _production(self) -> ProductionSide:
        if self._node.production is None:
            raise RefusedError(f"{self._node.settings.node.name} captures nothing now: it is no production node")
        return self._node.production


def freezes_of(node: Node, boot: Callable[[], str] = boot_id) -> Freezes:
    """Return the freezes of a node, as node.db remembers them."""
    now = boot()
    return Freezes(node.store, FrozenSide(node), ReadOnlyRoots(now), node.events.raise_event, now)


async def slipped_in_after(node: Node, domain: str, head: Head) -> list[bytes]:
    """Take in what has happened up to now, and return every path that changed behind the handover's `head`.

    To be asked before the captures of the old production end. Raises UnavailableRootError, IndexStoreError where it
    is not known, RefusedError where nothing is captured.
    """
    side = FrozenSide(node)
    await side.flush(domain)
    return await asyncio.to_thread(side.changed_paths, domain, head)
