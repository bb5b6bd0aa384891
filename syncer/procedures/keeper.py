"""The procedures of one node: those that it leads, those that it is the second of, and what their operators ask."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from syncer.errors import ConfigurationError, RefusedError, UnreachableError
from syncer.model import RecordEvent
from syncer.procedures import asking
from syncer.procedures import messages as m
from syncer.procedures.asking import ask_lead
from syncer.procedures.client import PeerCaller
from syncer.procedures.following import Following
from syncer.procedures.journal import Known, ProcedureJournal, settled
from syncer.procedures.kinds import Kinds
from syncer.procedures.lead import Lead
from syncer.procedures.messages import Refusal, Why
from syncer.procedures.second import Second
from syncer.procedures.steps import Facts, Outcome, Procedure, Role, StepState, is_past_return
from syncer.procedures.told import ProcedureEvents
from syncer.procedures.voice import Dial, Limits, Voice
from syncer.procedures.wire import PARAMETERS_MAX, encode_document
from syncer.state.peers import Peer, peer_by_node_id
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

OPERATOR = "an operator aborted it"
GIVEN_UP = "given up by an operator past its point of no return, and nothing was undone"
LOOK_EVERY = 0.02
"""Seconds between two looks at whether a procedure is over."""
_STOPPED = "procedures run in the agent: start it with `syncer agent`"


class Procedures:
    """Everything that begins, goes on with, aborts and shows procedures; all of it on one event loop."""

    def __init__(
        self,
        store: StateStore,
        kinds: Kinds,
        voice: Voice,
        dial: Dial,
        record: RecordEvent,
        limits: Limits = Limits(),  # noqa: B008  # it cannot be changed
        wrote: Callable[[str], None] = lambda what: None,
    ) -> None:
        """Keep the procedures of `store`; nothing runs before `run`."""
        self.kinds = kinds
        self.voice = voice
        self.journal = ProcedureJournal(store, kinds.steps_of, wrote=wrote)
        self._store = store
        self._dial = dial
        self._events = ProcedureEvents(record)
        self._limits = limits
        self._leads: dict[str, Lead] = {}
        self._following: dict[str, Following] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._second: Second | None = None
        self._beginning = asyncio.Lock()

    async def run(self) -> None:
        """Go on with what the journal says is under way, and serve; ends only by cancellation."""
        async with asyncio.TaskGroup() as tasks:
            self._second = Second(self.kinds, self.journal, self._events, self._limits, tasks)
            self._tasks = tasks
            try:
                for known in await asyncio.to_thread(self.journal.unsettled):
                    if known.procedure.role is Role.LEAD:
                        self._lead(known.procedure)
                    else:
                        await self._follow(known)
                await asyncio.get_running_loop().create_future()
            finally:
                # RACE: a peer that calls now is told to come again, and begins nothing that would be cancelled.
                self._tasks = None

    async def begin(self, kind_name: str, peer: Peer, parameters: Mapping[str, Any]) -> Procedure:
        """Begin a procedure with a paired node, as its lead; returns once it is in the journal.

        Raises RefusedError where one with that node is under way, ConfigurationError where there is no such kind.
        """
        if self._tasks is None:
            raise RefusedError(_STOPPED)
        kind = self.kinds.find(kind_name)
        if kind is None:
            raise ConfigurationError(f"there is no procedure {kind_name!a} in this version")
        encode_document(parameters, PARAMETERS_MAX, "what the procedure was given")
        procedure = Procedure(
            uuid.uuid4().hex, kind.name, Role.LEAD, peer.node_id, peer.name, dict(parameters), kind.all_steps
        )
        async with self._beginning:
            for known in await asyncio.to_thread(self.journal.unsettled):
                is_ended = known.journal.outcome is not Outcome.OPEN
                if kind.involves_second and is_ended and known.procedure.peer == peer.node_id:
                    raise RefusedError(
                        f"{peer.name} still has to hear that {known.procedure.kind} is over ({known.procedure.id}): "
                        "try again once it can be reached"
                    )
            await settled(partial(self.journal.open, procedure))
        self._events.started(procedure)
        self._lead(procedure)
        return procedure

    async def abort(self, procedure: str, *, why: str = OPERATOR, force: bool = False) -> None:
        """Have a procedure undone; returns once that is decided, not done.

        `force`: without the other node, which undoes its part when it hears of it; past the point of no return nothing
        is undone, and it is given up here where it stands. A lead that answers undoes it all the same. Raises
        RefusedError past that point without `force`, or where the lead answers and does not undo it;
        UnreachableError where another node leads it and does not answer.
        """
        known = await self.find(procedure)
        if force and is_past_return(known.procedure, known.journal):
            await self._give_up(known, why)
            return
        if known.procedure.role is Role.LEAD:
            await settled(partial(self.journal.ask_abort, procedure, why, forced=force))
            if (lead := self._leads.get(procedure)) is not None:
                lead.interrupt()
            return
        if self._tasks is None:
            raise RefusedError(_STOPPED)
        caller = self._caller(known.procedure.peer, known.procedure.peer_name)
        try:
            if force:
                await self._force(known, caller, why)
            elif (refusal := await caller.abort(m.AbortWish(procedure, why))) is not None:
                raise RefusedError(f"{known.procedure.peer_name} refused: {refusal.message}")
        finally:
            await caller.close()

    async def give_up(self, peer: str, why: str) -> list[str]:
        """Close every procedure with a node that is gone for good, and undo nothing; returns their ids."""
        closed = []
        for known in await asyncio.to_thread(self.journal.unsettled):
            procedure = known.procedure
            if procedure.peer != peer:
                continue
            closed.append(procedure.id)
            if known.journal.outcome is Outcome.OPEN:
                close = partial(
                    self.journal.close, procedure.id, Outcome.ABORTED, {"given_up": why}, told=True, why=why
                )
                await settled(close)
                self._events.aborted(procedure, why)
            else:
                await settled(partial(self.journal.was_told, procedure.id))
            if (lead := self._leads.get(procedure.id)) is not None:
                lead.interrupt()
        return closed

    async def over(self, procedure: str) -> None:
        """Return once a procedure that is being undone is over here. RefusedError where that needs a person."""
        while (known := await self.find(procedure)).journal.outcome is Outcome.OPEN:
            for record in known.journal.steps:
                if record.reason and not record.again and record.state is StepState.UNDOING:
                    raise RefusedError(f"{known.procedure.kind} cannot be undone here: {record.reason}")
            await asyncio.sleep(LOOK_EVERY)

    async def go_on(self, procedure: str) -> bool:
        """Have what waits for a person tried again; tells whether anything did."""
        known = await self.find(procedure)
        if known.procedure.role is not Role.LEAD:
            raise RefusedError(
                f"{known.procedure.peer_name} leads {known.procedure.kind}: run `syncer procedure` there"
            )
        found = await settled(partial(self.journal.go_on, procedure))
        self.news(known.procedure.peer)
        return found

    async def find(self, procedure: str) -> Known:
        """Return a procedure by its id or the beginning of it. Raises ConfigurationError where that is none, or two."""
        found = [
            known
            for known in await asyncio.to_thread(self.journal.latest)
            if procedure and known.procedure.id.startswith(procedure)
        ]
        if len(found) != 1:
            what = "no procedure" if not found else "more than one procedure"
            raise ConfigurationError(f"{what} begins with {procedure!a}: `syncer procedure` lists them")
        return found[0]

    def news(self, peer: str) -> None:
        """Have the procedures with this node try again now: it was heard, or a person asked."""
        for lead in self._leads.values():
            if lead.peer == peer:
                lead.news()

    def facts(self, procedure: str) -> Facts:
        """Return what holds up a procedure at this moment."""
        if (lead := self._leads.get(procedure)) is not None:
            return lead.facts
        following = self._following.get(procedure)
        return Facts(away=following.trouble) if following is not None else Facts()

    def progress(self, procedure: str) -> m.Progress:
        """Return how far the step is that is being done."""
        if (lead := self._leads.get(procedure)) is not None:
            return lead.progress
        return self._second.progress(procedure) if self._second is not None else m.Progress()

    async def propose(self, peer: Peer, proposal: m.Proposal) -> Refusal | None:
        """Take part in a procedure that a peer leads."""
        second = self._serving()
        refusal = await second.propose(peer, proposal)
        if refusal is None and (known := await asyncio.to_thread(self.journal.read, proposal.procedure)) is not None:
            await self._follow(known)
        return refusal

    async def order(self, peer: Peer, order: m.Order) -> AsyncIterator[m.Progress | m.Ending | Refusal]:
        """Carry out an order of a peer that leads."""
        async for event in self._serving().order(peer, order):
            yield event

    async def end(self, peer: Peer, end: m.End) -> Refusal | None:
        """Close a procedure that a peer leads."""
        return await self._serving().end(peer, end)

    async def abort_asked(self, peer: Peer, wish: m.AbortWish) -> Refusal | None:
        """Undo a procedure of this node's own, by the wish of the second's operator."""
        known = await asyncio.to_thread(self.journal.read, wish.procedure)
        if known is None or known.procedure.peer != peer.node_id:
            return Refusal(Why.UNKNOWN_PROCEDURE, "no such procedure is known here")
        if known.procedure.role is not Role.LEAD:
            return Refusal(Why.NOT_YOURS, f"{peer.name} leads {known.procedure.kind} itself")
        if known.journal.outcome is not Outcome.OPEN:
            return Refusal(Why.ENDED, f"{known.procedure.kind} is over: it was {known.journal.outcome.value}")
        try:
            await self.abort(wish.procedure, why=f"{wish.reason or OPERATOR} (on {peer.name})")
        except RefusedError as error:
            return Refusal(Why.TOO_LATE, str(error))
        return None

    async def standing(self, peer: Peer, procedure: str) -> m.StandingOf | Refusal:
        """Say where a procedure stands here."""
        return await self._serving().standing(peer, procedure)

    async def knock(self, peer: Peer) -> m.Speaker:
        """Ask a paired node who it is and what it believes to be, once both know each other's term."""
        caller = self._caller(peer.node_id, peer.name)
        try:
            return await caller.knock()
        finally:
            await caller.close()

    def caller(self, peer: Peer) -> PeerCaller:
        """Return the calls to a paired node; whoever asks closes them."""
        return self._caller(peer.node_id, peer.name)

    async def _force(self, known: Known, caller: PeerCaller, why: str) -> None:
        """End here what another node leads, without it where it is gone: as long as it answers it may be production."""
        procedure = known.procedure
        match await ask_lead(caller, procedure.peer_name, m.AbortWish(procedure.id, why)):
            case asking.Lead.UNDOES:
                return
            case asking.Lead.GONE:
                await self._serving().abandon(procedure.peer, procedure.id)
            case asking.Lead.SERVES:
                await self._give_up(known, f"{why}, and {procedure.peer_name} is production")

    async def _give_up(self, known: Known, why: str) -> None:
        """End a procedure where it stands, by an operator's word: the other node may be gone for good."""
        reason = f"{GIVEN_UP}: {why}"
        if known.procedure.role is Role.LEAD:
            # Nobody is told: what is past the point of no return there, only an operator of that node can give up.
            await settled(partial(self.journal.close, known.procedure.id, Outcome.ABORTED, {}, told=True, why=reason))
            if (lead := self._leads.get(known.procedure.id)) is not None:
                lead.interrupt()
            self._events.aborted(known.procedure, reason)
        else:
            await self._serving().give_up(known, reason)

    def _serving(self) -> Second:
        if self._tasks is None or self._second is None:
            raise UnreachableError("its procedures are starting or stopping; try again")
        return self._second

    def _lead(self, procedure: Procedure) -> None:
        if self._tasks is None:
            # The node stops: it goes on at the next start.
            return
        caller = self._caller(procedure.peer, procedure.peer_name)
        kind = self.kinds.find(procedure.kind)
        lead = Lead(procedure, kind, self.journal, caller, self._events, self._limits)
        self._leads[procedure.id] = lead
        running = self._tasks.create_task(lead.run())
        running.add_done_callback(lambda _: self._leads.pop(procedure.id, None))

    async def _follow(self, known: Known) -> None:
        procedure = known.procedure
        peer = await asyncio.to_thread(peer_by_node_id, self._store, procedure.peer)
        if self._tasks is None or self._second is None or peer is None or procedure.id in self._following:
            return
        caller = self._caller(peer.node_id, peer.name)
        following = Following(procedure.id, peer, caller, self._second, self.journal, self._limits)
        self._following[procedure.id] = following
        running = self._tasks.create_task(following.run())
        running.add_done_callback(lambda _: self._following.pop(procedure.id, None))

    def _caller(self, node_id: str, name: str) -> PeerCaller:
        return PeerCaller(node_id, name, self._dial, self.voice, self._limits)
