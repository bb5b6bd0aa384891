"""Pinned nodes: whose certificates this node trusts."""

from __future__ import annotations

from typing import NamedTuple

from syncer.state.store import StateStore

_COLUMNS = "node_id, name, certificate_pem, fingerprint, paired_at"


class Peer(NamedTuple):
    """A node whose certificate is pinned here."""

    node_id: str
    name: str
    certificate_pem: bytes
    fingerprint: str
    """SHA-256 of the certificate's DER, hexadecimal."""
    paired_at: float
    """Unix seconds."""


def add_peer(store: StateStore, peer: Peer) -> None:
    """Pin a node durably; a new certificate of a node that is already pinned replaces the old one."""
    with store.transaction() as writer:
        writer.execute(f"INSERT OR REPLACE INTO peer ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", peer)  # noqa: S608  # our own column names, no input


def remove_peer(store: StateStore, node_id: str) -> bool:
    """Unpin a node; returns whether it was pinned. Counts for new handshakes and calls, not open streams."""
    with store.transaction() as writer:
        return writer.execute("DELETE FROM peer WHERE node_id = ?", (node_id,)).rowcount > 0


def peers(store: StateStore) -> list[Peer]:
    """Return all pinned nodes, ordered by node id."""
    with store.read() as reader:
        rows = reader.execute(f"SELECT {_COLUMNS} FROM peer ORDER BY node_id")  # noqa: S608  # our own column names, no input
        return [Peer(*row) for row in rows]


def peer_by_fingerprint(store: StateStore, fingerprint: str) -> Peer | None:
    """Return the node whose pinned certificate has this fingerprint, or None."""
    return _peer_where(store, "fingerprint", fingerprint)


def peer_by_node_id(store: StateStore, node_id: str) -> Peer | None:
    """Return the pinned node with this id, or None."""
    return _peer_where(store, "node_id", node_id)


def _peer_where(store: StateStore, column: str, value: str) -> Peer | None:
    with store.read() as reader:
        query = f"SELECT {_COLUMNS} FROM peer WHERE {column} = ?"  # noqa: S608  # our own column names, no input
        row = reader.execute(query, (value,)).fetchone()
    return None if row is None else Peer(*row)
