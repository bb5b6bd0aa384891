"""By what production is reached, kept on failover so that it can be looked for there without production."""

from __future__ import annotations

from collections.abc import Collection

from syncer.state.store import StateStore


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
