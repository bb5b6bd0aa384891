"""The rules that production renders with, kept on failover so that what it sent can come home without it."""

from __future__ import annotations

import sqlite3

from syncer.state.store import StateStore

SETS_KEPT = 64
"""Rule sets above which those are forgotten that nothing here was rendered by."""
# The hash in an origin begins at its second byte, see syncer/origin.py.
_PRUNE = """
    DELETE FROM rule_set
    WHERE hash NOT IN (SELECT hash FROM peer_rules)
    AND hash NOT IN (SELECT rule_hash FROM standing)
    AND hash NOT IN (SELECT substr(origin, 2, 32) FROM base WHERE origin <> x'')
    AND hash NOT IN (SELECT substr(origin, 2, 32) FROM intent_step WHERE origin <> x'')
    AND hash NOT IN (SELECT substr(origin, 2, 32) FROM displaced WHERE origin <> x'')
"""


def record_rules(store: StateStore, node_id: str, domain: str, digest: bytes, rules: bytes) -> None:
    """Note durably which rules a peer renders a domain with ("": all its domains); b"" and b"": none.

    Writes only where they are others than before. Raises StateError.
    """
    if rules_of(store, node_id, domain) == (digest, rules):
        return
    with store.transaction() as writer:
        if digest:
            writer.execute("INSERT OR IGNORE INTO rule_set (hash, rules) VALUES (?, ?)", (digest, rules))
        writer.execute("INSERT OR REPLACE INTO peer_rules (node_id, domain, hash) VALUES (?, ?, ?)",
                       (node_id, domain, digest))  # fmt: skip  # one statement
        _prune(writer)


def rules_of(store: StateStore, node_id: str, domain: str) -> tuple[bytes, bytes] | None:
    """Return hash and encoded rules that a peer named last for a domain; None where it never did."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT peer_rules.hash, coalesce(rules, x'') FROM peer_rules LEFT JOIN rule_set USING (hash)"
            " WHERE node_id = ? AND domain = ?",
            (node_id, domain),
        ).fetchone()
    return None if row is None else (row[0], row[1])


def rule_set(store: StateStore, digest: bytes) -> bytes | None:
    """Return the encoded rules with this hash, or None where they are not known here."""
    with store.read() as reader:
        row = reader.execute("SELECT rules FROM rule_set WHERE hash = ?", (digest,)).fetchone()
    return None if row is None else row[0]


def _prune(writer: sqlite3.Connection) -> None:
    """A peer that names other rules again and again must not fill the disk; what stands here keeps its rules."""
    if writer.execute("SELECT count(*) FROM rule_set").fetchone()[0] > SETS_KEPT:
        writer.execute(_PRUNE)
