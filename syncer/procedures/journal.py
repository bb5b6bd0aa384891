"""The durable progress of procedures: every change of it is one commit that checks what it builds upon."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from syncer.errors import InvariantError, RefusedError
from syncer.procedures.steps import (
    Journal,
    Outcome,
    Procedure,
    Role,
    StepRecord,
    StepSpec,
    StepState,
    is_backwards,
    is_past_return,
)
from syncer.state import procedures as rows
from syncer.state.store import StateStore

KEPT = 50
"""Procedures that are kept with their reports."""

T = TypeVar("T")
StepsOf = Callable[[str], tuple[StepSpec, ...]]
"""Returns the steps of a kind; none where this version does not know it."""


class Known(NamedTuple):
    """One procedure with its progress, read at one moment."""

    procedure: Procedure
    journal: Journal
    row: rows.ProcedureRow


class ProcedureJournal:
    """The procedures of one node; blocking, usable from any thread. Raises StateError where the disk fails."""

    def __init__(
        self,
        store: StateStore,
        steps_of: StepsOf,
        clock: Callable[[], float] = time.time,
        wrote: Callable[[str], None] = lambda what: None,
    ) -> None:
        """Keep it in `store`; `wrote` is told of each commit."""
        self._store = store
        self._steps_of = steps_of
        self._clock = clock
        self._wrote = wrote

    def open(self, procedure: Procedure, *, agreed: str = "") -> None:
        """Record a new procedure; `agreed` names a step that is done by that. RefusedError where one is open."""
        row = rows.ProcedureRow(
            procedure.id,
            procedure.kind,
            procedure.role.value,
            procedure.peer,
            procedure.peer_name,
            procedure.parameters,
            Outcome.OPEN.value,
            "",
            forced=False,
            told=True,
            report={},
            begun=self._clock(),
            ended=None,
        )
        with self._store.transaction() as writer:
            other = rows.open_with(self._store, procedure.peer)
            if other is not None:
                raise RefusedError(
                    f"the procedure {other.kind} with {other.peer_name} is under way ({other.id}): `syncer procedure` "
                    "says what it waits for; finish or abort it first"
                )
            rows.add_procedure(writer, row, [step.name for step in procedure.steps])
            if agreed:
                self._put(writer, procedure.id, StepRecord(agreed, StepState.DONE, begun=True, attempts=1))
        self._wrote(f"open {procedure.kind}")

    def read(self, procedure: str) -> Known | None:
        """Return one procedure, or None where this node knows no such."""
        with self._store.read():
            row = rows.read_procedure(self._store, procedure)
            return None if row is None else self._known(row)

    def unsettled(self) -> list[Known]:
        """Return those that are open, or whose end the second does not know yet."""
        with self._store.read():
            return [self._known(row) for row in rows.open_procedures(self._store)]

    def latest(self, limit: int = KEPT) -> list[Known]:
        """Return the latest procedures, the newest first."""
        with self._store.read():
            return [self._known(row) for row in rows.read_procedures(self._store, limit)]

    def open_with(self, peer: str) -> str | None:
        """Return the id of the open procedure with this node."""
        row = rows.open_with(self._store, peer)
        return None if row is None else row.id

    def begin_step(self, procedure: str, name: str) -> bool:
        """Record that a step's action begins; False where it must not any more, since an abort came first."""
        with self._store.transaction() as writer:
            known = self._open(procedure)
            # RACE: an abort that was recorded before this commit wins, one that comes after finds the step begun.
            if is_backwards(known.procedure, known.journal):
                return False
            record = known.journal.step(name)
            if record.state is StepState.DONE:
                raise InvariantError(f"the step {name} of {procedure} is done already: a fault in syncer")
            running = record._replace(
                state=StepState.RUNNING, begun=True, reason="", again=True, attempts=record.attempts + 1
            )
            # CRASH: from here on it counts as begun, whatever its action comes to: it is done again or undone.
            self._put(writer, procedure, running)
        self._wrote(f"running {name}")
        return True

    def finish_step(self, procedure: str, name: str, result: Mapping[str, Any]) -> None:
        """Record that a step is done, with its result."""
        self._move(procedure, name, {StepState.RUNNING}, StepState.DONE, result=result)

    def fail_step(self, procedure: str, name: str, reason: str, *, again: bool, begun: bool) -> None:
        """Record that a step failed; before the point of no return the procedure is undone from here on.

        `begun` False: nothing of its action was done.
        """
        with self._store.transaction() as writer:
            known = self._open(procedure)
            record = known.journal.step(name)
            if record.state not in (StepState.PENDING, StepState.RUNNING, StepState.FAILED):
                raise InvariantError(f"the step {name} of {procedure} failed while {record.state.value}: a fault")
            failed = record._replace(state=StepState.FAILED, begun=begun, reason=reason, again=again)
            self._put(writer, procedure, failed)
            steps = tuple(failed if item.name == name else item for item in known.journal.steps)
            is_lead = known.procedure.role is Role.LEAD
            if is_lead and not known.journal.abort and not is_past_return(known.procedure, Journal(steps)):
                title = next(spec.title for spec in known.procedure.steps if spec.name == name)
                rows.write_abort(writer, procedure, f"{title}: {reason}", forced=False)
        self._wrote(f"failed {name}")

    def begin_undo(self, procedure: str, name: str) -> None:
        """Record that a step is being undone: from here on it is never done again."""
        before = {StepState.RUNNING, StepState.DONE, StepState.FAILED, StepState.UNDOING}
        self._move(procedure, name, before, StepState.UNDOING)

    def fail_undo(self, procedure: str, name: str, reason: str, *, again: bool) -> None:
        """Record that a step could not be undone yet."""
        self._move(procedure, name, {StepState.UNDOING}, StepState.UNDOING, reason=reason, again=again)

    def finish_undo(self, procedure: str, name: str, note: str = "") -> None:
        """Record that a step is undone; also one that was never begun, so that no late order begins it.

        `note`: what is not as before.
        """
        before = {StepState.PENDING, StepState.FAILED, StepState.UNDOING}
        self._move(procedure, name, before, StepState.UNDONE, reason=note)

    def ask_abort(self, procedure: str, why: str, *, forced: bool = False) -> None:
        """Record that a procedure is to be undone. RefusedError where it is over, or past the point of no return."""
        with self._store.transaction() as writer:
            known = self._open(procedure)
            if is_past_return(known.procedure, known.journal):
                raise RefusedError(
                    f"{known.procedure.kind} is past its point of no return and can only be finished: `syncer "
                    "procedure` says what it waits for"
                )
            rows.write_abort(writer, procedure, known.journal.abort or why, forced=forced or known.journal.forced)
        self._wrote("abort")

    def go_on(self, procedure: str) -> bool:
        """Have what waits for a person tried again; tells whether anything did."""
        with self._store.transaction() as writer:
            waiting = [record for record in self._open(procedure).journal.steps if record.reason and not record.again]
            for record in waiting:
                self._put(writer, procedure, record._replace(again=True))
        self._wrote("go on")
        return bool(waiting)

    def mark(self, procedure: str, standing: Mapping[str, StepState]) -> None:
        """Record on the second how far the lead's own steps are, as the lead says; for display and for late undoes."""
        with self._store.transaction() as writer:
            known = self._open(procedure)
            own = {spec.name for spec in known.procedure.steps if spec.on is Role.SECOND}
            for record in known.journal.steps:
                state = standing.get(record.name, record.state)
                if record.name not in own and state is not record.state:
                    begun = record.begun or state not in (StepState.PENDING, StepState.FAILED)
                    self._put(writer, procedure, record._replace(state=state, begun=begun))

    def close(
        self, procedure: str, outcome: Outcome, report: Mapping[str, Any], *, told: bool, why: str | None = None
    ) -> None:
        """Record how a procedure ended; `told` False: the second is still to hear of it."""
        with self._store.transaction() as writer:
            known = self._open(procedure)
            if why is not None:
                rows.write_abort(writer, procedure, why, forced=known.journal.forced)
            rows.write_end(writer, procedure, outcome.value, report, self._clock(), told=told)
            rows.prune_procedures(writer, KEPT)
        self._wrote(outcome.value)

    def was_told(self, procedure: str) -> None:
        """Record that the second knows how a procedure ended."""
        with self._store.transaction() as writer:
            rows.write_told(writer, procedure)
        self._wrote("told")

    def _open(self, procedure: str) -> Known:
        known = self.read(procedure)
        if known is None:
            raise RefusedError(f"this node knows no procedure {procedure!a}: `syncer procedure` lists them")
        if known.journal.outcome is not Outcome.OPEN:
            raise RefusedError(f"the procedure {procedure} is over: it was {known.journal.outcome.value}")
        return known

    def _known(self, row: rows.ProcedureRow) -> Known:
        steps = rows.read_steps(self._store, row.id)
        records = tuple(StepRecord(step.name, StepState(step.state), *step[2:]) for step in steps)
        specs = self._steps_of(row.kind)
        if tuple(spec.name for spec in specs) != tuple(record.name for record in records):
            # Another version of syncer began it with other steps: nothing is guessed.
            specs = ()
        journal = Journal(records, Outcome(row.outcome), row.abort, row.forced)
        procedure = Procedure(row.id, row.kind, Role(row.role), row.peer, row.peer_name, row.parameters, specs)
        return Known(procedure, journal, row)

    def _move(
        self,
        procedure: str,
        name: str,
        before: set[StepState],
        state: StepState,
        *,
        reason: str = "",
        again: bool = True,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        with self._store.transaction() as writer:
            record = self._open(procedure).journal.step(name)
            if record.state not in before:
                raise InvariantError(
                    f"the step {name} of {procedure} cannot become {state.value} from {record.state.value}: "
                    "a fault in syncer, please report it"
                )
            kept = record.result if result is None else result
            self._put(writer, procedure, record._replace(state=state, reason=reason, again=again, result=kept))
        self._wrote(f"{state.value} {name}")

    def _put(self, writer: sqlite3.Connection, procedure: str, record: StepRecord) -> None:
        row = rows.StepRow(record.name, record.state.value, *record[2:-1], since=self._clock())
        rows.write_step(writer, procedure, row)


async def settled(call: Callable[[], T]) -> T:
    """Run a short commit on a thread to its end, also where the caller is cancelled meanwhile."""
    # RACE: a commit that a cancelled task left behind could come after what is decided next.
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
