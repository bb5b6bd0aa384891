"""By what production is reached, kept on failover so that it can be looked for there, and reached the other way."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from syncer.state.store import StateStore


class Reach(NamedTuple):
    """How a peer is reached the other way."""

    port: int
    """0: it said none."""
    came_from: str
    """The address that it last came from; "" where it never came."""


def record_addresses(store: StateStore, node_id: str, addresses: Collection[str]) -> None:
    """Note durably the addresses and the host name that a peer named; writes only where they are others.

    Raises StateError.
    """
    if set(addresses_of(store, node_id)) == set(addresses):
        return
    with store.transaction() as writer:
        writer.execute("DELETE FROM peer_address WHERE node_id = ?", (node_id,))
        rows = [(node_id, address) for address in set(addresses)]
        writer.executemany("INSERT INTO peer_address (node_id, address) VALUES (?, ?)", rows)


def addresses_of(store: StateStore, node_id: str | None = None) -> tuple[str, ...]:
    """Return what a peer named last, or what all of them did."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT DISTINCT address FROM peer_address WHERE ? IS NULL OR node_id = ? ORDER BY address",
            (node_id, node_id),
        ).fetchall()
    return tuple(row[0] for row in rows)


def record_port(store: StateStore, node_id: str, port: int) -> None:
    """Note durably what a peer listens on; writes only where it is another port. Raises StateError."""
    if reach_of(store, node_id).port == port:
        return
    with store.transaction() as writer:
        # RACE: asked again under the lock: the address is noted by another thread.
        came_from = reach_of(store, node_id).came_from
        writer.execute("INSERT OR REPLACE INTO peer_reach VALUES (?, ?, ?)", (node_id, port, came_from))


def record_came_from(store: StateStore, node_id: str, address: str) -> None:
    """Note durably which address a peer came from; writes only where it is another one. Raises StateError."""
    if reach_of(store, node_id).came_from == address:
        return
    with store.transaction() as writer:
        # RACE: asked again under the lock: the port is noted by another thread.
        port = reach_of(store, node_id).port
        writer.execute("INSERT OR REPLACE INTO peer_reach VALUES (?, ?, ?)", (node_id, port, address))


def reach_of(store: StateStore, node_id: str) -> Reach:
    """Return how a peer is reached the other way."""
    with store.read() as reader:
        row = reader.execute("SELECT port, came_from FROM peer_reach WHERE node_id = ?", (node_id,)).fetchone()
    return Reach(0, "") if row is None else Reach(*row)
