"""What the history holds: contents by digest, what it could not keep, and what must not be pruned."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from syncer.model import join, shown
from syncer.state.store import StateStore, storable


class Kept(NamedTuple):
    """A content that the history holds (size in bytes)."""

    digest: bytes
    size: int
    top: bytes
    """The mount whose area holds it, as a path below the root; b"": the root's own."""


class Unkept(NamedTuple):
    """A path whose content the history lacks, and why."""

    path: bytes
    reason: str


def record_kept(writer: sqlite3.Connection, domain: str, contents: Iterable[Kept], at: float) -> None:
    """Record contents that are, or are about to be, in the history (at: seconds since 1970)."""
    writer.executemany(
        "INSERT OR REPLACE INTO kept (domain, digest, size, top, checked) VALUES (?, ?, ?, ?, ?)",
        ((domain, *content, at) for content in contents),
    )


def forget_kept(writer: sqlite3.Connection, domain: str, digests: Iterable[bytes]) -> None:
    """Forget contents that the history holds no longer."""
    writer.executemany("DELETE FROM kept WHERE domain = ? AND digest = ?", ((domain, digest) for digest in digests))


def find_kept(store: StateStore, domain: str, digest: bytes) -> Kept | None:
    """Return what is recorded of a content, or None."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT digest, size, top FROM kept WHERE domain = ? AND digest = ?", (domain, digest)
        ).fetchone()
    return None if row is None else Kept(*row)


def holds_anything(store: StateStore, domain: str) -> bool:
    """Tell whether the domain has generations or kept contents at all; cheap."""
    with store.read() as reader:
        found = reader.execute(
            "SELECT EXISTS (SELECT 1 FROM generation WHERE domain = ?1)"
            " OR EXISTS (SELECT 1 FROM kept WHERE domain = ?1)",
            (domain,),
        ).fetchone()[0]
    return bool(found)


def kept_bytes(store: StateStore, domain: str, generation: int | None = None) -> int:
    """Return the size of all kept contents, or of those that one generation displaced."""
    if generation is None:
        statement = "SELECT coalesce(sum(size), 0) FROM kept WHERE domain = ?1"
    else:
        statement = (
            "SELECT coalesce(sum(size), 0) FROM kept WHERE domain = ?1 AND digest IN"
            " (SELECT digest FROM displaced WHERE domain = ?1 AND generation = ?2)"
        )
    with store.read() as reader:
        found: int = reader.execute(statement, (domain,) if generation is None else (domain, generation)).fetchone()[0]
    return found


def unreferenced(store: StateStore, domain: str) -> list[Kept]:
    """Return the contents that no generation needs any more."""
    with store.read() as reader:
        rows = reader.execute(
            # The condition on x'' lets SQLite use the partial index.
            "SELECT digest, size, top FROM kept WHERE domain = ?1 AND NOT EXISTS (SELECT 1 FROM displaced"
            " WHERE displaced.domain = ?1 AND displaced.digest = kept.digest AND displaced.digest <> x'')",
            (domain,),
        ).fetchall()
    return [Kept(*row) for row in rows]


def needing(store: StateStore, domain: str, digest: bytes) -> list[tuple[int, bytes]]:
    """Return the generations, and their paths, that displaced a content; the oldest first."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT generation, parent, name FROM displaced WHERE domain = ? AND digest = ? AND digest <> x''"
            " ORDER BY generation, parent, name",
            (domain, digest),
        ).fetchall()
    return [(number, join(parent, name)) for number, parent, name in rows]


def needed_digests(store: StateStore, domain: str) -> set[bytes]:
    """Return all digests that some generation names."""
    with store.read() as reader:
        rows = reader.execute("SELECT DISTINCT digest FROM displaced WHERE domain = ? AND digest <> x''", (domain,))
        return {digest for (digest,) in rows}


def due_for_check(store: StateStore, domain: str, before: float) -> Kept | None:
    """Return the content whose last check is the longest ago, and before `before` (seconds since 1970)."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT digest, size, top FROM kept WHERE domain = ? AND checked < ? ORDER BY checked LIMIT 1",
            (domain, before),
        ).fetchone()
    return None if row is None else Kept(*row)


def note_checked(writer: sqlite3.Connection, domain: str, digest: bytes, at: float) -> None:
    """Note that a content's bytes were right (at: seconds since 1970)."""
    writer.execute("UPDATE kept SET checked = ? WHERE domain = ? AND digest = ?", (at, domain, digest))


def note_unkept(writer: sqlite3.Connection, domain: str, number: int, missing: Iterable[Unkept]) -> None:
    """Note what a generation lacks, and sum it up in its `incomplete`."""
    writer.executemany(
        "INSERT OR REPLACE INTO unkept (domain, generation, path, reason) VALUES (?, ?, ?, ?)",
        ((domain, number, path, storable(reason)) for path, reason in missing),
    )
    where = (domain, number)
    count = writer.execute("SELECT count(*) FROM unkept WHERE domain = ? AND generation = ?", where).fetchone()[0]
    if not count:
        return
    path, reason = writer.execute(
        "SELECT path, reason FROM unkept WHERE domain = ? AND generation = ? ORDER BY path LIMIT 1", where
    ).fetchone()
    more = f" (and {count - 1} more)" if count > 1 else ""
    writer.execute(
        "UPDATE generation SET incomplete = ? WHERE domain = ? AND number = ?",
        (storable(f"{shown(path)} {reason}{more}"), *where),
    )


def read_unkept(store: StateStore, domain: str, number: int) -> dict[bytes, str]:
    """Return path → reason of all that a generation lacks."""
    with store.read() as reader:
        return dict(
            reader.execute("SELECT path, reason FROM unkept WHERE domain = ? AND generation = ?", (domain, number))
        )


def add_pin(store: StateStore, domain: str, generation: int, reason: str) -> None:
    """Keep all that is needed to go back to a generation, until the pin of this reason is removed."""
    with store.transaction() as writer:
        writer.execute("INSERT OR IGNORE INTO pin (domain, generation, reason) VALUES (?, ?, ?)",
                       (domain, generation, storable(reason)))  # fmt: skip  # one statement


def remove_pins(store: StateStore, domain: str, reason: str) -> None:
    """Let go of what was kept for `reason`."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM pin WHERE domain = ? AND reason = ?", (domain, storable(reason)))


def read_pins(store: StateStore, domain: str) -> list[tuple[int, str]]:
    """Return the pinned generations and the reasons, the oldest first."""
    with store.read() as reader:
        return reader.execute(
            "SELECT generation, reason FROM pin WHERE domain = ? ORDER BY generation, reason", (domain,)
        ).fetchall()
