"""One state of one domain's index, for as long as a transaction takes to send it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from syncer.index.names import OwnerNames, owner_names
from syncer.index.opening import explained
from syncer.index.rows import DIGEST, DISK_COLUMNS, ENTRY_COLUMNS, FIRST_OF_DISK, LIVE, entry_of, identity_of, known_of
from syncer.model import Change, DiskIdentity, Entry, Head, Known, join, name_of, parent_of
from syncer.summary import summarize

# The columns are our own names, no input.
_ENTRIES = f"SELECT parent, name, {ENTRY_COLUMNS} FROM entry WHERE domain_id = ? AND state = 0"  # noqa: S608
_ENTRIES += " ORDER BY parent, name"
_KNOWN = f"SELECT parent, name, {ENTRY_COLUMNS}, {DISK_COLUMNS} FROM entry WHERE domain_id = ? AND state = 0"  # noqa: S608
_CHANGES = f"SELECT seq, state, parent, name, {ENTRY_COLUMNS} FROM entry"  # noqa: S608
_CHANGES += " {index} WHERE domain_id = ? AND {seq} > ? AND state < 2 ORDER BY parent, name"


# Without statistics SQLite prefers the primary key, which here means reading the whole domain.
_SINCE = "FROM entry INDEXED BY entry_by_seq WHERE domain_id = ? AND seq > ?"


_TOMBSTONES = "FROM entry INDEXED BY entry_tombstone WHERE domain_id = ?1 AND state = 1 AND seq > ?2"
_ARRIVALS = "FROM entry INDEXED BY entry_by_seq WHERE domain_id = ?1 AND seq > ?2 AND state = 0"
_ARRIVALS += " AND NOT (born <= ?2 OR died > ?2)"
# Where a life before the last one ended after it, that one is taken to have begun before.
_WAS_THERE = "(born <= ?2 OR died > ?2)"


SUMMARIES_KEPT = 256
"""A node with more domains and rule sets than this makes some anew."""


class Deletion(NamedTuple):
    """A path that was deleted with `seq`; `was_there`: not only since the seq that was asked for."""

    seq: int
    was_there: bool
    entry: Entry


class IndexRow:
    """One path of the index, of which what is asked for is made then."""

    __slots__ = ("_columns", "path")

    def __init__(self, path: bytes, columns: list[Any]) -> None:
        self.path = path
        self._columns = columns

    def known(self) -> Known:
        """Return all that the index says of it."""
        return known_of(self.path, tuple(self._columns))

    def is_at(self, digest: bytes, identity: DiskIdentity) -> bool:
        """Tell whether it has this content, and nobody has touched it since the disk said so."""
        columns = self._columns
        return columns[DIGEST] == digest and identity_of(columns[FIRST_OF_DISK:-1]) == identity


class SummaryCache:
    """Remembers the latest summary of each domain: it costs a walk through all of its rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[int, bytes], tuple[int, bytes]] = {}

    def get(self, domain_id: int, rules: bytes, revision: int, make: Callable[[], bytes]) -> bytes:
        """Return the summary of this revision under these rules, made anew only where another one is remembered."""
        key = domain_id, rules
        with self._lock:
            found = self._known.get(key)
        if found is not None and found[0] == revision:
            return found[1]
        summary = make()
        with self._lock:
            if len(self._known) >= SUMMARIES_KEPT:
                self._known.clear()
            self._known[key] = (revision, summary)
        return summary


