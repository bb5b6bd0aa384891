"""Runs one procedure that this node leads: asks `steps.py` what comes next, and does that until it is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, StepFailedError, SyncerError, UnreachableError
from syncer.procedures import messages as m
from syncer.procedures import performing
from syncer.procedures.journal import Known, ProcedureJournal, settled
from syncer.procedures.kinds import AGREE, Kind, Run
from syncer.procedures.messages import Why
from syncer.procedures.steps import (
    Aborted,
    Do,
    Facts,
    Finished,
    Outcome,
    Procedure,
    Role,
    StepSpec,
    StepState,
    Undo,
    Wait,
    is_past_return,
    next_move,
    why_undone,
)
from syncer.procedures.told import ProcedureEvents
from syncer.procedures.voice import Limits
from syncer.procedures.wire import RESULT_MAX, encode_document
from syncer.replicate.reconnect import reconnecting

log = logging.getLogger(__name__)

_FORGOTTEN = (Why.UNKNOWN_PROCEDURE, Why.ENDED)
"""Refusals by which the second says that there is nothing left to end or undo."""


class Caller(Protocol):
    """The calls to the second; see client.py."""

    async def knock(self) -> m.Speaker:
        """Let both know each other's term."""

    async def propose(self, proposal: m.Proposal) -> m.Refusal | None:
        """Ask it to take part."""

    async def order(self, order: m.Order, told: Callable[[m.Progress], None] = ...) -> m.Ending | m.Refusal:
        """Order a step, and return how it ended."""

    async def end(self, end: m.End) -> m.Refusal | None:
        """Tell it that the procedure is over."""

    async def close(self) -> None:
        """Release the connection."""


