"""Where this node stands as a receiver, and what the targets told this node as production."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from syncer.model import Cursor
from syncer.state import peers
from syncer.state.store import StateStore, storable


class Standing(NamedTuple):
    """How far a receiver has applied one domain, and under what."""

    cursor: Cursor
    source_node: str
    """node_id of the production node it came from."""
    pattern_hash: bytes
    rule_hash: bytes
    resumable: bool
    """False: the base cannot be trusted, only a full synchronization helps."""
    generation: int


class TargetRecord(NamedTuple):
    """Which paired node the [[failover]] table `name` is."""

    name: str
    node_id: str
    node_name: str


class TargetProgress(NamedTuple):
    """What a target last told about one domain; times in Unix seconds, for display only."""

    target: str
    domain: str
    cursor: Cursor | None
    last_success: float | None
    last_error: str
    last_full: float | None
    rule_hash: bytes = b""
    """Of the substitution rules under which it reached its cursor; b"": none."""


def read_standing(store: StateStore, domain: str) -> Standing | None:
    """Return where this node stands in `domain`, or None where nothing was applied yet."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT index_id, run, seq, source_node, pattern_hash, rule_hash, resumable, generation"
            " FROM standing WHERE domain = ?",
            (domain,),
        ).fetchone()
    return None if row is None else Standing(Cursor(*row[:3]), row[3], row[4], row[5], bool(row[6]), row[7])


def write_standing(writer: sqlite3.Connection, domain: str, standing: Standing) -> None:
    """Record where this node stands, within the transaction that applies it."""
    writer.execute(
        "INSERT OR REPLACE INTO standing (domain, index_id, run, seq, source_node, pattern_hash, rule_hash,"
        " resumable, generation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (domain, *standing.cursor, *standing[1:]),
    )


def read_target(store: StateStore, name: str) -> TargetRecord | None:
    """Return which paired node the target `name` is, or None where it was not joined yet."""
    with store.read() as reader:
        row = reader.execute("SELECT name, node_id, node_name FROM target WHERE name = ?", (name,)).fetchone()
    return None if row is None else TargetRecord(*row)


def record_target(store: StateStore, record: TargetRecord) -> None:
    """Record which node a target is; another node under the same name starts without progress."""
    with store.transaction() as writer:
        # Also what a stream of a target that was forgotten has recorded as it ended.
        writer.execute(
            "DELETE FROM target_progress WHERE target = ?1"
            " AND NOT EXISTS (SELECT 1 FROM target WHERE name = ?1 AND node_id = ?2)",
            (record.name, record.node_id),
        )
        writer.execute("INSERT OR REPLACE INTO target (name, node_id, node_name) VALUES (?, ?, ?)", record)


def tie_target(store: StateStore, name: str, node_id: str) -> bool:
    """Let the target of a peer's name be that peer, where no other pinned node is it; tells whether it is.

    A peer chooses its name itself: it must not take the place of another one.
    """
    with store.transaction():
        known = read_target(store, name)
        if known is not None and known.node_id != node_id and peers.peer_by_node_id(store, known.node_id) is not None:
            return False
        if known is None or known.node_id != node_id:
            record_target(store, TargetRecord(name, node_id, name))
    return True


def forget_target(store: StateStore, name: str) -> bool:
    """Delete a target and its progress, and the node's pin where no other target is that node.

    Returns whether a pin was deleted. Open connections of that node are not cut by this.
    """
    with store.transaction() as writer:
        writer.execute("DELETE FROM target_progress WHERE target = ?", (name,))
        writer.execute("DELETE FROM verification WHERE target = ?", (name,))
        writer.execute("DELETE FROM failure_suspension WHERE target = ?", (name,))
        record = read_target(store, name)
        writer.execute("DELETE FROM target WHERE name = ?", (name,))
        if record is None:
            return False
        others = writer.execute("SELECT 1 FROM target WHERE node_id = ?", (record.node_id,)).fetchone()
        return others is None and peers.remove_peer(store, record.node_id)


def record_progress(store: StateStore, progress: TargetProgress) -> None:
    """Record what a target told about one domain, replacing what it told before. One flush to disk."""
    cursor = progress.cursor or (None, None, None)
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO target_progress (target, domain, index_id, run, seq, last_success,"
            " last_error, last_full, rule_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                progress.target,
                progress.domain,
                *cursor,
                progress.last_success,
                storable(progress.last_error),
                progress.last_full,
                progress.rule_hash,
            ),
        )


def read_progress(store: StateStore, target: str) -> list[TargetProgress]:
    """Return what `target` last told, one item a domain, ordered by domain."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT domain, index_id, run, seq, last_success, last_error, last_full, rule_hash"
            " FROM target_progress WHERE target = ? ORDER BY domain",
            (target,),
        ).fetchall()
    return [TargetProgress(target, row[0], None if row[1] is None else Cursor(*row[1:4]), *row[4:]) for row in rows]
