"""Which targets a person suspended, in node.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from syncer.state.store import StateStore, storable


class Suspension(NamedTuple):
    """A target, or one domain of it, that nothing is sent to by a person's word; times in Unix seconds."""

    target: str
    domain: str
    """"": all domains of the target."""
    reason: str
    """In the person's words; may be empty."""
    since: float
    until: float | None
    """When it ends by itself; None: only by `syncer resume`."""


def read_suspensions(store: StateStore) -> tuple[Suspension, ...]:
    """Return all suspensions, those that have expired among them, ordered by target and domain."""
    with store.read() as reader:
        rows = reader.execute("SELECT target, domain, reason, since, until FROM suspension ORDER BY target, domain")
        return tuple(Suspension(*row) for row in rows)


def write_suspensions(writer: sqlite3.Connection, suspensions: Iterable[Suspension]) -> None:
    """Make these the only ones, within the caller's transaction."""
    writer.execute("DELETE FROM suspension")
    writer.executemany(
        "INSERT INTO suspension (target, domain, reason, since, until) VALUES (?, ?, ?, ?, ?)",
        [(*item[:2], storable(item.reason), *item[3:]) for item in suspensions],
    )
