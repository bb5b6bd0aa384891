"""Does what this node is ordered as the second of a procedure, each order once, with a journal of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from functools import partial

from syncer.errors import RefusedError, SyncerError, UnreachableError
from syncer.procedures import messages as m
from syncer.procedures import performing
from syncer.procedures.journal import Known, ProcedureJournal, settled
from syncer.procedures.kinds import AGREE, Kind, Kinds, Run
from syncer.procedures.messages import Action, Refusal, Why
from syncer.procedures.sequence import end_flaw, order_flaw
from syncer.procedures.steps import (
    Outcome,
    Procedure,
    Role,
    StepSpec,
    StepState,
    is_past_return,
    steps_to_undo,
)
from syncer.procedures.told import ProcedureEvents
from syncer.procedures.voice import Limits
from syncer.procedures.work import Work
from syncer.state.peers import Peer

log = logging.getLogger(__name__)

FORCED = "an operator of this node forced it"


class Second:
    """Everything that this node does in procedures that others lead."""

    def __init__(
        self, kinds: Kinds, journal: ProcedureJournal, events: ProcedureEvents, limits: Limits, tasks: asyncio.TaskGroup
    ) -> None:
        """Do orders within `tasks`, whose end is the agent's."""
        self._kinds = kinds
        self._journal = journal
        self._events = events
        self._limits = limits
        self._tasks = tasks
        self._works: dict[str, Work] = {}
        # RACE: what is checked against the journal must still hold when it is begun: one at a time for each peer.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def progress(self, procedure: str) -> m.Progress:
        """Return how far the order is that is under way."""
        work = self._works.get(procedure)
        return work.progress if work is not None and work.is_running else m.Progress()

    async def propose(self, peer: Peer, proposal: m.Proposal) -> Refusal | None:
        """Take part in a procedure of `peer`, or say why not; asked again with the same id: the same answer."""
        kind = self._kinds.find(proposal.kind)
        if kind is None:
            return Refusal(Why.UNKNOWN_KIND, f"the procedure {proposal.kind} is not known here: update syncer")
        async with self._turns[peer.node_id]:
            known = await asyncio.to_thread(self._journal.read, proposal.procedure)
            if known is not None:
                return _again(peer, proposal, known)
            procedure = Procedure(
                proposal.procedure, kind.name, Role.SECOND, peer.node_id, peer.name, proposal.parameters, kind.all_steps
            )
            other = await asyncio.to_thread(self._journal.open_with, peer.node_id)
            if other is not None:
                return Refusal(Why.BUSY, f"another procedure with {peer.name} is under way here ({other})")
            if not kind.involves_second:
                return Refusal(Why.NOT_YOURS, f"{kind.name} has no part for another node")
            try:
                await kind.accept(procedure)
                await settled(partial(self._journal.open, procedure, agreed=AGREE.name))
            except RefusedError as error:
                return Refusal(Why.IMPOSSIBLE, str(error))
        self._events.started(procedure)
        return None

    async def order(self, peer: Peer, order: m.Order) -> AsyncIterator[m.Progress | m.Ending | Refusal]:
        """Carry out an order, or follow it where it is under way; yields progress, then one end, or one refusal.

        UnreachableError where the agent stops meanwhile.
        """
        async with self._turns[peer.node_id]:
            begun = await self._begin(peer, order)
        if not isinstance(begun, Work):
            yield begun
            return
        async for event in begun.follow(self._limits):
            yield event

    async def end(self, peer: Peer, end: m.End) -> Refusal | None:
        """Close a procedure as its lead says; what still stands here of an aborted one is undone first."""
        async with self._turns[peer.node_id]:
            known = await self._of(peer, end.procedure)
            if known is None:
                return _unknown()
            flaw = end_flaw(known.procedure, known.journal, end)
            if flaw is not None or known.journal.outcome is not Outcome.OPEN:
                return flaw
            await self._interrupt(end.procedure)
            await settled(partial(self._journal.mark, end.procedure, end.standing))
            if end.outcome is Outcome.ABORTED and (failed := await self._undo_all(known)):
                return Refusal(Why.IMPOSSIBLE, failed)
            await self._close(known, end)
        return None

    async def abandon(self, peer: str, procedure: str) -> None:
        """Undo here what stands of a procedure without its lead, by an operator's word. Raises RefusedError."""
        async with self._turns[peer]:
            known = await self._read(procedure)
            if is_past_return(known.procedure, known.journal):
                raise RefusedError(f"{known.procedure.kind} is past its point of no return and can only be finished")
            await settled(partial(self._journal.ask_abort, procedure, FORCED, forced=True))
            await self._interrupt(procedure)
            if failed := await self._undo_all(known):
                raise RefusedError(f"{known.procedure.kind} cannot be undone here: {failed}")
            await self._close(known, m.End(procedure, Outcome.ABORTED, FORCED, {}, {}))

    async def give_up(self, known: Known, why: str) -> None:
        """Close here what can only be finished, as it stands, by an operator's word."""
        async with self._turns[known.procedure.peer]:
            await self._interrupt(known.procedure.id)
            await self._close(known, m.End(known.procedure.id, Outcome.ABORTED, why, {}, {}))

    async def standing(self, peer: Peer, procedure: str) -> m.StandingOf | Refusal:
        """Say where a procedure stands here."""
        known = await asyncio.to_thread(self._journal.read, procedure)
        if known is None or known.procedure.peer != peer.node_id:
            return _unknown()
        standing = {record.name: record.state for record in known.journal.steps}
        return m.StandingOf(known.journal.outcome, known.journal.abort, known.row.report, standing)

    async def _begin(self, peer: Peer, order: m.Order) -> Work | m.Ending | Refusal:
        known = await self._of(peer, order.procedure)
        if known is None:
            return _unknown()
        flaw = order_flaw(known.procedure, known.journal, order)
        if flaw is not None:
            return flaw
        kind = self._kinds.find(known.procedure.kind)
        assert kind is not None, "a step that is known is of a kind that is"
        running = self._works.get(order.procedure)
        if running is not None and running.is_running:
            if (running.step, running.action) == (order.step, order.action):
                return running
            if order.action is not Action.UNDO or running.action is not Action.DO:
                return Refusal(Why.BUSY, f"{running.step} is under way here ({running.action.value})")
            await running.interrupt()
        await settled(partial(self._journal.mark, order.procedure, order.standing))
        known = await self._read(order.procedure)
        record = known.journal.step(order.step)
        if order.action is Action.DO and record.state is StepState.DONE:
            return m.Done(record.result)
        if order.action is Action.UNDO and record.state is StepState.UNDONE:
            return m.Done({})
        spec = next(item for item in known.procedure.steps if item.name == order.step)
        work = Work(order, lambda work: self._carry_out(known, kind, spec, order, work), self._start)
        self._works[order.procedure] = work
        return work

    def _start(self, carrying: Awaitable[m.Ending]) -> asyncio.Task[m.Ending]:
        async def run() -> m.Ending:
            return await carrying

        try:
            return self._tasks.create_task(run())
        except RuntimeError as error:
            raise UnreachableError("this node is stopping; order it again once it runs") from error

    async def _carry_out(self, known: Known, kind: Kind, spec: StepSpec, order: m.Order, work: Work) -> m.Ending:
        run = Run(known.procedure, order.parameters, known.journal.results, work.tell)
        try:
            if order.action is Action.DO:
                return await self._do(known, kind, spec, run)
            if order.action is Action.UNDO:
                return await self._undo(known, kind, spec, run)
            return await performing.verify(spec, kind.actions[spec.name], run)
        except SyncerError as error:
            # Also where the journal cannot be written: the lead tries again, and finds what was recorded last.
            return m.Failed(str(error), again=True, begun=known.journal.step(spec.name).begun)

    async def _do(self, known: Known, kind: Kind, spec: StepSpec, run: Run) -> m.Ending:
        procedure, journal, record = known.procedure, self._journal, known.journal.step(spec.name)
        is_begun = record.begun

        async def begin() -> bool:
            nonlocal is_begun
            if not await settled(partial(journal.begin_step, procedure.id, spec.name)):
                return False
            is_begun = True
            self._events.step(procedure, spec, StepState.RUNNING)
            return True

        try:
            ending = await performing.do(spec, kind.actions[spec.name], run, record, begin)
        except UnreachableError as error:
            ending = m.Failed(str(error), again=True, begun=is_begun)
        if ending is None:
            return m.Failed("the procedure is being undone here", again=False, begun=is_begun)
        if isinstance(ending, m.Done):
            await settled(partial(journal.finish_step, procedure.id, spec.name, ending.result))
            self._events.step(procedure, spec, StepState.DONE)
            return ending
        fail = partial(
            journal.fail_step, procedure.id, spec.name, ending.reason, again=ending.again, begun=ending.begun
        )
        await settled(fail)
        self._events.step(procedure, spec, StepState.FAILED, ending.reason)
        return ending

    async def _undo(self, known: Known, kind: Kind, spec: StepSpec, run: Run) -> m.Ending:
        procedure, journal, record = known.procedure, self._journal, known.journal.step(spec.name)
        if not record.begun:
            await settled(partial(journal.finish_undo, procedure.id, spec.name))
            return m.Done({})
        await settled(partial(journal.begin_undo, procedure.id, spec.name))
        self._events.step(procedure, spec, StepState.UNDOING)
        try:
            ending = await performing.undo(spec, kind.actions[spec.name], run)
        except UnreachableError as error:
            ending = m.Failed(str(error), again=True, begun=True)
        if isinstance(ending, m.Failed):
            await settled(partial(journal.fail_undo, procedure.id, spec.name, ending.reason, again=ending.again))
            self._events.step(procedure, spec, StepState.UNDOING, ending.reason)
            return ending
        await settled(partial(journal.finish_undo, procedure.id, spec.name))
        self._events.step(procedure, spec, StepState.UNDONE)
        return ending

    async def _undo_all(self, known: Known) -> str:
        """Undo what still stands here, the latest first; say what cannot be."""
        kind = self._kinds.find(known.procedure.kind)
        now = await self._read(known.procedure.id)
        if kind is None and any(record.stands and record.name != AGREE.name for record in now.journal.steps):
            return f"the procedure {known.procedure.kind} is not known here: update syncer"
        for spec in list(steps_to_undo(now.procedure, now.journal, Role.SECOND)):
            assert kind is not None, "what stands is of a kind that is known"
            # With what it was begun with: an order's own parameters are not kept.
            run = Run(now.procedure, now.procedure.parameters, now.journal.results, lambda *_: None)
            ending = await self._undo(now, kind, spec, run)
            if isinstance(ending, m.Failed):
                return f"{spec.title}: {ending.reason}"
        return ""

    async def _close(self, known: Known, end: m.End) -> None:
        await settled(partial(self._journal.close, end.procedure, end.outcome, end.report, told=True, why=end.reason))
        self._works.pop(end.procedure, None)
        if end.outcome is Outcome.FINISHED:
            self._events.finished(known.procedure, end.report)
        else:
            self._events.aborted(known.procedure, end.reason)

    async def _interrupt(self, procedure: str) -> None:
        work = self._works.get(procedure)
        if work is not None:
            await work.interrupt()

    async def _of(self, peer: Peer, procedure: str) -> Known | None:
        """Return a procedure that this peer has a part in; of those of others nothing is told."""
        known = await asyncio.to_thread(self._journal.read, procedure)
        return known if known is not None and known.procedure.peer == peer.node_id else None

    async def _read(self, procedure: str) -> Known:
        known = await asyncio.to_thread(self._journal.read, procedure)
        assert known is not None, "it was read under the same turn"
        return known


def _again(peer: Peer, proposal: m.Proposal, known: Known) -> Refusal | None:
    """Answer a proposal whose id is known here."""
    procedure = known.procedure
    if procedure.peer != peer.node_id or procedure.role is not Role.SECOND:
        return Refusal(Why.BUSY, "a procedure of this id is another node's here")
    if (procedure.kind, dict(procedure.parameters)) != (proposal.kind, dict(proposal.parameters)):
        return Refusal(Why.MALFORMED, f"{procedure.kind} was proposed with other parameters before")
    if known.journal.outcome is not Outcome.OPEN:
        return Refusal(Why.ENDED, f"{procedure.kind} is over here: it was {known.journal.outcome.value}")
    return None


def _unknown() -> Refusal:
    return Refusal(Why.UNKNOWN_PROCEDURE, "no such procedure is known here")
