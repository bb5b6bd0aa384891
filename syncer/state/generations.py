"""Generations of a domain, and what stood at each path before one changed it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from syncer.model import Entry, Kind, Term, join, name_of, parent_of
from syncer.state.store import StateStore, storable

_DISPLACED = (
    "kind, mode, uid, gid, owner, group_name, mtime_ns, size, digest, link_target, attributes, link, origin,"
    " edited, place"
)
# The columns are our own names, no input.
_ROW = f"INTO displaced (domain, generation, parent, name, {_DISPLACED}) VALUES ({', '.join('?' * 19)})"
_INSERT = f"INSERT OR REPLACE {_ROW}"
_INSERT_NEW = f"INSERT OR IGNORE {_ROW}"
_OF = f"SELECT parent, name, {_DISPLACED} FROM displaced WHERE domain = ? AND generation = ? ORDER BY parent, name"  # noqa: S608
_GENERATION = (
    "SELECT number, at, kind, source_node, source_name, term_counter, term_node_id, seq, changes, complete, incomplete,"
    " stage FROM generation"
)
_KINDS = {int(kind): kind for kind in Kind}


class Displaced(NamedTuple):
    """What stood at a path before a generation changed it."""

    path: bytes
    entry: Entry | None
    """None: nothing stood there."""
    edited: bool = False
    """It was not as it had been applied: owner and group are this node's, digest may be unknown (b"")."""
    place: bytes = b""
    """Where it lies in the generation's stage; b"": it was not moved by itself."""


class Generation(NamedTuple):
    """A state that can be gone back to, by the transaction that made it (at: seconds since 1970)."""

    number: int
    at: float
    kind: str
    """partial | full | rollback."""
    source_node: str
    source_name: str
    term: Term
    seq: int
    changes: int
    """Paths that it changed."""
    complete: bool = True
    """False while it is becoming visible."""
    incomplete: str = ""
    """Why some of what it displaced could not be kept; "": all was."""
    stage: bytes = b""
    """Where what it displaced still lies; b"": it was taken into the history."""


def open_generation(
    writer: sqlite3.Connection, domain: str, generation: Generation, displaced: Iterable[Displaced]
) -> None:
    """Record a generation with what it displaces, within the transaction that records its intent."""
    number, at, kind, source_node, source_name, term, seq, changes, complete, incomplete, stage = generation
    writer.execute(
        "INSERT OR REPLACE INTO generation (domain, number, at, kind, source_node, source_name, term_counter,"
        " term_node_id, seq, changes, complete, incomplete, stage) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            domain, number, at, kind, source_node, storable(source_name), term.counter, term.node_id, seq, changes,
            int(complete), incomplete, stage,
        ),
    )  # fmt: skip  # in the order of the statement
    writer.executemany(_INSERT, (_values(domain, number, row) for row in displaced))


def complete_generation(writer: sqlite3.Connection, domain: str, number: int, *, keeps_stage: bool = True) -> None:
    """Note that a generation is visible and durable, within the commit that records its base."""
    writer.execute(
        "UPDATE generation SET complete = 1, stage = iif(? OR complete, stage, x'') WHERE domain = ? AND number = ?",
        (keeps_stage, domain, number),
    )


def forget_generation(writer: sqlite3.Connection, domain: str, number: int) -> None:
    """Forget a generation with what it displaced: it was undone, or is too old."""
    writer.execute("DELETE FROM generation WHERE domain = ? AND number = ?", (domain, number))


def write_displaced(writer: sqlite3.Connection, domain: str, number: int, displaced: Iterable[Displaced]) -> None:
    """Record what was found out about displaced paths since their generation was opened."""
    writer.executemany(_INSERT, (_values(domain, number, row) for row in displaced))


def add_displaced(writer: sqlite3.Connection, domain: str, number: int, displaced: Iterable[Displaced]) -> None:
    """Record what stood at further paths before a generation, where it is kept; what it has said itself holds."""
    known = writer.execute("SELECT 1 FROM generation WHERE domain = ? AND number = ?", (domain, number)).fetchone()
    if known is not None:
        writer.executemany(_INSERT_NEW, (_values(domain, number, row) for row in displaced))


def forget_displaced(writer: sqlite3.Connection, domain: str, number: int, paths: Iterable[bytes]) -> None:
    """Forget that a generation displaced anything at `paths`: it could not."""
    writer.executemany(
        "DELETE FROM displaced WHERE domain = ? AND generation = ? AND parent = ? AND name = ?",
        [(domain, number, parent_of(path), name_of(path)) for path in paths],
    )


def end_stage(writer: sqlite3.Connection, domain: str, number: int) -> None:
    """Note that all of a generation's stage was taken into the history, and that the stage is gone."""
    writer.execute("UPDATE generation SET stage = x'' WHERE domain = ? AND number = ?", (domain, number))


def read_generations(store: StateStore, domain: str) -> list[Generation]:
    """Return all generations of a domain, the oldest first."""
    with store.read() as reader:
        rows = reader.execute(f"{_GENERATION} WHERE domain = ? ORDER BY number", (domain,)).fetchall()
    return [_generation(row) for row in rows]


def read_displaced(store: StateStore, domain: str, number: int) -> Iterator[Displaced]:
    """Yield what a generation displaced, ordered by (parent, name)."""
    with store.read() as reader:
        rows = reader.execute(_OF, (domain, number)).fetchall()
    for row in rows:
        yield _displaced(row)


def _values(domain: str, number: int, row: Displaced) -> tuple[Any, ...]:
    path, entry, edited, place = row
    where = (domain, number, parent_of(path), name_of(path))
    if entry is None:
        return (*where, 0, 0, 0, 0, "", "", 0, 0, b"", b"", b"", 0, b"", int(edited), place)
    return (
        *where, int(entry.kind), entry.mode, entry.uid, entry.gid, storable(entry.owner), storable(entry.group),
        entry.mtime_ns, entry.size, entry.digest, entry.link_target, entry.attributes, entry.link, entry.origin,
        int(edited), place,
    )  # fmt: skip  # in the order of _DISPLACED


def _displaced(row: tuple[Any, ...]) -> Displaced:
    (
        parent,
        name,
        kind,
        mode,
        uid,
        gid,
        owner,
        group,
        mtime_ns,
        size,
        digest,
        target,
        attributes,
        link,
        origin,
        edited,
        place,
    ) = row
    path = join(parent, name)
    if not kind:
        return Displaced(path, None, bool(edited), place)
    entry = Entry(
        path,
        _KINDS[kind],
        mode,
        uid,
        gid,
        owner,
        group,
        mtime_ns,
        size,
        digest,
        target,
        "",
        attributes,
        link,
        origin,
    )
    return Displaced(path, entry, bool(edited), place)


def _generation(row: tuple[Any, ...]) -> Generation:
    number, at, kind, source_node, source_name, counter, node_id, seq, changes, complete, incomplete, stage = row
    return Generation(
        number, at, kind, source_node, source_name, Term(counter, node_id), seq, changes, bool(complete), incomplete,
        stage,
    )  # fmt: skip  # in the order of _GENERATION
