"""Generations that the limits of the history do not touch, in node.db."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import NamedTuple

from syncer.state.store import StateStore, storable


class Protection(NamedTuple):
    """Why a generation is kept, and since when (Unix seconds)."""

    reason: str
    since: float


def protect(store: StateStore, domain: str, generation: int, reason: str, now: float | None = None) -> None:
    """Keep what a generation displaces until a person releases it; it may be made only later."""
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR IGNORE INTO protected (domain, generation, reason, since) VALUES (?, ?, ?, ?)",
            (domain, generation, storable(reason), time.time() if now is None else now),
        )


def release(store: StateStore, domain: str, generation: int) -> bool:
    """Let the limits of the history apply to a generation again; tells whether it was protected."""
    with store.transaction() as writer:
        return (
            writer.execute("DELETE FROM protected WHERE domain = ? AND generation = ?", (domain, generation)).rowcount
            > 0
        )


def settle_protected(writer: sqlite3.Connection, domain: str, generation: int) -> None:
    """Protect nothing that is still to come: all that was to be displaced is, by `generation` at the latest."""
    writer.execute("DELETE FROM protected WHERE domain = ? AND generation > ?", (domain, generation))


def awaits_filling(store: StateStore, domain: str, generation: int) -> bool:
    """Tell whether the generation that comes next is protected already: the node comes home, and is not filled yet."""
    with store.read() as reader:
        query = "SELECT 1 FROM protected WHERE domain = ? AND generation > ?"
        return reader.execute(query, (domain, generation)).fetchone() is not None


def read_protected(store: StateStore, domain: str) -> Mapping[int, Protection]:
    """Return the protected generations of a domain, those among them that nothing has made yet."""
    with store.read() as reader:
        rows = reader.execute("SELECT generation, reason, since FROM protected WHERE domain = ?", (domain,)).fetchall()
    return {generation: Protection(reason, since) for generation, reason, since in rows}
