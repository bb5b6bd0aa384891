"""The rows of the event journal in node.db."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from syncer.state.store import StateStore


class EventRow(NamedTuple):
    """One event as it was recorded; `at` in Unix seconds, for display and expiry."""

    id: int
    at: float
    name: str
    variables: dict[str, Any]


def add_events(store: StateStore, events: Sequence[tuple[float, str, Mapping[str, object]]]) -> None:
    """Append (at, name, variables) in this order, in one durable transaction. Raises StateError."""
    # ASCII: undecodable bytes of a path stay lone surrogates, written as escapes.
    rows = [(at, name, json.dumps(variables, ensure_ascii=True)) for at, name, variables in events]
    with store.transaction() as writer:
        writer.executemany("INSERT INTO event (at, name, variables) VALUES (?, ?, ?)", rows)


def read_events(
    store: StateStore,
    *,
    since_id: int = 0,
    since_time: float = 0.0,
    names: Collection[str] = (),
    limit: int = 1000,
    newest: bool = True,
) -> list[EventRow]:
    """Return events behind `since_id` and not before `since_time`, oldest first; of more than `limit` the newest.

    With `newest` False the oldest instead: for who reads on from there.
    """
    chosen = ",".join("?" * len(names))
    among = f" AND name IN ({chosen})" if names else ""
    order = "DESC" if newest else "ASC"
    query = f"SELECT id, at, name, variables FROM event WHERE id > ? AND at >= ?{among} ORDER BY id {order} LIMIT ?"  # noqa: S608  # question marks only
    with store.read() as reader:
        rows = reader.execute(query, (since_id, since_time, *names, limit)).fetchall()
    found = [EventRow(row[0], row[1], row[2], json.loads(row[3])) for row in rows]
    return found[::-1] if newest else found


def id_before(store: StateStore, *, since_time: float = 0.0, names: Collection[str] = (), limit: int, last: int) -> int:
    """Return the id behind which the newest `limit` events up to `last` begin, not before `since_time`.

    `last` itself where there are none.
    """
    chosen = ",".join("?" * len(names))
    among = f" AND name IN ({chosen})" if names else ""
    query = f"SELECT id FROM event WHERE id <= ? AND at >= ?{among} ORDER BY id DESC LIMIT ?"  # noqa: S608  # question marks only
    with store.read() as reader:
        row = reader.execute(f"SELECT min(id) FROM ({query})", (last, since_time, *names, limit)).fetchone()  # noqa: S608  # as above
    return last if row[0] is None else int(row[0]) - 1


def last_event_id(store: StateStore) -> int:
    """Return the id of the newest event; 0 where there was none."""
    with store.read() as reader:
        row = reader.execute("SELECT max(id) FROM event").fetchone()
    return int(row[0] or 0)


def prune_events(store: StateStore, *, keep: int, before: float) -> None:
    """Delete all but the newest `keep` events, and those of before that time (Unix seconds)."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (keep,))
        # The newest stays, so that no id is ever used twice.
        writer.execute("DELETE FROM event WHERE at < ? AND id < (SELECT max(id) FROM event)", (before,))
