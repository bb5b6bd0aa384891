"""The node behind its own homecoming: looks, keeps, and becomes failover."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from syncer.errors import RefusedError
from syncer.model import EventValue, Head, Mode
from syncer.node.frozen_side import FrozenSide
from syncer.node.home_standing import TURNING_BACK, require_filled, unfilled
from syncer.procedures.homecoming import FILL
from syncer.procedures.homecoming_node import Looked
from syncer.procedures.kinds import Tell
from syncer.procedures.steps import Procedure
from syncer.procedures.unsent import count_unsent, slipped_in
from syncer.replicate.remembered import MOST_PATHS
from syncer.state.cursors import read_standing
from syncer.state.term import turn_mode_back

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide
    from syncer.node.switch_side import SwitchSide


LOOK_SECONDS = 600.0
"""How long a look at all of a domain may take."""
LOOK_EACH = 0.05


class Returning:
    """A node that comes home; see procedures.homecoming_node."""

    def __init__(self, node: Node, switch: SwitchSide) -> None:
        """Look at `node` whenever it is asked; `switch` runs its hooks, one behind the other."""
        self._node = node
        self._switch = switch

    def mode(self) -> Mode:
        """Return what it is now."""
        return self._node.mode

    async def require_followed(self, procedure: Procedure) -> None:
        """Raise RefusedError unless the other node is the production that this one follows."""
        await self._switch.require_followed(procedure)

    async def look(self) -> list[Looked]:
        """Scan once more, and return where each domain stands."""
        production = self._captures()
        await production.flush()
        targets = [target.name for target in self._node.settings.failover]
        store, index = self._node.store, production.index
        return [
            Looked(name, head, await asyncio.to_thread(count_unsent, store, index, targets, name))
            for name, head in production.heads().items()
        ]

    async def keep(self, reason: str) -> Mapping[str, int]:
        """Protect the generation that comes next in each domain."""
        assert self._node.failover is not None, "a node has its failover side in every mode"
        return await asyncio.to_thread(self._keep, reason)

    async def moved(self, heads: Mapping[str, Head]) -> Mapping[str, list[bytes]]:
        """Return what has changed behind what was compared."""
        production = self._captures()
        await production.flush()
        found = {}
        for domain in production.heads():
            if domain in heads:
                found[domain] = await asyncio.to_thread(slipped_in, production.index, domain, heads[domain])
        return {domain: paths for domain, paths in found.items() if paths}

    async def become_failover(self, why: str) -> None:
        """Be failover, under the term that it has seen."""
        if self._node.mode is Mode.FENCED and self._node.production is not None:
            await asyncio.to_thread(self._remember, self._node.production)
        await self._node.become(Mode.FAILOVER, self._node.mode_and_term()[1], why)

    async def require_filled(self, serving: str, serving_name: str, *, exact: bool) -> None:
        """Refuse on a failover node that is not at home yet, and where nothing can be chosen any more."""
        await require_filled(self._node, serving, serving_name, exact=exact)

    async def running(self) -> list[str]:
        """Return the domains whose services run, of those that can be stopped and started."""
        assert self._node.failover is not None, "a node has its failover side in every mode"
        side, services = FrozenSide(self._node), self._node.failover.services
        names = [domain.name for domain in self._node.settings.domains]
        able = [
            name for name in names if name in services and services[name].has("stop") and services[name].has("start")
        ]
        return [name for name in able if await side.are_running(name)]

    async def turn_back(self, procedure: Procedure, generations: Mapping[str, int], running: Sequence[str]) -> str:
        """Be fenced again, with the services that ran, or stay failover where that is all that is left to be."""
        node, peer = self._node, procedure.peer_name
        # A switch that was undone behind it has left nothing to be resumed: filled it was all the same.
        known = await asyncio.to_thread(node.procedures.journal.read, procedure.id)
        was_filled = known is not None and any(
            record.result for record in known.journal.steps if record.name.endswith(f".{FILL}")
        )
        is_home = node.mode is Mode.FAILOVER and (was_filled or not await unfilled(node, procedure.peer))
        failures = []
        if not is_home:
            why = f"its way home to {peer} was undone"
            await node.modes.become(
                Mode.FENCED, node.mode_and_term()[1], why, peer=peer, take=turn_mode_back, ways=TURNING_BACK
            )
            side = FrozenSide(node)
            failures = [f"{name}: {said}" for name in running if (said := await side.start_again(name, procedure.id))]
        said = f"is failover of {peer} now, and has all that it sends" if is_home else "is fenced again"
        kept = await asyncio.to_thread(self._overwritten, generations)
        return "; ".join([f"{node.settings.node.name} {said}", *kept, *failures])

    async def stop_services(self, by: str) -> list[str]:
        """Stop the services, those that were started last first."""
        assert self._node.failover is not None, "a node has its failover side in every mode"
        failures = []
        for domain in reversed(self._node.settings.domains):
            services = self._node.failover.services.get(domain.name)
            if services is None or not services.has("stop"):
                continue
            # RACE: a command cannot be taken back; who waits for it may go away.
            outcome = await asyncio.shield(asyncio.wrap_future(services.by_hand("stop", by)))
            if not outcome.is_ok:
                failures.append(f"{domain.name}: {outcome.sentence('stop')}")
        return failures

    async def hook(self, hook: str, procedure: Procedure) -> str:
        """Run a hook to its end; returns how one that comes after has failed."""
        outcome = await self._switch.run_hook(hook, procedure, self._node.mode_and_term()[1])
        return "" if outcome is None or outcome.is_ok else outcome.sentence(hook)

    async def check(self, tell: Tell) -> list[str]:
        """Run the checks on what stands, each behind the transaction that is being applied."""
        failover = self._node.failover
        assert failover is not None, "a node has its failover side in every mode"
        term = self._node.mode_and_term()[1].counter
        names = [domain.name for domain in self._node.settings.domains if failover.services[domain.name].has_check]
        for number, name in enumerate(names):
            tell(f"the check of {name}", number, len(names))
            standing = failover.destinations[name].standing()
            generation = standing.generation if standing is not None else 0
            check = partial(failover.services[name].check, generation, term, None)
            await failover.receiver.on_worker(name, check)
        await self._drift_is_known()
        return names

    def tell(self, event: str, variables: Mapping[str, EventValue]) -> None:
        """Raise an event."""
        self._node.events.raise_event(event, dict(variables))

    async def _drift_is_known(self) -> None:
        """Return once everything was looked at again: what was an edit before the synchronization is none any more."""
        assert self._node.failover is not None, "a node has its failover side in every mode"
        monitors = list(self._node.failover.monitors.values())
        before = [monitor.state.looks for monitor in monitors]
        for monitor in monitors:
            monitor.look_again()
        async with asyncio.timeout(LOOK_SECONDS):
            # A monitor is a thread, and tells by a number.
            while any(one.state.looks == looks for one, looks in zip(monitors, before, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EACH)

    def _overwritten(self, generations: Mapping[str, int]) -> list[str]:
        found = {name: read_standing(self._node.store, name) for name in generations}
        return [
            f"what was overwritten in {name} is kept: `syncer history {name} {generations[name]}`"
            for name, standing in found.items()
            if standing is not None and standing.generation >= generations[name]
        ]

    def _keep(self, reason: str) -> Mapping[str, int]:
        found = {}
        for name, destination in self._node.failover.destinations.items() if self._node.failover else ():
            standing = destination.standing()
            found[name] = (standing.generation if standing is not None else 0) + 1
            destination.history.protect(found[name], reason)
        return found

    def _remember(self, production: ProductionSide) -> None:
        """Spare the first comparison of a failover node to read what has been captured here."""
        for name, destination in self._node.failover.destinations.items() if self._node.failover else ():
            if name not in production.captures.capturers:
                continue
            with production.index.snapshot(name) as snapshot:
                if snapshot.count() <= MOST_PATHS:
                    destination.edits.remember(row.known() for row in snapshot.rows())

    def _captures(self) -> ProductionSide:
        if self._node.production is None:
            raise RefusedError(
                f"{self._node.settings.node.name} captures nothing, as a {self._node.mode.value} node: it is at home"
            )
        return self._node.production
