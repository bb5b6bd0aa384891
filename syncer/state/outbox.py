"""The rows of the outbox in node.db: actions that wait, those that were given up, and when each was last done."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from syncer.state.store import StateStore, storable

GIVEN_UP_KEPT = 100
"""Actions that were given up and are still shown; the newest."""


class ActionRow(NamedTuple):
    """One action; times in Unix seconds."""

    id: int
    key: str
    """The same at every attempt."""
    name: str
    """Of the trigger."""
    action: str
    receivers: tuple[str, ...]
    notice: str
    since: float
    attempts: int
    due: float
    given_up: float | None
    answer: str


class Delivered(NamedTuple):
    """When an action of a trigger was last done, and what was answered."""

    name: str
    action: str
    at: float
    answer: str


def _row(row: tuple[Any, ...]) -> ActionRow:
    found = list(row)
    found[4] = tuple(json.loads(row[4]))
    return ActionRow._make(found)


_COLUMNS = "id, key, name, action, receivers, notice, since, attempts, due, given_up, answer"


def read_outbox(store: StateStore, *, waiting_only: bool = False) -> list[ActionRow]:
    """Return the actions in the order in which they became due; those given up only where asked for all."""
    among = "WHERE given_up IS NULL " if waiting_only else ""
    with store.read() as reader:
        rows = reader.execute(f"SELECT {_COLUMNS} FROM outbox {among}ORDER BY id").fetchall()  # noqa: S608  # our own words
    return [_row(row) for row in rows]


def next_actions(store: StateStore, limit: int) -> list[ActionRow]:
    """Return the actions that are due first among those that wait."""
    with store.read() as reader:
        rows = reader.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE given_up IS NULL ORDER BY due, id LIMIT ?",  # noqa: S608  # our own words
            (limit,),
        ).fetchall()
    return [_row(row) for row in rows]


def count_actions(store: StateStore) -> tuple[int, int]:
    """Return how many actions wait, and how many were given up."""
    with store.read() as reader:
        found = reader.execute("SELECT count(*), count(given_up) FROM outbox").fetchone()
    return int(found[0]) - int(found[1]), int(found[1])


def add_actions(store: StateStore, rows: Sequence[ActionRow]) -> None:
    """Record actions before they are tried; their ids are given here."""
    with store.transaction() as writer:
        writer.executemany(
            "INSERT INTO outbox (key, name, action, receivers, notice, since, attempts, due, given_up, answer) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(row.key, row.name, row.action, json.dumps(row.receivers), *row[5:]) for row in rows],
        )


def change_action(store: StateStore, row: ActionRow) -> None:
    """Record how an action stands after an attempt."""
    with store.transaction() as writer:
        writer.execute(
            "UPDATE outbox SET receivers = ?, attempts = ?, due = ?, given_up = ?, answer = ? WHERE id = ?",
            (json.dumps(row.receivers), row.attempts, row.due, row.given_up, storable(row.answer), row.id),
        )
        if row.given_up is not None:
            writer.execute(
                "DELETE FROM outbox WHERE given_up IS NOT NULL AND id NOT IN "
                "(SELECT id FROM outbox WHERE given_up IS NOT NULL ORDER BY given_up DESC, id DESC LIMIT ?)",
                (GIVEN_UP_KEPT,),
            )


def drop_actions(store: StateStore, ids: Collection[int]) -> int:
    """Forget actions; returns how many there were."""
    with store.transaction() as writer:
        return sum(writer.execute("DELETE FROM outbox WHERE id = ?", (number,)).rowcount for number in ids)


def retry_actions(store: StateStore, ids: Collection[int], now: float) -> int:
    """Make actions due at `now`, also those given up, as if they were new; returns how many there were."""
    with store.transaction() as writer:
        return sum(
            writer.execute(
                "UPDATE outbox SET due = ?, since = CASE WHEN given_up IS NULL THEN since ELSE ? END, "
                "given_up = NULL WHERE id = ?",
                (now, now, number),
            ).rowcount
            for number in ids
        )


def hasten_actions(store: StateStore, done: ActionRow, now: float) -> None:
    """Make what else waits for the receivers of an action due at `now`: they are there again."""
    with store.transaction() as writer:
        writer.execute(
            "UPDATE outbox SET due = ? WHERE name = ? AND action = ? AND id <> ? AND given_up IS NULL AND due > ?",
            (now, done.name, done.action, done.id, now),
        )


def write_delivered(store: StateStore, delivered: Delivered) -> None:
    """Record that an action was done."""
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO delivered (name, action, at, answer) VALUES (?, ?, ?, ?)",
            (delivered.name, delivered.action, delivered.at, storable(delivered.answer)),
        )


def read_delivered(store: StateStore) -> list[Delivered]:
    """Return when each action was last done."""
    with store.read() as reader:
        return [Delivered(*row) for row in reader.execute("SELECT name, action, at, answer FROM delivered")]
