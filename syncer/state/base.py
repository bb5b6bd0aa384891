"""The base: what a receiver last applied, one row a path, committed together with its cursor."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from syncer.model import DiskIdentity, Entry, Kind, Known, Problem, join, name_of, parent_of
from syncer.origin import BARE_SIZE
from syncer.state.cursors import Standing, write_standing
from syncer.state.store import StateStore, signed, storable, unsigned

PAGE_ROWS = 1000
"""Rows read at a time by `Base.rows`; between two pages other threads may commit."""

APPROVALS_KEPT = 8
"""Newest offered plans remembered for each domain: a plan that changes at each attempt must not pile up."""

_KINDS = {int(kind): kind for kind in Kind}
_new = tuple.__new__

_KNOWN_COLUMNS = (
    "parent, name, kind, mode, uid, gid, owner, group_name, mtime_ns, size, digest, link_target, note,"
    " attributes, link, origin, disk_size, disk_mtime_ns, disk_ctime_ns, inode, device"
)
# The columns are our own names, no input.
_UPSERT = (
    f"INSERT OR REPLACE INTO base (domain, {_KNOWN_COLUMNS}, transaction_id)"  # noqa: S608
    f" VALUES ({', '.join('?' * 23)})"
)
_CHILDREN = f"SELECT {_KNOWN_COLUMNS} FROM base WHERE domain = ? AND parent = ? AND name > x''"  # noqa: S608
_ONE = f"SELECT {_KNOWN_COLUMNS} FROM base WHERE domain = ? AND parent = ? AND name = ?"  # noqa: S608
_BY_LINK = f"SELECT {_KNOWN_COLUMNS} FROM base INDEXED BY base_by_link"  # noqa: S608
_BY_LINK += " WHERE domain = ? AND link = ? AND link <> 0"
_PAGE = (
    f"SELECT {_KNOWN_COLUMNS} FROM base WHERE domain = ? AND (parent, name) > (?, ?)"  # noqa: S608
    f" ORDER BY parent, name LIMIT {PAGE_ROWS}"
)


class BaseRow(NamedTuple):
    """A path as it was applied."""

    entry: Entry
    identity: DiskIdentity
    """What the receiver's disk said right after the apply."""
    transaction: int = 0


