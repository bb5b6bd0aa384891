"""What each step of a switch does, proves and undoes on the node that it is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.errors import HookError, RefusedError, StepFailedError
from syncer.model import Mode
from syncer.procedures import switching
from syncer.procedures.kinds import Plain, Run, Step
from syncer.procedures.parts import Part
from syncer.procedures.switch_node import SwitchNode

HURRY_SECONDS = 1.0
"""How long the handover waits for what changed since everything had arrived."""


class Ready(Plain):
    """The lead is a failover node that may be promoted."""

    def __init__(self, node: SwitchNode, *, forced: bool) -> None:
        self._node = node
        self._forced = forced

    async def require(self, run: Run) -> None:
        """Look at this node, and where production hands over, at whether it is the one that this node follows."""
        mode, _ = self._node.mode_and_term()
        if mode is not Mode.FAILOVER:
            raise RefusedError(f"this node is {mode.value}, and only a failover node is promoted")
        if not self._forced:
            await self._node.require_followed(run.procedure)
        refusals = await self._node.refusals(run.procedure, forced=self._forced)
        if refusals:
            raise RefusedError("; ".join(refusals))

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Note which services run already: an undo leaves them alone."""
        return {"running": await self._node.running()}


class BeforeDemote(Plain):
    """Production's own preparation."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def require(self, run: Run) -> None:
        """Be production, and send everything to the lead."""
        mode, _ = self._node.mode_and_term()
        if mode is not Mode.PRODUCTION:
            raise RefusedError(f"it is {mode.value}, and has no role to hand over")
        self._node.require_target(run.procedure.peer)

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the hook."""
        await self._node.run_hook("before_demote", run.procedure, self._node.mode_and_term()[1])
        return {}

    async def undo(self, run: Run) -> None:
        """Let what let go take hold again, where this node is production still or again."""
        await self._node.decided()
        mode, term = self._node.mode_and_term()
        if mode is Mode.PRODUCTION:
            await self._node.run_hook("after_promote", run.procedure, term)


class Freeze(Plain):
    """Production takes no more changes."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Freeze; what has to be started again outlives the freeze, which a handover ends."""
        return {"starting": await self._node.freeze(run.procedure)}

    async def undo(self, run: Run) -> None:
        """Thaw; services are started again only where this node is production still or again."""
        await self._node.decided()
        starting = run.results.get(switching.FREEZE, {}).get("starting", [])
        await self._node.thaw(run.procedure, [str(domain) for domain in starting])


class Drain(Plain):
    """Everything that production has arrives."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Wait, and say where the indexes stand."""
        return {"heads": switching.head_documents(await self._node.drained(run.procedure.peer, run.tell))}


class Equal(Plain):
    """What stands on the lead is what production has sent."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Compare the cursors, and look for edits; no file is read."""
        heads = switching.heads_of(run.results.get(switching.DRAIN, {}))
        flaws = switching.unequal(heads, await self._node.cursors(run.procedure.peer), await self._node.drift())
        if flaws:
            raise StepFailedError("; ".join(flaws), again=False)
        return {"domains": len(heads)}


class BeforePromote(Plain):
    """The lead's own preparation. What its hook does must be harmless where nothing follows."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the hook, then choose the term."""
        await self._node.run_hook("before_promote", run.procedure, self._node.mode_and_term()[1])
        # CRASH: a term that was chosen and not journalled is never chosen again.
        return {"term": switching.term_document(await self._node.reserve_term(run.procedure))}


class HandOver(Plain):
    """Production is it no more."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Let the last changes go, then give the mode away."""
        term = switching.ordered_term(run)
        await self._node.hurried(run.procedure.peer, HURRY_SECONDS)
        await self._node.hand_over(run.procedure, term)
        return {"term": switching.term_document(term)}

    async def undo(self, run: Run) -> None:
        """Be production again, unless another node was promoted since."""
        # RACE: the handover that was interrupted may be about to take effect.
        await self._node.decided()
        await self._node.take_back(run.procedure)


