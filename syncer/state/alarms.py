"""Which alarms stand, in node.db: a restart must neither raise one again nor forget to tell its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from syncer.state.store import StateStore, storable


class AlarmRow(NamedTuple):
    """One alarm that was raised and has not ended; `since` in Unix seconds."""

    name: str
    peer: str
    domain: str
    since: float


def read_alarms(store: StateStore) -> list[AlarmRow]:
    """Return the alarms that stand, ordered by name, peer and domain."""
    with store.read() as reader:
        rows = reader.execute("SELECT name, peer, domain, since FROM alarm ORDER BY name, peer, domain")
        return [AlarmRow(*row) for row in rows]


def write_alarms(store: StateStore, alarms: Iterable[AlarmRow]) -> None:
    """Make these the only ones; blocking, one flush to disk. Raises StateError."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM alarm")
        writer.executemany(
            "INSERT INTO alarm (name, peer, domain, since) VALUES (?, ?, ?, ?)",
            [(row.name, storable(row.peer), storable(row.domain), row.since) for row in alarms],
        )
