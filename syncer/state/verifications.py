"""When every byte of a domain was last read again on both sides, and what differed; for each target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from syncer.state.store import StateStore

FINDINGS_KEPT = 100
"""Findings remembered for each target and domain; the total is remembered, too."""


class Finding(NamedTuple):
    """One path whose bytes or metadata are not as they were last recorded, and on which node."""

    path: bytes
    side: str
    """production | failover."""
    what: str
    """created | edited | deleted | replaced | metadata | unreadable."""


class Verification(NamedTuple):
    """What is known of the verifications of one target and domain; times in Unix seconds."""

    counted_from: float
    """When waiting for the first one began."""
    finished: float | None
    findings: tuple[Finding, ...] = ()
    total: int = 0


def read_verification(store: StateStore, target: str, domain: str) -> Verification | None:
    """Return what is known, or None where nobody has begun to count yet."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT counted_from, finished, findings, total FROM verification WHERE target = ? AND domain = ?",
            (target, domain),
        ).fetchone()
    if row is None:
        return None
    findings = tuple(Finding(bytes.fromhex(path), side, what) for path, side, what in json.loads(row[2]))
    return Verification(row[0], row[1], findings, row[3])


def begin_counting(store: StateStore, target: str, domain: str, now: float) -> None:
    """Remember since when the first verification is waited for, unless that is remembered."""
    with store.transaction() as writer:
        writer.execute("INSERT OR IGNORE INTO verification VALUES (?, ?, ?, NULL, '[]', 0)", (target, domain, now))


def record_verification(store: StateStore, target: str, domain: str, now: float, findings: Sequence[Finding]) -> None:
    """Record a verification that ended at `now` (Unix seconds) and what it found."""
    kept = json.dumps([(item.path.hex(), item.side, item.what) for item in findings[:FINDINGS_KEPT]])
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO verification VALUES (?, ?, ?, ?, ?, ?)",
            (target, domain, now, now, kept, len(findings)),
        )
