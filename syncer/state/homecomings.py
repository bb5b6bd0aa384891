"""What was decided for a node that comes home, in node.db: the stream to it obeys that, also after a restart.

It counts for as long as this node's base is the one that was compared: once this node receives again, the direction
has changed, and all of it is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from syncer.model import Entry, Head, Kind
from syncer.state.base import Base
from syncer.state.store import StateStore, storable


class Choice(Enum):
    """What was decided of a path."""

    THEIRS = "theirs"
    """The other node keeps what it has there, or that it has nothing."""
    REWRITTEN = "rewritten"
    """It goes as the rules make it, though they alone cannot tell what the other node's own text was."""
    OURS = "ours"
    """It goes as it stands here, and replaces what the other node has."""


class Homecoming(NamedTuple):
    """One domain of one node."""

    node_id: str
    domain: str
    procedure: str
    head: Head
    """Where this node's index stood as it was compared."""
    is_filled: bool = False
    """The other node has all of it, or the procedure was undone: the stream goes on by itself."""


class Chosen(NamedTuple):
    """One path; `directory` is the other node's, where it is one there and stays."""

    path: bytes
    choice: Choice
    directory: Entry | None = None


def write_homecoming(store: StateStore, homecoming: Homecoming, mark: bytes, chosen: Iterable[Chosen]) -> None:
    """Record what was decided of a domain, in place of all that was decided of it before; `mark`: of the base."""
    node_id, domain, procedure, head, is_filled = homecoming
    rows = ((node_id, domain, one.path, one.choice.value, *_columns(one.directory)) for one in chosen)
    with store.transaction() as writer:
        writer.execute("DELETE FROM homecoming WHERE node_id = ? AND domain = ?", (node_id, domain))
        writer.execute(
            "INSERT INTO homecoming (node_id, domain, procedure, mark, index_id, run, seq, filled)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (node_id, domain, procedure, mark, *head, int(is_filled)),
        )
        writer.executemany(
            "INSERT INTO home_choice (node_id, domain, path, choice, mode, uid, gid, owner, group_name, mtime_ns,"
            " attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def read_homecomings(store: StateStore) -> list[Homecoming]:
    """Return what is in force."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT node_id, domain, procedure, index_id, run, seq, filled, mark FROM homecoming"
            " ORDER BY node_id, domain"
        ).fetchall()
    base = Base(store)
    return [
        Homecoming(row[0], row[1], row[2], Head(*row[3:6]), bool(row[6])) for row in rows if row[7] == base.mark(row[1])
    ]


def read_homecoming(store: StateStore, node_id: str, domain: str) -> Homecoming | None:
    """Return what is in force of one domain of one node."""
    found = (item for item in read_homecomings(store) if (item.node_id, item.domain) == (node_id, domain))
    return next(found, None)


def read_chosen(store: StateStore, node_id: str, domain: str) -> Iterator[Chosen]:
    """Yield what is in force of the paths of a domain, ordered by path."""
    if read_homecoming(store, node_id, domain) is None:
        return
    with store.read() as reader:
        rows = reader.execute(
            "SELECT path, choice, mode, uid, gid, owner, group_name, mtime_ns, attributes FROM home_choice"
            " WHERE node_id = ? AND domain = ? ORDER BY path",
            (node_id, domain),
        ).fetchall()
    for path, choice, mode, uid, gid, owner, group, mtime_ns, attributes in rows:
        directory = None
        if mode is not None:
            kind = Kind.DIRECTORY
            directory = Entry(path, kind, mode, uid, gid, owner, group, mtime_ns, 0, b"", b"", "", attributes)
        yield Chosen(path, Choice(choice), directory)


def note_filled(store: StateStore, node_id: str, domain: str) -> None:
    """Note that the other node has all of a domain."""
    with store.transaction() as writer:
        writer.execute("UPDATE homecoming SET filled = 1 WHERE node_id = ? AND domain = ?", (node_id, domain))


def release_homecoming(store: StateStore, procedure: str) -> None:
    """Let the streams go on by themselves of which a procedure decided that is undone.

    What it decided stays: the other node may be failover by then, and must not lose what it was to keep.
    """
    with store.transaction() as writer:
        writer.execute("UPDATE homecoming SET filled = 1 WHERE procedure = ?", (procedure,))


def _columns(directory: Entry | None) -> tuple[object, ...]:
    if directory is None:
        return (None,) * 7
    entry = directory
    return (
        entry.mode, entry.uid, entry.gid, storable(entry.owner), storable(entry.group), entry.mtime_ns,
        entry.attributes,
    )  # fmt: skip  # in the order of the statement
