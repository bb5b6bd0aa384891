"""The runs of one domain: which cursors this index can resume from."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from syncer.model import Cursor

RUNS_KEPT = 1000
"""Openings that are remembered; a target that slept through more gets a full synchronization."""


class Runs:
    """Where one domain stands, in memory, so that asking costs no query.

    A run that has ended ends right before the first seq of the next one: seqs it gave beyond that (lost in
    a power failure, or given by another copy of the file) are not those that this file holds.
    """

    def __init__(self, domain_id: int, *, seq: int, floor: int, entries: int, torn: bool) -> None:
        self.domain_id = domain_id
        self.seq = seq
        self.floor = floor
        self.entries = entries
        self.torn = torn
        self.current = ""
        self._ended: dict[str, tuple[int, int]] = {}
        self._first = seq + 1

    @classmethod
    def start(cls, connection: sqlite3.Connection, domain: str, run: str) -> Runs:
        """Read the runs so far and record a new one, within the caller's transaction."""
        connection.execute("INSERT OR IGNORE INTO domain (name) VALUES (?)", (domain,))
        domain_id, seq, floor, entries, torn = connection.execute(
            "SELECT id, seq, floor, entries, torn FROM domain WHERE name = ?", (domain,)
        ).fetchone()
        runs = cls(domain_id, seq=seq, floor=floor, entries=entries, torn=bool(torn))
        connection.execute("INSERT INTO run (domain_id, run, first_seq) VALUES (?, ?, ?)", (domain_id, run, seq + 1))
        connection.execute(
            "DELETE FROM run WHERE domain_id = ?1 AND id NOT IN"
            " (SELECT id FROM run WHERE domain_id = ?1 ORDER BY id DESC LIMIT ?2)",
            (domain_id, RUNS_KEPT),
        )
        begun = connection.execute(
            "SELECT run, first_seq FROM run WHERE domain_id = ? ORDER BY id", (domain_id,)
        ).fetchall()
        for (name, first), (_, next_first) in pairwise(begun):
            runs._ended[name] = (first, next_first - 1)
        runs.current = run
        return runs

    def holds(self, cursor: Cursor) -> bool:
        """Tell whether the changes after `cursor` (of this index) are all known."""
        if cursor.run == self.current:
            first, last = self._first, self.seq
        elif cursor.run in self._ended:
            first, last = self._ended[cursor.run]
        else:
            return False
        # Before its first change, a run stands where the one before it ended.
        return first - 1 <= cursor.seq <= last and cursor.seq >= self.floor

    def advance(self, seq: int, entries: int, *, torn: bool) -> None:
        """Take over what a commit brought."""
        self.entries = entries
        self.torn = torn
        self.seq = seq
