"""Which domains a person rolled back, so that nothing undoes it silently."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from syncer.state.store import StateStore, storable


class RolledBack(NamedTuple):
    """A rollback that production has not resumed from yet (at: seconds since 1970)."""

    generation: int
    """The one that the rollback made."""
    target: int
    """The one whose state it brought back."""
    at: float
    person: str


def record_rolled_back(writer: sqlite3.Connection, domain: str, done: RolledBack) -> None:
    """Record a rollback, within the commit that ends it."""
    writer.execute(
        "INSERT OR REPLACE INTO rolled_back (domain, generation, target, at, person) VALUES (?, ?, ?, ?, ?)",
        (domain, done.generation, done.target, done.at, storable(done.person)),
    )


def forget_rolled_back(writer: sqlite3.Connection, domain: str) -> None:
    """Forget a rollback, within the commit of the synchronization that a person resumed with."""
    writer.execute("DELETE FROM rolled_back WHERE domain = ?", (domain,))


def read_rolled_back(store: StateStore, domain: str) -> RolledBack | None:
    """Return the rollback that the domain still stands at, or None."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT generation, target, at, person FROM rolled_back WHERE domain = ?", (domain,)
        ).fetchone()
    return None if row is None else RolledBack(*row)
