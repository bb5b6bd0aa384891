"""Writes one settled group into index.db, within the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from syncer.index.diff import differences
from syncer.index.rows import DISK_COLUMNS, ENTRY_COLUMNS, HIDDEN, LIVE, TOMBSTONE, disk_values, known_of
from syncer.model import Kind, Known, is_beneath, join, name_of, parent_of

_KEY = "domain_id = ? AND parent = ? AND name = ?"
# The columns are our own names, no input.
_BEFORE = f"SELECT {ENTRY_COLUMNS}, {DISK_COLUMNS}, digest_seq, born, died, seq, state FROM entry WHERE {_KEY}"  # noqa: S608
_UPSERT = (
    "INSERT OR REPLACE INTO entry (domain_id, parent, name, state, seq, digest_seq, born, died, captured,"  # noqa: S608
    f" {ENTRY_COLUMNS}, {DISK_COLUMNS}) VALUES ({', '.join('?' * 28)})"
)
_REFRESH = f"UPDATE entry SET ({DISK_COLUMNS}) = (?, ?, ?, ?, ?, ?) WHERE {_KEY}"  # noqa: S608
_BURY = f"UPDATE entry SET state = {TOMBSTONE}, seq = ?, captured = ? WHERE {_KEY}"  # noqa: S608
_FORGET = f"DELETE FROM entry WHERE {_KEY}"  # noqa: S608
# Two conditions, not one: `parent = p` and the range below it are both found in the primary key.
_BELOW = ("parent = ?", "parent > ? AND parent < ?")


class Group:
    """One group being written; `seq` is the last one given, `added` what became live less what ceased."""

    def __init__(self, connection: sqlite3.Connection, domain_id: int, seq: int, now: float, *, is_empty: bool) -> None:
        self.seq = seq
        self.added = 0
        self.changed = 0
        self._connection = connection
        self._domain_id = domain_id
        self._now = now
        # Nothing was ever given a seq: there is no row to compare with.
        self._is_empty = is_empty
        self._known: dict[bytes, Known] = {}
        self._digest_seqs: dict[bytes, int] = {}
        self._lives: dict[bytes, tuple[int, int]] = {}

    def write(
        self,
        upserts: Sequence[Known],
        deletions: Sequence[bytes],
        forgotten: Sequence[bytes],
        resend: Collection[bytes],
    ) -> None:
        """Write all of the group; see IndexStore.commit_group for what each part means."""
        scanned = {known.entry.path: known for known in upserts}
        if not self._is_empty:
            self._look_up([*scanned, *deletions])
        found = differences(self._known, scanned, resend)
        self._upsert([scanned[path] for path in found.upserts])
        self._refresh([scanned[path] for path in found.refreshed])
        self._bury(found.deletions)
        self._forget(forgotten)
        # What was upserted below a directory that in the end cannot be read is hidden with the rest.
        for path in found.upserts:
            if scanned[path].entry.kind is Kind.UNKNOWN:
                self._hide_below(path)
        was_unknown = [path for path in (*found.upserts, *found.deletions) if self._was_unknown(path)]
        self._reveal(was_unknown, scanned)

    def _look_up(self, paths: Iterable[bytes]) -> None:
        execute = self._connection.execute
        for path in paths:
            row = execute(_BEFORE, self._key(path)).fetchone()
            if row is None:
                continue
            digest_seq, born, died, seq, state = row[-5:]
            # What comes back over a tombstone begins another life; what was only hidden goes on with its own.
            self._lives[path] = (0, seq) if state == TOMBSTONE else (born, died)
            if state == LIVE:
                self._known[path] = known_of(path, row)
                self._digest_seqs[path] = digest_seq

    def _upsert(self, rows: list[Known]) -> None:
        self.added += sum(known.entry.path not in self._known for known in rows)
        self.changed += len(rows)
        self._connection.executemany(_UPSERT, map(self._values, rows))

    def _values(self, known: Known) -> tuple[Any, ...]:
        self.seq += 1
        path, kind, *entry, _ = known.entry
        before = self._known.get(path)
        same = before is not None and before.entry.digest == known.entry.digest
        digest_seq = self._digest_seqs[path] if same else self.seq
        birth, died = self._lives.get(path, (0, 0))
        born = birth or self.seq
        parent, _, name = path.rpartition(b"/")
        return (
            self._domain_id, parent, name, LIVE, self.seq, digest_seq, born, died, self._now, int(kind), *entry,
            *disk_values(known),
        )  # fmt: skip  # in the order of the statement

    def _refresh(self, rows: list[Known]) -> None:
        self._connection.executemany(_REFRESH, ((*disk_values(known), *self._key(known.entry.path)) for known in rows))

    def _bury(self, paths: list[bytes]) -> None:
        self.added -= len(paths)
        self.changed += len(paths)
        self._connection.executemany(_BURY, self._burials(paths))

    def _burials(self, paths: Iterable[bytes]) -> Iterator[tuple[Any, ...]]:
        for path in paths:
            self.seq += 1
            yield (self.seq, self._now, *self._key(path))

    def _forget(self, paths: Iterable[bytes]) -> None:
        for path in paths:
            row = self._connection.execute(_BEFORE, self._key(path)).fetchone()
            if row is None or row[-1] != LIVE:
                continue
            self._connection.execute(_FORGET, self._key(path))
            self.added -= 1
            self.changed += 1
            if known_of(path, row).entry.kind is Kind.UNKNOWN:
                for condition, values in _below(path):
                    query = f"DELETE FROM entry WHERE domain_id = ? AND state = {HIDDEN} AND {condition}"  # noqa: S608
                    self._connection.execute(query, (self._domain_id, *values))

    def _hide_below(self, path: bytes) -> None:
        for condition, values in _below(path):
            query = f"UPDATE entry SET state = {HIDDEN} WHERE domain_id = ? AND state = {LIVE} AND {condition}"  # noqa: S608
            hidden = self._connection.execute(query, (self._domain_id, *values)).rowcount
            self.added -= hidden
            self.changed += hidden

    def _was_unknown(self, path: bytes) -> bool:
        before = self._known.get(path)
        return before is not None and before.entry.kind is Kind.UNKNOWN

    def _reveal(self, paths: list[bytes], scanned: dict[bytes, Known]) -> None:
        """Bury what was hidden below paths that can be read again and was not found there any more."""
        for path in paths:
            now = scanned.get(path)
            if now is not None and now.entry.kind is Kind.UNKNOWN:
                continue
            gone: list[bytes] = []
            for condition, values in _below(path):
                query = f"SELECT parent, name FROM entry WHERE domain_id = ? AND state = {HIDDEN} AND {condition}"  # noqa: S608
                rows = self._connection.execute(query, (self._domain_id, *values)).fetchall()
                gone.extend(join(parent, name) for parent, name in rows)
            unknown = [old for old, known in scanned.items() if known.entry.kind is Kind.UNKNOWN]
            gone = [old for old in gone if not any(is_beneath(old, other) for other in unknown)]
            self.changed += len(gone)
            self._connection.executemany(_BURY, self._burials(gone))

    def _key(self, path: bytes) -> tuple[int, bytes, bytes]:
        return self._domain_id, parent_of(path), name_of(path)


def _below(path: bytes) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield the conditions that together find every row below `path`; b"0" follows b"/"."""
    yield _BELOW[0], (path,)
    yield _BELOW[1], (path + b"/", path + b"0")
