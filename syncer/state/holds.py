"""Which domains are held while a command runs, or since one has failed, in node.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from syncer.state.store import StateStore, storable

ACTIVE = "active"
FAILED = "failed"


class Hold(NamedTuple):
    """One `syncer hold`."""

    id: str
    domain: str
    pid: int
    start_time: str
    """What tells the process apart from a later one of the same number; see processes.process_identity."""
    command: str
    """For display, in one line."""
    since: float
    """Unix seconds."""
    state: str = ACTIVE
    """ACTIVE as long as its process lives, else FAILED until a person resumes; one that ended well is no more."""
    detail: str = ""
    """How it failed."""


def read_holds(store: StateStore) -> tuple[Hold, ...]:
    """Return all holds, the oldest first."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT id, domain, pid, start_time, command, since, state, detail FROM hold ORDER BY since, id"
        )
        return tuple(Hold(*row) for row in rows)


def write_holds(writer: sqlite3.Connection, holds: Iterable[Hold]) -> None:
    """Make these the only ones, within the caller's transaction."""
    writer.execute("DELETE FROM hold")
    writer.executemany(
        "INSERT INTO hold (id, domain, pid, start_time, command, since, state, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [hold._replace(command=storable(hold.command), detail=storable(hold.detail)) for hold in holds],
    )
