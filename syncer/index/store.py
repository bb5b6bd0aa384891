"""index.db: where each domain stands, what is known of each path, and the groups that change it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from syncer.errors import IndexStoreError
from syncer.index.commit import Group
from syncer.index.names import OwnerNames
from syncer.index.opening import connect, explained, open_or_rebuild
from syncer.index.renderings import Renderings
from syncer.index.rows import DISK_COLUMNS, ENTRY_COLUMNS, children_of, known_of, signed
from syncer.index.runs import Runs
from syncer.index.snapshot import IndexSnapshot, SummaryCache
from syncer.model import Cursor, Head, Known, join, name_of, parent_of

IDLE_SNAPSHOTS = 4
"""Connections kept for the next snapshots: opening one costs more than a small transaction."""

_KEY = "domain_id = ? AND parent = ? AND name = ?"
# The columns are our own names, no input.
_CHILDREN = f"SELECT name, {ENTRY_COLUMNS}, {DISK_COLUMNS} FROM entry"  # noqa: S608
_CHILDREN += " WHERE domain_id = ? AND parent = ? AND state = 0 AND name > x''"
_ONE = f"SELECT {ENTRY_COLUMNS}, {DISK_COLUMNS} FROM entry WHERE {_KEY} AND state = 0"  # noqa: S608


class IndexStore:
    """The index of all domains of a production node; usable from any thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, index_id: str, *, was_rebuilt: bool) -> None:
        self.path = path
        self.index_id = index_id
        self.was_rebuilt = was_rebuilt
        self._connection = connection
        self._lock = threading.RLock()
        self._runs: dict[str, Runs] = {}
        self._idle: list[sqlite3.Connection] = []
        self._summaries = SummaryCache()
        self._names: dict[str, tuple[int, OwnerNames]] = {}
        self._closed = False
        self.renderings = Renderings(self._rows, self._writing_any)
        """What substitution makes of the contents."""

    @classmethod
    def open(cls, path: Path) -> IndexStore:
        """Open or create the index at `path`; a damaged file is set aside and a new one made.

        Raises IndexStoreError where the disk does not allow it.
        """
        connection, index_id, was_rebuilt = open_or_rebuild(path)
        return cls(path, connection, index_id, was_rebuilt=was_rebuilt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; snapshots that are still open end with their own close."""
        with self._lock:
            self._closed = True
            for connection in (*self._idle, self._connection):
                connection.close()
            self._idle.clear()

    def head(self, domain: str) -> Head:
        """Return where a domain stands; the first call for it starts its run."""
        runs = self._runs.get(domain) or self._start_run(domain)
        return Head(self.index_id, runs.current, runs.seq)

    def count(self, domain: str) -> int:
        """Return how many paths are known, the root among them."""
        return (self._runs.get(domain) or self._start_run(domain)).entries

    def is_empty(self, domain: str) -> bool:
        """Tell whether nothing below the root is known."""
        return self.count(domain) <= 1

    def is_resumable(self, domain: str, cursor: Cursor) -> bool:
        """Tell whether everything that changed since `cursor` is still known here."""
        runs = self._runs.get(domain) or self._start_run(domain)
        return cursor.index_id == self.index_id and runs.holds(cursor)

    def children(self, domain: str, directory: bytes) -> dict[bytes, Known]:
        """Return what is known directly in `directory`, by name; the root is nobody's child."""
        rows = self._rows(_CHILDREN, (self._id(domain), directory))
        return children_of(directory, rows)

    def get(self, domain: str, path: bytes) -> Known | None:
        """Return what is known of one path, or None."""
        rows = self._rows(_ONE, (self._id(domain), parent_of(path), name_of(path)))
        return known_of(path, rows[0]) if rows else None

    def seq_of(self, domain: str, path: bytes) -> int | None:
        """Return the seq of the latest change of a path, its deletion among them, or None."""
        rows = self._rows(
            f"SELECT seq FROM entry WHERE {_KEY} AND state < 2",  # noqa: S608  # a constant of this file
            (self._id(domain), parent_of(path), name_of(path)),
        )
        return int(rows[0][0]) if rows else None

    def paths_of_inode(self, domain: str, device: int, inode: int) -> list[bytes]:
        """Return every file that is known under this inode: one, or the names of hard links."""
        rows = self._rows(
            "SELECT parent, name FROM entry INDEXED BY entry_by_inode"
            " WHERE domain_id = ? AND inode = ? AND device = ? AND kind = 1 AND state = 0",
            (self._id(domain), signed(inode), signed(device)),
        )
        return [join(parent, name) for parent, name in rows]

    def unknowns(self, domain: str, limit: int) -> list[tuple[bytes, str]]:
        """Return up to `limit` paths that could not be captured, wholly or in part, with the reason."""
        rows = self._rows(
            "SELECT parent, name, note FROM entry INDEXED BY entry_noted"
            " WHERE domain_id = ? AND note <> '' AND state = 0 ORDER BY parent, name LIMIT ?",
            (self._id(domain), limit),
        )
        return [(join(parent, name), note) for parent, name, note in rows]

    def owner_names(self, domain: str) -> OwnerNames:
        """Return the names of users and groups that own anything; reads the domain only where it has changed."""
        seq = self.head(domain).seq
        remembered = self._names.get(domain)
        if remembered is None or remembered[0] != seq:
            with self.snapshot(domain) as snapshot:
                remembered = self._names[domain] = (snapshot.head.seq, snapshot.owner_names())
        return remembered[1]

    def commit_group(
        self,
        domain: str,
        upserts: Sequence[Known],
        deletions: Sequence[bytes],
        forgotten: Sequence[bytes] = (),
        *,
        torn: bool,
        resend: Collection[bytes] = (),
    ) -> Head:
        """Record one settled group in one transaction and return the head after it.

        Each upsert whose entry differs from the known one gets the next seq; where only the disk identity or
        racy differs the row is refreshed without one, unless it is in `resend`. Each deletion of a live
        path gets a seq and leaves a tombstone with its content's digest; it deletes nothing below by itself.
        Forgotten rows vanish without a seq. Live rows below an UNKNOWN upsert are hidden: they come back when
        it can be read again, or become tombstones where they are gone by then. Raises IndexStoreError.
        """
        with self._writing(domain) as runs:
            group = Group(self._connection, runs.domain_id, runs.seq, time.time(), is_empty=runs.seq == 0)
            group.write(upserts, deletions, forgotten, resend)
            changed = bool(group.changed)
            if changed or torn != runs.torn:
                self._connection.execute(
                    "UPDATE domain SET seq = ?, entries = entries + ?, torn = ?, revision = revision + ? WHERE id = ?",
                    (group.seq, group.added, int(torn), int(changed), runs.domain_id),
                )
        # RACE: published after the commit, so that a snapshot opened for this head holds at least all of it.
        with self._lock:
            runs.advance(group.seq, runs.entries + group.added, torn=torn)
        return Head(self.index_id, runs.current, group.seq)

    def prune_tombstones(self, domain: str, keep: int) -> None:
        """Delete all but the newest `keep` tombstones and raise the floor to the newest deleted one."""
        with self._writing(domain) as runs:
            row = self._connection.execute(
                "SELECT seq FROM entry WHERE domain_id = ? AND state = 1 ORDER BY seq DESC LIMIT 1 OFFSET ?",
                (runs.domain_id, keep),
            ).fetchone()
            if row is None:
                return
            self._connection.execute("UPDATE domain SET floor = ? WHERE id = ?", (row[0], runs.domain_id))
            self._connection.execute(
                "DELETE FROM entry WHERE domain_id = ? AND state = 1 AND seq <= ?", (runs.domain_id, row[0])
            )
            # RACE: raised in memory before the commit: no cursor may be promised what then is gone.
            runs.floor = row[0]

    def snapshot(self, domain: str) -> IndexSnapshot:
        """Return one state of the domain, unaffected by later commits; a context manager, or close() it.

        Any one thread at a time may use it. Raises IndexStoreError.
        """
        head = self.head(domain)
        with explained(self.path):
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = connect(self.path)
                connection.execute("PRAGMA query_only = ON")
            return IndexSnapshot(connection, self.path, self._id(domain), head, self._summaries, self._take_back)

    def _take_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < IDLE_SNAPSHOTS:
                self._idle.append(connection)
                return
        connection.close()

    def _id(self, domain: str) -> int:
        return (self._runs.get(domain) or self._start_run(domain)).domain_id

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock, explained(self.path):
            self._require_open()
            return self._connection.execute(query, values).fetchall()

    def _start_run(self, domain: str) -> Runs:
        with self._lock:
            if domain not in self._runs:
                with self._transaction():
                    self._runs[domain] = Runs.start(self._connection, domain, uuid.uuid4().hex)
            return self._runs[domain]

    @contextlib.contextmanager
    def _writing(self, domain: str) -> Iterator[Runs]:
        runs = self._runs.get(domain) or self._start_run(domain)
        with self._lock, self._transaction():
            yield runs

    @contextlib.contextmanager
    def _writing_any(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._transaction():
            yield self._connection

    def _require_open(self) -> None:
        if self._closed:
            # RACE: whoever looks at production may still look when it has ended.
            raise IndexStoreError(f"{self.path}: is closed; this node captures nothing at the moment")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run the body as one transaction; an error rolls all of it back."""
        self._require_open()
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
