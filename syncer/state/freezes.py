"""Which domains take no changes, who wants that, and what was done for it, in node.db."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from syncer.model import Head
from syncer.state.store import StateStore, storable

OPERATOR = "operator"
"""Who wants a freeze that no procedure wants."""


class Claim(NamedTuple):
    """That somebody wants a domain frozen; times in Unix seconds."""

    domain: str
    by: str
    """OPERATOR, or the id of a procedure."""
    since: float
    until: float
    """When it ends by itself; not while that procedure is open."""
    reason: str
    read_only: bool = False


class Cover(NamedTuple):
    """A read-only mount over a root: how it is found again, to be undone."""

    root: bytes
    """Absolute, without links."""
    boot: str
    """The life of the machine in which it was mounted: it ends with it."""
    depth: int
    """How many mounts were at that very point before."""


class Frozen(NamedTuple):
    """What was done to one domain, and has to be undone."""

    domain: str
    since: float
    was_running: bool
    """The services ran before."""
    stopped_in: str = ""
    """The life of the machine in which the `freeze` command was begun; "": it was not."""
    is_stopped: bool = False
    """It has ended well."""
    cover: Cover | None = None
    head: Head | None = None
    """What is above it has changed since; None: the freeze is not complete yet."""


def read_claims(store: StateStore) -> tuple[Claim, ...]:
    """Return who wants what frozen, those whose time is over among them, ordered by domain and name."""
    with store.read() as reader:
        rows = reader.execute("SELECT domain, by, since, until, reason, read_only FROM freeze ORDER BY domain, by")
        return tuple(Claim(*row)._replace(read_only=bool(row[5])) for row in rows)


def write_claims(store: StateStore, claims: Iterable[Claim]) -> None:
    """Make these the only ones."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM freeze")
        writer.executemany(
            "INSERT INTO freeze (domain, by, since, until, reason, read_only) VALUES (?, ?, ?, ?, ?, ?)",
            [(*item[:4], storable(item.reason), int(item.read_only)) for item in claims],
        )


def read_frozen(store: StateStore) -> tuple[Frozen, ...]:
    """Return what was done, ordered by domain."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT domain, since, was_running, stopped_in, is_stopped, cover_root, cover_boot, cover_depth, index_id,"
            " run, seq FROM frozen ORDER BY domain"
        )
        return tuple(_frozen(row) for row in rows)


def write_frozen(store: StateStore, item: Frozen) -> None:
    """Make it durable, in place of what was recorded of the domain before."""
    cover, head = item.cover or Cover(b"", "", 0), item.head or Head("", "", 0)
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO frozen (domain, since, was_running, stopped_in, is_stopped, cover_root,"
            " cover_boot, cover_depth, index_id, run, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (item.domain, item.since, int(item.was_running), item.stopped_in, int(item.is_stopped), *cover, *head),
        )


def forget_frozen(store: StateStore, domain: str) -> None:
    """Nothing of it stands any more."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM frozen WHERE domain = ?", (domain,))


def _frozen(row: tuple[Any, ...]) -> Frozen:
    domain, since, was_running, stopped_in, is_stopped, root, boot, depth, index_id, run, seq = row
    cover = Cover(root, boot, depth) if root else None
    head = Head(index_id, run, seq) if index_id else None
    return Frozen(domain, since, bool(was_running), stopped_in, bool(is_stopped), cover, head)
