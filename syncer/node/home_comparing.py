"""Compares the domains of a serving node with those of a node that comes home, and makes the plan of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, NamedTuple

from syncer.config import DomainSettings, FailoverSettings
from syncer.errors import PlanError, RefusedError, StateError, StepFailedError
from syncer.model import Cursor, Entry, Head
from syncer.procedures.comparison import Compared, Other, compare
from syncer.procedures.home_client import HomeCaller
from syncer.procedures.home_messages import OthersPart, OthersRequest
from syncer.procedures.home_plan import DomainPlan, Plan, Take, decide, fingerprint, require_decided, taken
from syncer.procedures.home_sides import is_undecided, last_common
from syncer.procedures.home_wishes import HomeWishes, chosen_paths
from syncer.procedures.kinds import Tell
from syncer.procedures.pulled import Pulled
from syncer.replicate.content import ContentChangedError
from syncer.replicate.rendered_tree import Plain
from syncer.state.base import Base
from syncer.state.cursors import read_standing, read_target
from syncer.state.peers import Peer
from syncer.state.stays import read_stays
from syncer.summary import Passing

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

ATTEMPTS = 3
"""How often a domain is compared whose files change under our hands."""
TOLD_EACH = 0.25


class Sides(NamedTuple):
    """One domain, compared and decided."""

    plan: DomainPlan
    compared: Compared
    here: Head
    there: Head
    mark: bytes
    """Of the base; see Base.mark."""
    by_content: bool


class Comparing:
    """Compares for one node that serves."""

    def __init__(self, node: Node) -> None:
        """Compare what `node` has."""
        self._node = node
        self._one = asyncio.Lock()

    async def compare(self, peer: Peer, wishes: HomeWishes, tell: Tell) -> list[Sides]:
        """Return every domain that goes to the peer, compared and decided; nothing is changed.

        Raises PlanError where the wishes do not fit what stands, RefusedError where this node does not serve the peer.
        """
        production = self.serving()
        target = await asyncio.to_thread(self.target_of, peer)
        domains = {domain.name: domain for domain in self._node.settings.domains}
        _require_known(wishes, [name for name in target.domains if name in domains])
        caller = HomeCaller(self._node.procedures.caller(peer), peer.name)
        try:
            # One at a time: each holds all that differs in memory.
            async with self._one:
                return [
                    await self._domain(production, caller, target, domains[name], peer, wishes, tell)
                    for name in target.domains
                    if name in domains
                ]
        finally:
            await caller.close()

    def plan_of(self, peer: Peer, wishes: HomeWishes, sides: list[Sides]) -> Plan:
        """Return the whole plan; PlanError where a person must decide first and has not."""
        node = self._node
        plan = Plan(
            node.settings.node.name,
            node.store.node_id,
            peer.name,
            peer.node_id,
            wishes.policy,
            tuple(side.plan for side in sides),
        )
        if wishes.decided:
            require_decided(plan)
        return plan

    def serving(self) -> ProductionSide:
        """Return the production side; RefusedError where this node does not serve."""
        production = self._node.production
        if production is None or production.refusal:
            raise RefusedError(
                f"{self._node.settings.node.name} is in mode {self._node.mode.value} and does not serve: ask the "
                "production node"
            )
        return production

    def target_of(self, peer: Peer) -> FailoverSettings:
        """Return the target that a peer is; blocking."""
        for target in self._node.settings.failover:
            record = read_target(self._node.store, target.name)
            if record is not None and record.node_id == peer.node_id:
                return target
        raise RefusedError(
            f"{peer.name} is no target of {self._node.settings.node.name}: nothing here came from it; add a "
            "[[failover]] table for it and join"
        )

    async def _domain(
        self,
        production: ProductionSide,
        caller: HomeCaller,
        target: FailoverSettings,
        domain: DomainSettings,
        peer: Peer,
        wishes: HomeWishes,
        tell: Tell,
    ) -> Sides:
        for attempt in range(ATTEMPTS):
            await production.captures.flush([domain.name])
            last = await asyncio.to_thread(self._last, domain.name, peer)
            parts = caller.others(OthersRequest(domain.name, last))
            try:
                return await self._compared(production, parts, target, domain, wishes, tell, last)
            except ContentChangedError as error:
                if attempt == ATTEMPTS - 1:
                    raise StepFailedError(
                        f"{error.path!a} of domain {domain.name} changes all the time, so that nothing can be compared"
                    ) from error
                production.content_changed(domain.name, error.path)
        raise AssertionError("the last attempt returns or raises")

    async def _compared(
        self,
        production: ProductionSide,
        parts: AsyncGenerator[OthersPart, None],
        target: FailoverSettings,
        domain: DomainSettings,
        wishes: HomeWishes,
        tell: Tell,
        last: Cursor | None,
    ) -> Sides:
        pulled = Pulled(domain.name, parts)
        telling: asyncio.Task[None] | None = None
        try:
            head = await pulled.head()
            telling = asyncio.create_task(_told(pulled, domain.name, head.entries, tell))
            work = asyncio.create_task(
                asyncio.to_thread(self._on_thread, production, pulled, target, domain, wishes, is_home=last is not None)
            )
            try:
                plan, compared, here, mark = await asyncio.shield(work)
            except asyncio.CancelledError:
                pulled.stop()
                await asyncio.wait({work})
                raise
            return Sides(plan._replace(by_content=head.by_content), compared, here, head.head, mark, head.by_content)
        finally:
            if telling is not None:
                telling.cancel()
            await parts.aclose()

    def _on_thread(
        self,
        production: ProductionSide,
        pulled: Pulled,
        target: FailoverSettings,
        domain: DomainSettings,
        wishes: HomeWishes,
        *,
        is_home: bool,
    ) -> tuple[DomainPlan, Compared, Head, bytes]:
        base, name = Base(self._node.store), domain.name
        chosen, source = production.building.undecided(target, domain)
        if chosen.refusal:
            raise RefusedError(chosen.refusal)
        mark, there = base.mark(name), Passing()
        try:
            with production.index.snapshot(name) as snapshot:
                ours = snapshot.summary()
                tree = Plain(snapshot) if chosen.outlook is None else chosen.outlook.tree(snapshot, source, frozenset())
                compared = compare(
                    _common(base, name) if is_home else iter(()),
                    tree.entries(),
                    _passing(pulled.others(), there),
                    is_undecided,
                    read_stays(self._node.store, name),
                )
                here = snapshot.head
        finally:
            source.refresh()
        if base.mark(name) != mark:
            raise StepFailedError(f"domain {name} was received anew as it was compared: compare it again")
        moment = fingerprint(chosen.rules.hash + ours, there.digest(), mark)
        _require_expected(wishes, name, moment)
        prefer = chosen_paths(wishes.prefer.get(name, {}), name, compared)
        plan = decide(name, compared, wishes.policy, prefer, moment)
        if not is_home and taken(plan, Take.THERE):
            raise PlanError(
                f"domain {name} never came from {target.name}, so the two have no state in common to be merged upon: "
                "leave out --merge and --prefer for it, and its state here stays as a whole"
            )
        return plan, compared, here, mark

    def _last(self, domain: str, peer: Peer) -> Cursor | None:
        standing = read_standing(self._node.store, domain)
        return standing.cursor if standing is not None and standing.source_node == peer.node_id else None


def _common(base: Base, domain: str) -> Iterator[Entry]:
    try:
        yield from last_common(base, domain)
    except ValueError as error:
        raise StateError(
            f"node.db: what domain {domain} was when it came here cannot be read ({error}): restore a backup"
        ) from error


def _passing(others: Iterator[Other], into: Passing) -> Iterator[Other]:
    for other in others:
        into.take(other.entry, changed=other.changed)
        yield other


def _require_known(wishes: HomeWishes, domains: list[str]) -> None:
    for name in wishes.prefer:
        if name not in domains:
            raise PlanError(f"there is no domain {name!a} to be decided (there are: {', '.join(domains) or 'none'})")
    if wishes.expect is not None and wishes.expect.keys() != set(domains):
        raise PlanError("the plan is for other domains than come home now: make a new one with `syncer reverse --plan`")


def _require_expected(wishes: HomeWishes, domain: str, moment: bytes) -> None:
    if wishes.expect is not None and wishes.expect.get(domain) != moment:
        raise PlanError(
            f"domain {domain} has moved since the plan was made, here or there: nothing was done; look at it again, "
            "and make a new one with `syncer reverse --plan`"
        )


async def _told(pulled: Pulled, domain: str, entries: int, tell: Tell) -> None:
    while True:
        tell(f"comparing {domain}", pulled.taken, entries)
        await asyncio.sleep(TOLD_EACH)
