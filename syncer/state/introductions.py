"""What production nodes have signed about other nodes: who they are, how they are fed, and who was retired."""

from __future__ import annotations

import time
from typing import NamedTuple

from blake3 import blake3

from syncer.state.store import StateStore

_RETIRED = "node_id, name, certificate_pem, fingerprint, issuer, issuer_name, body, signature, addresses, at"


class Kept(NamedTuple):
    """One statement about a node, as it was signed."""

    issuer: str
    subject: str
    counter: int
    body: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """By which it is known whom it was told."""
        return digest_of(self.body)


class Retired(NamedTuple):
    """An identity that counts no more."""

    node_id: str
    name: str
    certificate_pem: bytes
    fingerprint: str
    issuer: str
    issuer_name: str
    body: bytes
    signature: bytes
    addresses: str
    at: float
    """Unix seconds."""

    @property
    def sentence(self) -> str:
        """Say that it is refused, and what to do."""
        return (
            f"{self.name} (node {self.node_id[:8]}) was retired by {self.issuer_name}: its identity is refused for "
            "good; where the machine is to serve again, set it up anew (`syncer init` with an empty state folder) and "
            "pair it"
        )


class Door(NamedTuple):
    """The key of an issuer with which nodes that it has introduced may knock."""

    issuer: str
    certificate_pem: bytes
    key_pem: bytes


def digest_of(body: bytes) -> bytes:
    """Return what a statement is known by."""
    return blake3(body).digest()


def keep_introduction(store: StateStore, kept: Kept) -> bool:
    """Keep a statement durably; one that is not newer than the one of the same issuer changes nothing."""
    with store.transaction() as writer:
        row = writer.execute(
            "SELECT counter FROM introduction WHERE issuer = ? AND subject = ?", (kept.issuer, kept.subject)
        ).fetchone()
        if row is not None and row[0] >= kept.counter:
            return False
        writer.execute("INSERT OR REPLACE INTO introduction VALUES (?, ?, ?, ?, ?, ?)", (*kept, time.time()))
    return True


def introductions(store: StateStore, *, issuer: str | None = None, subject: str | None = None) -> list[Kept]:
    """Return what is kept, of one issuer or about one node where that is said, in a fixed order."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT issuer, subject, counter, body, signature FROM introduction"
            " WHERE (?1 IS NULL OR issuer = ?1) AND (?2 IS NULL OR subject = ?2) ORDER BY subject, issuer",
            (issuer, subject),
        ).fetchall()
    return [Kept(*row) for row in rows]


def forget_introduction(store: StateStore, issuer: str, subject: str) -> None:
    """Keep a statement no more. Raises StateError."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM introduction WHERE issuer = ? AND subject = ?", (issuer, subject))


def mark_introduced(store: StateStore, node_id: str, issuer: str) -> None:
    """Note that a node is pinned by the word of another one alone."""
    with store.transaction() as writer:
        writer.execute("INSERT OR REPLACE INTO introduced VALUES (?, ?)", (node_id, issuer))


def introduced_by(store: StateStore) -> dict[str, str]:
    """Return node id → id of the issuer, of those that are pinned by a statement and were not paired."""
    with store.read() as reader:
        return dict(reader.execute("SELECT node_id, issuer FROM introduced").fetchall())


def add_retired(store: StateStore, retired: Retired) -> bool:
    """Retire an identity for good; tells whether it was not yet."""
    with store.transaction() as writer:
        known = writer.execute("SELECT 1 FROM retired WHERE node_id = ?", (retired.node_id,)).fetchone()
        if known is None:
            writer.execute(f"INSERT INTO retired ({_RETIRED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", retired)  # noqa: S608  # our own column names, no input
    return known is None


def retired_nodes(store: StateStore) -> list[Retired]:
    """Return every identity that was retired, as far as this node knows."""
    with store.read() as reader:
        return [Retired(*row) for row in reader.execute(f"SELECT {_RETIRED} FROM retired ORDER BY node_id")]  # noqa: S608  # our own column names, no input


def read_retired(store: StateStore, node_id: str) -> Retired | None:
    """Return how a node was retired, or None."""
    with store.read() as reader:
        row = reader.execute(f"SELECT {_RETIRED} FROM retired WHERE node_id = ?", (node_id,)).fetchone()  # noqa: S608  # our own column names, no input
    return None if row is None else Retired(*row)


def retired_by_fingerprint(store: StateStore, fingerprint: str) -> Retired | None:
    """Return whose retired certificate this is, or None."""
    return next((found for found in retired_nodes(store) if found.fingerprint == fingerprint), None)


def is_retired(store: StateStore, node_id: str) -> bool:
    """Tell whether the identity of a node counts no more."""
    return read_retired(store, node_id) is not None


def forget_node(store: StateStore, node_id: str) -> None:
    """Drop everything that was kept of a node, but that it was retired; in one commit.

    What it has said of others stays: the trees that it fed are rendered by its rules.
    """
    with store.transaction() as writer:
        writer.execute("DELETE FROM peer WHERE node_id = ?", (node_id,))
        names = [row[0] for row in writer.execute("SELECT name FROM target WHERE node_id = ?", (node_id,))]
        for name in names:
            for table in ("target_progress", "verification", "failure_suspension"):
                writer.execute(f"DELETE FROM {table} WHERE target = ?", (name,))  # noqa: S608  # our own names, no input
            writer.execute("DELETE FROM target WHERE name = ?", (name,))
        for table in ("peer_address", "peer_reach", "peer_start", "peer_rules", "introduced"):
            writer.execute(f"DELETE FROM {table} WHERE node_id = ?", (node_id,))  # noqa: S608  # our own names, no input
        writer.execute("DELETE FROM introduction WHERE subject = ?", (node_id,))
        writer.execute("DELETE FROM door WHERE issuer = ?", (node_id,))
        writer.execute("DELETE FROM statement_told WHERE peer = ?", (node_id,))


def told(store: StateStore, peer: str) -> set[bytes]:
    """Return which statements a node has answered, by their digests."""
    with store.read() as reader:
        return {row[0] for row in reader.execute("SELECT digest FROM statement_told WHERE peer = ?", (peer,))}


def was_told(store: StateStore, peer: str, digests: list[bytes]) -> None:
    """Note durably that a node has answered statements."""
    with store.transaction() as writer:
        writer.executemany("INSERT OR IGNORE INTO statement_told VALUES (?, ?)", [(peer, item) for item in digests])


def tell_again(store: StateStore, peer: str) -> None:
    """Tell a node everything again: it was paired anew. Raises StateError."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM statement_told WHERE peer = ?", (peer,))
        writer.execute("DELETE FROM introduced WHERE node_id = ?", (peer,))


def keep_door(store: StateStore, door: Door) -> None:
    """Keep the door of an issuer; writes only where its key is another one."""
    if (door.issuer, door.key_pem) not in {(known.issuer, known.key_pem) for known in doors(store)}:
        with store.transaction() as writer:
            writer.execute("INSERT OR REPLACE INTO door VALUES (?, ?, ?)", door)


def doors(store: StateStore) -> list[Door]:
    """Return the doors that this node knows, its own among them."""
    with store.read() as reader:
        rows = reader.execute("SELECT issuer, certificate_pem, key_pem FROM door ORDER BY issuer").fetchall()
    return [Door(*row) for row in rows]
