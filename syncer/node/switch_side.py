"""The node behind a switch: its modes and terms, its services and hooks, and what its streams have brought over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from syncer.errors import RefusedError, UnreachableError
from syncer.model import Cursor, Head, Mode, ServiceState, Term
from syncer.node.draining import Draining, sending_to
from syncer.node.followed import followed_flaw
from syncer.node.frozen_side import FrozenSide
from syncer.node.modes import BACK
from syncer.node.readiness_side import readiness
from syncer.procedures.kinds import Tell
from syncer.procedures.readiness import Purpose, refusals
from syncer.procedures.steps import Procedure
from syncer.procedures.switching import told_kinds
from syncer.replicate.fencing import Rank
from syncer.services import lifecycle
from syncer.services.commands import Outcome
from syncer.services.hooks import About, Hooks
from syncer.state.cursors import read_standing
from syncer.state.drift import count_drift
from syncer.state.handover import (
    give_mode,
    is_overtaken,
    overtaken_sentence,
    read_handover,
    reserve_term,
    take_mode_back,
)
from syncer.state.holds import ACTIVE
from syncer.state.peers import peer_by_node_id
from syncer.state.term import next_term

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.failover import FailoverSide
    from syncer.services.domain import DomainServices

log = logging.getLogger(__name__)


class SwitchSide:
    """A node as its switches see it; see procedures.switch_node."""

    def __init__(self, node: Node) -> None:
        """Look at `node` whenever it is asked."""
        self._node = node
        self._hook: asyncio.Task[Outcome] | None = None

    def mode_and_term(self) -> tuple[Mode, Term]:
        """Return what it is, and the highest term that it has seen."""
        return self._node.mode_and_term()

    async def require_followed(self, procedure: Procedure) -> None:
        """Raise RefusedError unless the other node is the production that this one follows."""
        said = await self._asked(procedure.peer)
        # What it said was heard: a term that was new is durable by now.
        name, (_, term) = self._node.settings.node.name, self.mode_and_term()
        flaw = followed_flaw(name, term, procedure.peer_name, procedure.peer, said)
        if flaw:
            raise RefusedError(flaw)

    async def refusals(self, procedure: Procedure, *, forced: bool) -> Sequence[str]:
        """Say what forbids a promotion of this node; what was looked at thoroughly before it began is not again."""
        purpose = Purpose.FORCED if forced else Purpose.PLANNED
        # Whatever a production says that is taken for dead, it refuses no forced promotion: it is not waited for.
        asks = not forced
        found = refusals(await readiness(self._node, purpose, thorough=False, besides=procedure.id, asks=asks))
        return [f"{finding.sentence}: {finding.cure}" if finding.cure else finding.sentence for finding in found]

    def domains(self) -> list[str]:
        """Return the domains in the order of the configuration."""
        return [domain.name for domain in self._node.settings.domains]

    async def running(self) -> list[str]:
        """Return the domains whose services run: by `status`, else as far as syncer knows."""
        found = []
        for domain, services in self._services():
            if services.has("status"):
                answer = (await self._run(services, "status", "promotion")).report.exit
                is_running = answer == lifecycle.RUNS
            else:
                is_running = services.life is not None and services.life.state is ServiceState.RUNNING
            if is_running:
                found.append(domain)
        return found

    async def run_hook(self, hook: str, procedure: Procedure, term: Term) -> Outcome | None:
        """Run a hook to its end, behind the one that runs; None where none is configured."""
        node = self._node
        hooks = Hooks(node.settings.hooks, self._failover().runner, node.events.raise_event)
        if not hooks.has(hook):
            return None
        switch, command = told_kinds(procedure.kind)
        about = About(node.settings.node.name, procedure.peer_name, term.counter, switch, procedure.id, command)
        before = self._hook

        async def run() -> Outcome:
            if before is not None:
                await asyncio.wait({before})
            return await asyncio.to_thread(hooks.run, hook, about)

        # RACE: a command cannot be taken back. What undoes the step that gave it up waits until it has ended.
        self._hook = asyncio.create_task(run())
        self._hook.add_done_callback(_heard)
        return await asyncio.shield(self._hook)

    async def freeze(self, procedure: Procedure) -> list[str]:
        """Freeze every domain; returns those whose services a thaw starts again."""
        production, freezes = self._node.production, self._node.freezes
        assert freezes is not None, "a node with procedures was prepared"
        for hold in production.pauses.holds if production is not None else ():
            if hold.state == ACTIVE:
                raise RefusedError(f"{hold.domain} is held while `{hold.command}` runs: promote when that has ended")
        report = await freezes.freeze(f"{procedure.peer_name} takes over", procedure.id)
        return [item.domain for item in report.domains if item.starts_again]

    async def decided(self) -> None:
        """Return once every change of the mode that was begun is durable, or was refused."""
        async with self._node.modes.deciding:
            return

    async def thaw(self, procedure: Procedure, starting: Sequence[str]) -> None:
        """End that freeze, and start what a handover has let it forget; failures are events."""
        assert self._node.freezes is not None, "a node with procedures was prepared"
        done = {item.domain for item in await self._node.freezes.thaw(procedure.id) if item.started}
        side = FrozenSide(self._node)
        for domain in starting:
            if domain not in done and self._node.mode is Mode.PRODUCTION:
                await side.start_again(domain, procedure.id)

    def require_target(self, peer: str) -> None:
        """Raise RefusedError where the peer is not sent everything that this production node has."""
        production, target = sending_to(self._node, peer)
        missing = [domain for domain in self.domains() if (target, domain) not in production.senders]
        if missing:
            raise RefusedError(f"it does not send {', '.join(missing)} to {target}: see failover.domains there")

    async def drained(self, peer: str, tell: Tell) -> Mapping[str, Head]:
        """Return once the peer stands where every domain does, and nothing has moved meanwhile."""
        return await Draining(*sending_to(self._node, peer), tell).run()

    async def hurried(self, peer: str, seconds: float) -> None:
        """Let what changed since arrive; what does not is unsent, and told by what brings this node home."""
        if self._node.mode is Mode.PRODUCTION:
            await Draining(*sending_to(self._node, peer)).hurry(seconds)

    async def cursors(self, peer: str) -> Mapping[str, Cursor | None]:
        """Return how far each domain was applied here; None: not as that peer sent it."""

        def read() -> dict[str, Cursor | None]:
            found = {domain: read_standing(self._node.store, domain) for domain in self.domains()}
            return {
                name: at.cursor if at is not None and at.resumable and at.source_node == peer else None
                for name, at in found.items()
            }

        return await asyncio.to_thread(read)

    async def drift(self) -> Mapping[str, int]:
        """Return how many paths of each domain were edited here."""

        def read() -> dict[str, int]:
            return {domain: count_drift(self._node.store, domain) for domain in self.domains()}

        return await asyncio.to_thread(read)

    async def reserve_term(self, procedure: Procedure) -> Term:
        """Choose the term of a promotion; no later call returns it."""
        return await asyncio.to_thread(reserve_term, self._node.store)

    async def confirm_handover(self, procedure: Procedure) -> None:
        """Make sure that what was handed over was not taken back, while this node was dead or could not be reached."""
        if (await self._asked(procedure.peer)).mode is Mode.PRODUCTION:
            raise RefusedError(f"{procedure.peer_name} is production again: an operator of it has taken its role back")

    async def hand_over(self, procedure: Procedure, term: Term) -> None:
        """Be production no more, under the peer's term."""
        node = self._node
        mode, _ = node.mode_and_term()
        given = await asyncio.to_thread(read_handover, node.store)
        if mode is Mode.FENCED and given is not None and (given.procedure, given.term) == (procedure.id, term):
            return
        if mode is not Mode.PRODUCTION:
            raise RefusedError(f"{node.settings.node.name} is {mode.value}, and has no role to hand over")
        why = f"{node.settings.node.name} handed over to {procedure.peer_name}"
        take = partial(give_mode, procedure=procedure.id)
        await node.modes.become(Mode.FENCED, term, why, peer=procedure.peer_name, take=take)

    async def take_back(self, procedure: Procedure) -> None:
        """Be production again where this node was fenced by that handover and by nothing since."""
        store = self._node.store
        while True:
            given = await asyncio.to_thread(read_handover, store)
            if given is None or given.procedure != procedure.id:
                return
            if await asyncio.to_thread(is_overtaken, store, given):
                await self._node.modes.stay_fenced(overtaken_sentence(store, given))
                return
            try:
                why = f"the handover to {procedure.peer_name} was undone"
                take = partial(take_mode_back, procedure=procedure.id)
                await self._node.modes.become(Mode.PRODUCTION, next_term(store), why, take=take, ways=BACK)
            except RefusedError:
                # RACE: a higher term was heard meanwhile: it stays fenced then.
                if not await asyncio.to_thread(is_overtaken, store, given):
                    raise

    async def take_over(self, term: Term, why: str) -> None:
        """Be production under a term of this node's own."""
        if self._node.mode_and_term() != (Mode.PRODUCTION, term):
            await self._node.become(Mode.PRODUCTION, term, why)

    async def step_down(self, term: Term, why: str) -> None:
        """Be failover again, where this node is production under that term."""
        if self._node.mode_and_term() != (Mode.PRODUCTION, term):
            return
        try:
            await self._node.become(Mode.FAILOVER, term, why)
        except RefusedError:
            # RACE: fenced meanwhile, by a higher term: it is not production any more, as was wanted.
            if self._node.mode_and_term() == (Mode.PRODUCTION, term):
                raise

    async def start_services(self, domain: str, by: str) -> str:
        """Check what stands, and start the services unless they run; returns how that failed."""
        services = dict(self._services()).get(domain)
        if services is None:
            return ""
        if services.has("check"):
            checked = await self._run(services, "check", by)
            if not checked.is_ok:
                return checked.sentence("check")
        if services.has("status") and (await self._run(services, "status", by)).report.exit == lifecycle.RUNS:
            return ""
        return (await self._run(services, "start", by)).sentence("start") if services.has("start") else ""

    async def stop_services(self, domain: str, by: str) -> None:
        """Stop the services where there is a command for it; a failure is an event."""
        services = dict(self._services()).get(domain)
        if services is not None and services.has("stop"):
            outcome = await self._run(services, "stop", by)
            if not outcome.is_ok:
                log.error("the services of %s could not be stopped: %s", domain, outcome.sentence("stop"))

    async def _asked(self, peer: str) -> Rank:
        """Return what the other node says that it is. UnreachableError where it does not answer."""
        found = await asyncio.to_thread(peer_by_node_id, self._node.store, peer)
        if found is None:
            raise UnreachableError(f"the node {peer} is not paired with this one any more: pair it again")
        said = await self._node.procedures.knock(found)
        return Rank(said.mode, said.term)

    def _services(self) -> list[tuple[str, DomainServices]]:
        found = self._failover().services
        return [(domain, found[domain]) for domain in self.domains() if domain in found]

    async def _run(self, services: DomainServices, action: str, by: str) -> Outcome:
        # RACE: a command cannot be taken back; who waits for it may go away.
        return await asyncio.shield(asyncio.wrap_future(services.by_hand(action, by)))

    def _failover(self) -> FailoverSide:
        assert self._node.failover is not None, "a node has its failover side in every mode"
        return self._node.failover


def _heard(task: asyncio.Task[Outcome]) -> None:
    """Take note of how a hook ended that nobody waited for any more; it was told already."""
    if not task.cancelled():
        task.exception()
