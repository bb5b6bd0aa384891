"""What a crash must not let a receiver forget: transactions that stand unchecked, and reloads that are due."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from syncer.model import Cursor
from syncer.state.store import StateStore


class Unchecked(NamedTuple):
    """A transaction that stands, though its check has not passed: which one, and what stood before."""

    generation: int
    term: int
    """The counter."""
    before_generation: int
    before_cursor: Cursor | None


class PendingReload(NamedTuple):
    """A reload that is due for what was applied up to this generation, under this term (its counter)."""

    generation: int
    term: int


def write_unchecked(writer: sqlite3.Connection, domain: str, unchecked: Unchecked) -> None:
    """Record it, within the transaction that makes it stand; what stood before an earlier one stays known."""
    cursor = unchecked.before_cursor or (None, None, None)
    writer.execute(
        "INSERT INTO unchecked (domain, generation, term, before_generation, index_id, run, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (domain) DO UPDATE SET generation = excluded.generation, term = excluded.term",
        (domain, unchecked.generation, unchecked.term, unchecked.before_generation, *cursor),
    )


def read_unchecked(store: StateStore, domain: str) -> Unchecked | None:
    """Return what stands unchecked in `domain`, or None."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT generation, term, before_generation, index_id, run, seq FROM unchecked WHERE domain = ?",
            (domain,),
        ).fetchone()
    if row is None:
        return None
    return Unchecked(row[0], row[1], row[2], None if row[3] is None else Cursor(*row[3:]))


def forget_unchecked(writer: sqlite3.Connection, domain: str) -> None:
    """Forget it: its check has passed, or it does not stand any more."""
    writer.execute("DELETE FROM unchecked WHERE domain = ?", (domain,))


def write_pending_reload(writer: sqlite3.Connection, domain: str, pending: PendingReload) -> None:
    """Record that a reload is due, within the transaction that makes it so."""
    writer.execute(
        "INSERT OR REPLACE INTO pending_reload (domain, generation, term) VALUES (?, ?, ?)", (domain, *pending)
    )


def read_pending_reload(store: StateStore, domain: str) -> PendingReload | None:
    """Return the reload that is due in `domain`, or None."""
    with store.read() as reader:
        row = reader.execute("SELECT generation, term FROM pending_reload WHERE domain = ?", (domain,)).fetchone()
    return None if row is None else PendingReload(*row)


def forget_pending_reload(store: StateStore, domain: str, generation: int) -> None:
    """Forget the reload that was due for what was applied up to `generation`; a later one stays due."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM pending_reload WHERE domain = ? AND generation <= ?", (domain, generation))