class Lead:
    """One procedure of this node's own."""

    def __init__(
        self,
        procedure: Procedure,
        kind: Kind | None,
        journal: ProcedureJournal,
        caller: Caller,
        events: ProcedureEvents,
        limits: Limits,
    ) -> None:
        """Go on with a procedure that is in the journal; kind None: this version does not know it."""
        self.facts = Facts()
        """What holds it up at this moment."""
        self.peer = procedure.peer
        self.progress = m.Progress()
        """How far the step is that is being done."""
        self._procedure = procedure
        self._kind = kind
        self._journal = journal
        self._caller = caller
        self._events = events
        self._limits = limits
        self._hurry = asyncio.Event()
        self._is_over = False
        self._failure = ""
        self._doing: asyncio.Task[m.Ending | None] | None = None

    async def run(self) -> None:
        """Go on until it is over and the second knows; whatever fails on the way is tried again."""
        try:
            while not self._is_over:
                # One move each: where one succeeds, the pauses begin anew.
                await reconnecting(self._attempt, self._hurry, self._limits.shortest, self._limits.longest)
            await reconnecting(self._tell_end, self._hurry, self._limits.shortest, self._limits.longest)
        finally:
            await self._caller.close()

    def news(self) -> None:
        """Look at the journal now: somebody has changed it, or the second is back."""
        self._hurry.set()

    def interrupt(self) -> None:
        """End the step that is being done, since the procedure is undone: the journal says so already."""
        if self._doing is not None:
            self._doing.cancel()
        self._hurry.set()

    async def _attempt(self) -> None:
        # RACE: cleared before the look, so that what is journalled after it ends the wait at once.
        self._hurry.clear()
        known = await self._read()
        self._is_over = known.journal.outcome is not Outcome.OPEN
        if self._is_over:
            return
        move = next_move(known.procedure, known.journal, Facts())
        try:
            match move:
                case Do():
                    await self._do(move.step, known)
                case Undo():
                    await self._undo(move.step, known)
                case Wait():
                    await self._hurry.wait()
                case Finished():
                    await self._close(known, Outcome.FINISHED)
                case Aborted():
                    await self._close(known, Outcome.ABORTED)
            self.facts = Facts()
        except SyncerError as error:
            is_ordered = isinstance(move, Do | Undo) and move.step.on is Role.SECOND
            is_away = isinstance(error, UnreachableError)
            # Also a step of this node's own may need the other one: then it is that step which pauses.
            self.facts = Facts(str(error) if is_away else "", "" if is_away and is_ordered else str(error))
            raise
        finally:
            self.progress = m.Progress()

    async def _do(self, spec: StepSpec, known: Known) -> None:
        self._doing = asyncio.create_task(self._done(spec, known))
        try:
            ending = await self._doing
        except asyncio.CancelledError:
            # Our own end cancels the step with us; else an abort did, and the journal says what comes next.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return
        finally:
            self._doing = None
        name, journal = spec.name, self._journal
        match ending:
            case None:
                return
            case m.Done(result):
                await settled(partial(journal.finish_step, known.procedure.id, name, result))
                self._events.step(known.procedure, spec, StepState.DONE)
            case m.Failed(reason, again, begun):
                fail = partial(journal.fail_step, known.procedure.id, name, reason, again=again, begun=begun)
                await settled(fail)
                if reason != self._failure:
                    # What fails again and again in the same way is told once.
                    self._events.step(known.procedure, spec, StepState.FAILED, reason)
                self._failure = reason
                now = await self._read()
                if again and is_past_return(now.procedure, now.journal):
                    raise StepFailedError(reason)

    async def _done(self, spec: StepSpec, known: Known) -> m.Ending | None:
        async def begin() -> bool:
            is_begun = await settled(partial(self._journal.begin_step, known.procedure.id, spec.name))
            if is_begun and not known.journal.step(spec.name).begun:
                self._events.step(known.procedure, spec, StepState.RUNNING)
            return is_begun

        if spec is AGREE or spec.on is Role.SECOND:
            if not await begin():
                return None
            return await self._at_second(spec)
        assert self._kind is not None, "a kind that is not known has no moves"
        run = self._run(known)
        self.facts = Facts()
        return await performing.do(spec, self._kind.actions[spec.name], run, known.journal.step(spec.name), begin)

    async def _at_second(self, spec: StepSpec) -> m.Ending:
        try:
            if spec is AGREE:
                return await self._agree()
            answer = await self._order(spec, m.Action.DO)
            if isinstance(answer, m.Refusal) and answer.why is Why.STALE_TERM:
                # Its refusal has told the term: a handover, whose answer was lost in a crash, says it first by that.
                answer = await self._order(spec, m.Action.DO)
            return self._answered(answer, is_done=None)
        except (PeerRejectedError, PeerProtocolError) as error:
            return m.Failed(str(error), again=False, begun=spec is not AGREE)
        except SyncerError:
            raise
        except Exception as error:
            log.exception("the step %s could not be ordered by a fault in syncer", spec.name)
            return m.Failed(f"a fault in the agent ({type(error).__name__}): see its log", again=False, begun=True)

    async def _undo(self, spec: StepSpec, known: Known) -> None:
        procedure = known.procedure
        await settled(partial(self._journal.begin_undo, procedure.id, spec.name))
        self._events.step(procedure, spec, StepState.UNDOING)
        if spec is AGREE:
            ending: m.Ending = m.Done({})
        elif spec.on is Role.SECOND:
            ending = self._answered(await self._order(spec, m.Action.UNDO), Why.ENDED)
        else:
            assert self._kind is not None, "a kind that is not known has no moves"
            ending = await performing.undo(spec, self._kind.actions[spec.name], self._run(known))
        if isinstance(ending, m.Done):
            note = str(ending.result.get("note", ""))
            await settled(partial(self._journal.finish_undo, procedure.id, spec.name, note))
            self._events.step(procedure, spec, StepState.UNDONE, note)
            return
        reason, again = ending.reason, ending.again
        await settled(partial(self._journal.fail_undo, procedure.id, spec.name, reason, again=again))
        self._events.step(procedure, spec, StepState.UNDOING, reason)
        if again:
            raise StepFailedError(reason)

    async def _agree(self) -> m.Ending:
        procedure = self._procedure
        # So that both know the higher term: who has never heard of the other would be refused for it.
        await self._caller.knock()
        refusal = await self._caller.propose(m.Proposal(procedure.id, procedure.kind, procedure.parameters))
        # Whether an earlier attempt was heard or not: there is nothing to undo but to tell the end.
        return m.Done({}) if refusal is None else m.Failed(self._refused(refusal), again=False, begun=False)

    async def _order(self, spec: StepSpec, action: m.Action) -> m.Ending | m.Refusal:
        assert self._kind is not None, "a kind that is not known has no moves"
        known = await self._read()
        standing = {record.name: record.state for record in known.journal.steps}
        parameters = self._kind.ordered(self._run(known), spec.name)

        def told(progress: m.Progress) -> None:
            # It works: what held it up before is over.
            self.facts, self.progress = Facts(), progress

        return await self._caller.order(m.Order(known.procedure.id, spec.name, action, parameters, standing), told)

    def _answered(self, answer: m.Ending | m.Refusal, is_done: Why | None) -> m.Ending:
        """Return what an order came to; a refusal for the reason `is_done` says that it was carried out."""
        if not isinstance(answer, m.Refusal):
            return answer
        if answer.why is is_done:
            return m.Done({})
        # A term that was stale is known by now; another order of this procedure may be ending there.
        again = answer.why in (Why.STALE_TERM, Why.BUSY)
        return m.Failed(self._refused(answer), again=again, begun=True)

    async def _close(self, known: Known, outcome: Outcome) -> None:
        procedure, journal = known.procedure, known.journal
        report = self._report(known)
        # What an undo could not bring back belongs to the outcome, on both nodes.
        notes = [record.reason for record in journal.steps if record.state is StepState.UNDONE and record.reason]
        why = "; ".join([why_undone(journal), *notes]) if outcome is Outcome.ABORTED else None
        asked = any(record.name == AGREE.name and record.attempts for record in journal.steps)
        await settled(partial(self._journal.close, procedure.id, outcome, report, told=not asked, why=why))
        if outcome is Outcome.FINISHED:
            self._events.finished(procedure, report)
        else:
            self._events.aborted(procedure, why or "")

    def _report(self, known: Known) -> Mapping[str, Any]:
        if self._kind is None:
            return {}
        try:
            report = self._kind.report(known.procedure, known.journal.results)
            encode_document(report, RESULT_MAX, "the report of the procedure")
        except Exception as error:
            # It is over all the same: what it came to stands in its steps.
            log.exception("there is no report of %s by a fault in syncer", known.procedure.kind)
            return {"error": f"{type(error).__name__}: {error}"}
        return report

    async def _tell_end(self) -> None:
        self._hurry.clear()
        known = await self._read()
        if known.row.told:
            return
        standing = {record.name: record.state for record in known.journal.steps}
        end = m.End(known.procedure.id, known.journal.outcome, known.journal.abort, known.row.report, standing)
        try:
            refusal = await self._caller.end(end)
            if refusal is not None and refusal.why not in _FORGOTTEN:
                raise PeerRejectedError(self._refused(refusal), Reason.UNSPECIFIED)
        except SyncerError as error:
            self.facts = Facts(away=str(error))
            raise
        await settled(partial(self._journal.was_told, known.procedure.id))

    def _run(self, known: Known) -> Run:
        def tell(text: str, done: int = 0, total: int = 0) -> None:
            self.progress = m.Progress(text, done, total)

        return Run(known.procedure, known.procedure.parameters, known.journal.results, tell)

    def _refused(self, refusal: m.Refusal) -> str:
        return f"{self._procedure.peer_name} refused: {refusal.message}"

    async def _read(self) -> Known:
        known = await asyncio.to_thread(self._journal.read, self._procedure.id)
        assert known is not None, "a procedure that is not told of is not forgotten"
        return known