class Base:
    """What was last applied, for all domains of this node."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def children(self, domain: str, directory: bytes) -> dict[bytes, Known]:
        """Return what is known directly in `directory`, by name; the root is nobody's child."""
        with self._store.read() as reader:
            rows = reader.execute(_CHILDREN, (domain, directory)).fetchall()
        return {row[1]: _known(row) for row in rows}

    def get(self, domain: str, path: bytes) -> Known | None:
        """Return what is known of one path, or None."""
        with self._store.read() as reader:
            row = reader.execute(_ONE, (domain, parent_of(path), name_of(path))).fetchone()
        return None if row is None else _known(row)

    def rows(self, domain: str) -> Iterator[Known]:
        """Yield all of a domain, ordered by (parent, name), the root first.

        Read in pages: a commit meanwhile may show in the later ones.
        """
        root = self.get(domain, b"")
        if root is not None:
            yield root
        last = (b"", b"")
        while True:
            with self._store.read() as reader:
                page = reader.execute(_PAGE, (domain, *last)).fetchall()
            for row in page:
                yield _known(row)
            if len(page) < PAGE_ROWS:
                return
            last = page[-1][:2]

    def paths_with_digest(self, domain: str, digest: bytes) -> list[bytes]:
        """Return the files whose content, as applied, has this digest; their bytes may have been edited since."""
        with self._store.read() as reader:
            # The condition on x'' lets SQLite use the partial index.
            rows = reader.execute(
                "SELECT parent, name FROM base WHERE domain = ? AND digest = ? AND digest <> x''",
                (domain, digest),
            ).fetchall()
        return [join(parent, name) for parent, name in rows]

    def paths_with_source(self, domain: str, digest: bytes) -> list[bytes]:
        """Return the files that were rendered from a content of production with this digest."""
        with self._store.read() as reader:
            # As the index on it: where the digest stands in an origin, see syncer/origin.py.
            rows = reader.execute(
                "SELECT parent, name FROM base INDEXED BY base_by_source"
                " WHERE domain = ? AND substr(origin, 34, 32) = ? AND origin <> x''",
                (domain, digest),
            ).fetchall()
        return [join(parent, name) for parent, name in rows]

    def names_of_link(self, domain: str, link: int) -> list[Known]:
        """Return every row with this link number (not 0): names of one file on production."""
        with self._store.read() as reader:
            rows = reader.execute(_BY_LINK, (domain, link)).fetchall()
        return [_known(row) for row in rows]

    def mark(self, domain: str) -> bytes:
        """Return bytes that differ where another state of the domain was applied."""
        with self._store.read() as reader:
            row = reader.execute(
                "SELECT index_id, run, seq, generation FROM standing WHERE domain = ?", (domain,)
            ).fetchone()
        return repr(row).encode()

    def has_undo(self, domain: str) -> bool:
        """Tell whether some file was rendered from what its text and the rules alone do not tell."""
        with self._store.read() as reader:
            query = "SELECT 1 FROM base WHERE domain = ? AND length(origin) > ? LIMIT 1"
            return reader.execute(query, (domain, BARE_SIZE)).fetchone() is not None

    def count(self, domain: str) -> int:
        """Return how many paths are known, the root among them."""
        with self._store.read() as reader:
            found: int = reader.execute("SELECT count(*) FROM base WHERE domain = ?", (domain,)).fetchone()[0]
        return found

    def commit(
        self,
        domain: str,
        upserts: Iterable[BaseRow],
        deletions: Iterable[bytes],
        standing: Standing,
        problems: Sequence[Problem] | None,
    ) -> None:
        """Record an applied transaction: rows, cursor and problems in one durable commit.

        A deletion deletes its own path only, nothing below it. `problems` None leaves them as they
        are, anything else replaces all of the domain. Raises StateError; then nothing was recorded.
        """
        # Iterators run before the lock is taken: they may read this store from another thread.
        rows = upserts if isinstance(upserts, list | tuple) else list(upserts)
        gone = [(domain, parent_of(path), name_of(path)) for path in deletions]
        with self._store.transaction() as writer:
            # Deletions first: a path in both was replaced, and stays.
            writer.executemany("DELETE FROM base WHERE domain = ? AND parent = ? AND name = ?", gone)
            writer.executemany(_UPSERT, (_values(domain, row) for row in rows))
            write_standing(writer, domain, standing)
            if problems is not None:
                _replace_problems(writer, domain, problems)

    def forget(self, domain: str) -> None:
        """Forget all that was applied to a domain: rows, standing, problems and approvals. The disk stays."""
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM base WHERE domain = ?", (domain,))
            writer.execute("DELETE FROM standing WHERE domain = ?", (domain,))
            writer.execute("DELETE FROM problem WHERE domain = ?", (domain,))
            writer.execute("DELETE FROM approval WHERE domain = ?", (domain,))
            writer.execute("DELETE FROM drift WHERE domain = ?", (domain,))
            writer.execute("DELETE FROM kept_local WHERE domain = ?", (domain,))

    def problems(self, domain: str) -> list[Problem]:
        """Return the paths that could not be applied, ordered by path."""
        with self._store.read() as reader:
            rows = reader.execute("SELECT domain, path, reason FROM problem WHERE domain = ? ORDER BY path", (domain,))
            return [Problem(*row) for row in rows]

    def offer_approval(self, domain: str, approval_id: str, paths: Iterable[bytes]) -> None:
        """Remember a plan that waits for a person, with every path it would destroy.

        The newest APPROVALS_KEPT of a domain are kept.
        """
        listed = sorted(set(paths))
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM approval WHERE domain = ? AND approval_id = ?", (domain, approval_id))
            number = writer.execute(
                "INSERT INTO approval (domain, approval_id) VALUES (?, ?)", (domain, approval_id)
            ).lastrowid
            writer.executemany("INSERT INTO approval_path VALUES (?, ?)", ((number, path) for path in listed))
            writer.execute(
                "DELETE FROM approval WHERE domain = ?1 AND id NOT IN"
                " (SELECT id FROM approval WHERE domain = ?1 ORDER BY id DESC LIMIT ?2)",
                (domain, APPROVALS_KEPT),
            )

    def approved_paths(self, domain: str, approval_id: str) -> set[bytes] | None:
        """Return the paths that an offered plan may destroy, or None where it is not known (any more)."""
        with self._store.read() as reader:
            row = reader.execute(
                "SELECT id FROM approval WHERE domain = ? AND approval_id = ?", (domain, approval_id)
            ).fetchone()
            if row is None:
                return None
            return {path for (path,) in reader.execute("SELECT path FROM approval_path WHERE approval = ?", row)}

    def forget_approvals(self, domain: str) -> None:
        """Forget all offered plans of a domain, once one was applied or the tree is another."""
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM approval WHERE domain = ?", (domain,))


def _values(domain: str, row: BaseRow) -> tuple[Any, ...]:
    """Return a row's columns in the order of _UPSERT; called once a path, so without a loop."""
    entry, identity, transaction = row
    path, kind, mode, uid, gid, owner, group, mtime_ns, size, digest, link_target, note, attributes, link, origin = (
        entry
    )
    parent, _, name = path.rpartition(b"/")
    disk_size, disk_mtime_ns, disk_ctime_ns, inode, device = identity
    return (
        domain, parent, name, kind.value, mode, uid, gid, storable(owner), storable(group), mtime_ns, size,
        digest, link_target, storable(note), attributes, link, origin, disk_size, disk_mtime_ns, disk_ctime_ns,
        signed(inode), signed(device), transaction,
    )  # fmt: skip  # one line of columns each, in the order of the statement


def _known(row: tuple[Any, ...]) -> Known:
    """Return what a row of _KNOWN_COLUMNS says."""
    # Unpacked in one place and built in place: a walk through a large domain makes three values for each path.
    (
        parent, name, kind, mode, uid, gid, owner, group, mtime_ns, size, digest, target, note,
        attributes, link, origin, disk_size, disk_mtime_ns, disk_ctime_ns, inode, device,
    ) = row  # fmt: skip  # the columns in their order
    path = parent + b"/" + name if parent else name
    return _new(Known, (
        _new(Entry, (
            path, _KINDS[kind], mode, uid, gid, owner, group, mtime_ns, size, digest, target, note,
            attributes, link, origin,
        )),
        _new(DiskIdentity, (disk_size, disk_mtime_ns, disk_ctime_ns, unsigned(inode), unsigned(device))),
        False,
    ))  # fmt: skip  # the fields in the order of the model


def _replace_problems(writer: sqlite3.Connection, domain: str, problems: Sequence[Problem]) -> None:
    writer.execute("DELETE FROM problem WHERE domain = ?", (domain,))
    writer.executemany(
        "INSERT OR REPLACE INTO problem (domain, path, reason) VALUES (?, ?, ?)",
        ((domain, problem.path, storable(problem.reason)) for problem in problems),
    )