class TakeOver(Plain):
    """The lead is production."""

    def __init__(self, node: SwitchNode, kind: str) -> None:
        self._node = node
        self._kind = kind

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Take the mode under the chosen term."""
        term = switching.chosen_term(run)
        if self._kind == "planned" and self._node.mode_and_term() != (Mode.PRODUCTION, term):
            await self._node.confirm_handover(run.procedure)
        how = f"{run.procedure.peer_name} handed over" if self._kind == "planned" else "by force"
        await self._node.take_over(term, f"promoted ({how})")
        return {"term": switching.term_document(term)}

    async def undo(self, run: Run) -> None:
        """Be failover again; the term stays, and is never taken a second time."""
        # RACE: the change that was interrupted may be about to take effect.
        await self._node.decided()
        await self._node.step_down(switching.chosen_term(run), "its promotion was undone")


class Serve(Plain):
    """The services run on the lead."""

    def __init__(self, node: SwitchNode, kind: str) -> None:
        self._node = node
        self._kind = kind

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Start them in the order of the configuration, each checked before the next."""
        mode, _ = self._node.mode_and_term()
        if mode is not Mode.PRODUCTION:
            raise RefusedError(f"this node is {mode.value} by now, so its services are not started")
        domains = self._node.domains()
        for number, domain in enumerate(domains):
            run.tell(f"the services of {domain}", number, len(domains))
            failure = await self._node.start_services(domain, f"promotion ({self._kind})")
            if failure:
                raise StepFailedError(f"the services of {domain} do not run: {failure}", again=False)
        return {"domains": domains}

    async def undo(self, run: Run) -> None:
        """Stop what was started."""
        ran_before = run.results.get(switching.READY, {}).get("running")
        for domain in switching.stopping(self._node.domains(), ran_before):
            await self._node.stop_services(domain, "the promotion is undone")


class AfterPromote(Plain):
    """The surroundings know."""

    def __init__(self, node: SwitchNode) -> None:
        self._node = node

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Run the hook; its failure is an event, and undoes nothing."""
        await self._node.run_hook("after_promote", run.procedure, self._node.mode_and_term()[1])
        return {}

    async def undo(self, run: Run) -> None:
        """Let go of what took hold here."""
        term = self._node.mode_and_term()[1]
        for hook in ("before_demote", "after_demote"):
            try:
                await self._node.run_hook(hook, run.procedure, term)
            except HookError:
                # It was told, and must not hold up the way back.
                continue


def planned_part(node: SwitchNode) -> Part:
    """Return the switch to the lead from the second, which hands over."""
    kind = "planned"
    actions: dict[str, Step] = {
        switching.READY: Ready(node, forced=False),
        switching.BEFORE_DEMOTE: BeforeDemote(node),
        switching.FREEZE: Freeze(node),
        switching.DRAIN: Drain(node),
        switching.EQUAL: Equal(node),
        switching.BEFORE_PROMOTE: BeforePromote(node),
        switching.HAND_OVER: HandOver(node),
        switching.TAKE_OVER: TakeOver(node, kind),
        switching.SERVE: Serve(node, kind),
        switching.AFTER_PROMOTE: AfterPromote(node),
    }
    return Part(switching.PLANNED, actions, {switching.HAND_OVER: switching.ordered_handover})


def forced_part(node: SwitchNode) -> Part:
    """Return the switch to the lead, which asks nobody."""
    kind = "forced"
    actions: dict[str, Step] = {
        switching.READY: Ready(node, forced=True),
        switching.BEFORE_PROMOTE: BeforePromote(node),
        switching.TAKE_OVER: TakeOver(node, kind),
        switching.SERVE: Serve(node, kind),
        switching.AFTER_PROMOTE: AfterPromote(node),
    }
    return Part(switching.FORCED, actions)
