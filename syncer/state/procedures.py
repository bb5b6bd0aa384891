"""The rows of the journal of procedures in node.db: what was begun with which node, and how far it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from syncer.state.store import StateStore, storable

_COLUMNS = "id, kind, role, peer, peer_name, parameters, outcome, abort, forced, told, report, begun, ended"
_STEP_COLUMNS = "name, state, begun, reason, again, attempts, result, since"


class ProcedureRow(NamedTuple):
    """One procedure; times in Unix seconds, for display only."""

    id: str
    kind: str
    role: str
    peer: str
    peer_name: str
    parameters: Mapping[str, Any]
    outcome: str
    """open, finished or aborted."""
    abort: str
    forced: bool
    told: bool
    """The second knows how it ended, or nobody needs to be told."""
    report: Mapping[str, Any]
    begun: float
    ended: float | None


class StepRow(NamedTuple):
    """One step of a procedure, as syncer/procedures/steps.py describes it."""

    name: str
    state: str
    begun: bool
    reason: str
    again: bool
    attempts: int
    result: Mapping[str, Any]
    since: float | None


def add_procedure(writer: sqlite3.Connection, row: ProcedureRow, steps: Iterable[str]) -> None:
    """Record a new procedure with the names of its steps, none of them begun.

    sqlite3.IntegrityError where its id is taken, or where one with that peer is open.
    """
    writer.execute(
        f"INSERT INTO procedure (number, {_COLUMNS})"  # noqa: S608  # our own column names, no input
        " SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM procedure",
        (
            *row[:4],
            storable(row.peer_name),
            _encoded(row.parameters),
            row.outcome,
            storable(row.abort),
            row.forced,
            row.told,
            _encoded(row.report),
            row.begun,
            row.ended,
        ),
    )
    writer.executemany(
        f"INSERT INTO procedure_step (procedure, position, {_STEP_COLUMNS})"  # noqa: S608  # our own column names
        " VALUES (?, ?, ?, 'pending', 0, '', 1, 0, '{}', NULL)",
        [(row.id, position, name) for position, name in enumerate(steps)],
    )


def read_procedure(store: StateStore, procedure: str) -> ProcedureRow | None:
    """Return one procedure, or None where this node knows no such."""
    found = _read(store, "WHERE id = ?", (procedure,))
    return found[0] if found else None


def open_procedures(store: StateStore) -> list[ProcedureRow]:
    """Return the procedures that have not ended, and those whose end the second does not know yet, oldest first."""
    return _read(store, "WHERE outcome = 'open' OR NOT told ORDER BY number", ())


def open_with(store: StateStore, peer: str) -> ProcedureRow | None:
    """Return the open procedure with this node, or None."""
    found = _read(store, "WHERE outcome = 'open' AND peer = ?", (peer,))
    return found[0] if found else None


def read_procedures(store: StateStore, limit: int) -> list[ProcedureRow]:
    """Return the latest procedures, the newest first."""
    return _read(store, "ORDER BY number DESC LIMIT ?", (limit,))


def read_steps(store: StateStore, procedure: str) -> list[StepRow]:
    """Return the steps of a procedure in their order."""
    with store.read() as reader:
        rows = reader.execute(
            f"SELECT {_STEP_COLUMNS} FROM procedure_step WHERE procedure = ? ORDER BY position",  # noqa: S608
            (procedure,),
        ).fetchall()
    return [
        StepRow(row[0], row[1], bool(row[2]), row[3], bool(row[4]), row[5], json.loads(row[6]), row[7]) for row in rows
    ]


def write_step(writer: sqlite3.Connection, procedure: str, step: StepRow) -> None:
    """Replace what is known of one step."""
    writer.execute(
        "UPDATE procedure_step SET state = ?, begun = ?, reason = ?, again = ?, attempts = ?, result = ?, since = ?"
        " WHERE procedure = ? AND name = ?",
        (
            step.state,
            step.begun,
            storable(step.reason),
            step.again,
            step.attempts,
            _encoded(step.result),
            step.since,
            procedure,
            step.name,
        ),
    )


def write_abort(writer: sqlite3.Connection, procedure: str, why: str, *, forced: bool) -> None:
    """Record why a procedure is undone."""
    writer.execute("UPDATE procedure SET abort = ?, forced = ? WHERE id = ?", (storable(why), forced, procedure))


def write_end(
    writer: sqlite3.Connection, procedure: str, outcome: str, report: Mapping[str, Any], ended: float, *, told: bool
) -> None:
    """Record how a procedure ended."""
    writer.execute(
        "UPDATE procedure SET outcome = ?, report = ?, ended = ?, told = ? WHERE id = ?",
        (outcome, _encoded(report), ended, told, procedure),
    )


def write_told(writer: sqlite3.Connection, procedure: str) -> None:
    """Record that the second knows how a procedure ended."""
    writer.execute("UPDATE procedure SET told = 1 WHERE id = ?", (procedure,))


def prune_procedures(writer: sqlite3.Connection, keep: int) -> None:
    """Forget all but the newest `keep` of those that have ended and whose end is known to both."""
    writer.execute(
        "DELETE FROM procedure WHERE outcome <> 'open' AND told AND number <= (SELECT max(number) FROM procedure) - ?",
        (keep,),
    )


def _read(store: StateStore, where: str, values: tuple[object, ...]) -> list[ProcedureRow]:
    with store.read() as reader:
        rows = reader.execute(f"SELECT {_COLUMNS} FROM procedure {where}", values).fetchall()  # noqa: S608  # no input
    return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> ProcedureRow:
    parameters, report = json.loads(row[5]), json.loads(row[10])
    return ProcedureRow._make([*row[:5], parameters, *row[6:8], bool(row[8]), bool(row[9]), report, *row[11:]])


def _encoded(document: Mapping[str, Any]) -> str:
    # ASCII: undecodable bytes of a path stay lone surrogates, written as escapes.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