class IndexSnapshot:
    """An open read transaction; later commits do not show in it. Any one thread at a time may use it."""

    head: Head
    torn: bool

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        domain_id: int,
        head: Head,
        summaries: SummaryCache,
        give_back: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        self._domain_id = domain_id
        self._summaries = summaries
        self._give_back = give_back
        connection.execute("BEGIN")
        seq, self._entries, torn, self._revision = connection.execute(
            "SELECT seq, entries, torn, revision FROM domain WHERE id = ?", (domain_id,)
        ).fetchone()
        self.head = head._replace(seq=seq)
        self.torn = bool(torn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the read transaction; a second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with explained(self._path):
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def entries(self) -> Iterator[Entry]:
        """Yield all that is live, ordered by (parent, name), the root first."""
        for parent, name, *columns in self._query(_ENTRIES, ()):
            yield entry_of(join(parent, name), columns)

    def rows(self) -> Iterator[IndexRow]:
        """Yield all that is live with its disk identity, ordered as `entries`; what is made of it is the caller's."""
        # The hottest loop of a walk that compares: most rows are equal to others, and never become entries.
        for parent, name, *columns in self._query(f"{_KNOWN} ORDER BY parent, name", ()):
            yield IndexRow(parent + b"/" + name if parent else name, columns)

    def known_at(self, path: bytes) -> Known | None:
        """Return what is live at one path, or None."""
        query = f"{_KNOWN} AND parent = ? AND name = ?"
        rows = self._query(query, (parent_of(path), name_of(path)))
        return next((known_of(path, tuple(row[2:])) for row in rows), None)

    def changes_since(self, seq: int) -> Iterator[Change]:
        """Yield what changed after `seq`, tombstones among it, ordered by (parent, name)."""
        # Where most rows changed, walking them in their order is cheaper than sorting them.
        by_order = self.count_since(seq) * 2 > self._entries
        query = _CHANGES.format(index="" if by_order else "INDEXED BY entry_by_seq", seq="+seq" if by_order else "seq")
        for number, state, parent, name, *columns in self._query(query, (seq,)):
            path = join(parent, name)
            yield Change(number, path, entry_of(path, columns) if state == LIVE else None)

    def has_deletions_since(self, seq: int) -> bool:
        """Tell whether anything was deleted after `seq`; one step in an index that holds tombstones only."""
        return bool(self._one(f"SELECT EXISTS (SELECT 1 {_TOMBSTONES})", (seq,)))

    def deletions_since(self, seq: int) -> Iterator[Deletion]:
        """Yield what was deleted after `seq`, as it was last known."""
        query = f"SELECT seq, {_WAS_THERE}, parent, name, {ENTRY_COLUMNS} {_TOMBSTONES}"  # constants
        for number, was_there, parent, name, *columns in self._query(query, (seq,)):
            yield Deletion(number, bool(was_there), entry_of(join(parent, name), columns))

    def arrivals_since(self, seq: int) -> Iterator[Entry]:
        """Yield the live paths that were not there at `seq`."""
        query = f"SELECT parent, name, {ENTRY_COLUMNS} {_ARRIVALS}"  # constants of this file
        for parent, name, *columns in self._query(query, (seq,)):
            yield entry_of(join(parent, name), columns)

    def count_since(self, seq: int) -> int:
        """Return how many changes `changes_since` yields."""
        return int(self._one(f"SELECT count(*) {_SINCE} AND state < 2", (seq,)))

    def bytes_since(self, seq: int) -> int:
        """Return how many bytes the files hold that changed after `seq`."""
        return int(self._one(f"SELECT coalesce(sum(size), 0) {_SINCE} AND state = 0", (seq,)))

    def oldest_since(self, seq: int) -> float | None:
        """Return when the oldest of the changes after `seq` was captured, in unix seconds."""
        found = self._one(f"SELECT min(captured) {_SINCE} AND state < 2", (seq,))
        return None if found is None else float(found)

    def count(self) -> int:
        """Return how many paths are live, the root among them."""
        return int(self._entries)

    def content_of(self, path: bytes) -> tuple[bytes, int]:
        """Return digest and bytes of a live file; (b"", 0) where there is none."""
        query = "SELECT digest, size FROM entry WHERE domain_id = ? AND parent = ? AND name = ? AND state = 0"
        return next(((row[0], row[1]) for row in self._query(query, (parent_of(path), name_of(path)))), (b"", 0))

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return the live files that hold this content."""
        # Without statistics SQLite prefers the primary key, which here means reading the whole domain; the
        # condition on x'' is what lets it use the partial index.
        query = (
            "SELECT parent, name FROM entry INDEXED BY entry_by_digest"
            " WHERE domain_id = ? AND digest = ? AND digest <> x'' AND state = 0 ORDER BY parent, name"
        )
        return [join(parent, name) for parent, name in self._query(query, (digest,))]

    def holds_digest(self, digest: bytes, up_to_seq: int) -> bool:
        """Tell whether a target at `up_to_seq` has this content somewhere in its tree.

        It has where the content came to a path up to then and is still there, or was deleted only later.
        """
        found = self._one(
            "SELECT EXISTS (SELECT 1 FROM entry INDEXED BY entry_by_digest"
            " WHERE domain_id = ?1 AND digest = ?2 AND digest <> x''"
            " AND digest_seq <= ?3 AND (state = 0 OR state = 1 AND seq > ?3))",
            (digest, up_to_seq),
        )
        return bool(found)

    def owner_names(self) -> OwnerNames:
        """Return the names of users and groups that own anything; reads all rows."""
        owners = self._query("SELECT DISTINCT owner, group_name FROM entry WHERE domain_id = ? AND state = 0", ())
        attributes = self._query(
            "SELECT DISTINCT attributes FROM entry WHERE domain_id = ? AND state = 0 AND attributes <> x''", ()
        )
        return owner_names(owners, (row[0] for row in attributes))

    def summary(self, rules: bytes = b"", entries: Callable[[], Iterable[Entry]] | None = None) -> bytes:
        """Return the digest over all live entries (see syncer/summary.py); cached until something changes.

        `entries` are these as another rule set, named by its hash, renders them.
        """
        return self._summaries.get(
            self._domain_id, rules, self._revision, lambda: summarize((entries or self.entries)())
        )

    def _query(self, query: str, values: tuple[object, ...]) -> Iterator[Any]:
        assert self._connection is not None, "the snapshot is closed"
        with (
            explained(self._path),
            closing(self._connection.execute(query, (self._domain_id, *values))) as rows,
        ):
            yield from rows

    def _one(self, query: str, values: tuple[object, ...]) -> Any:  # noqa: ANN401  # what SQLite holds
        return next(iter(self._query(query, values)))[0]
