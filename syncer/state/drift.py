"""What node.db remembers of local edits on a receiver: drift, files kept local, and which paths belong to a domain."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from syncer.model import Patterns
from syncer.state.store import StateStore


class DriftRow(NamedTuple):
    """One path that is not as it was applied; since is in Unix seconds, for display only."""

    path: bytes
    what: str
    since: float


def read_drift(store: StateStore, domain: str, limit: int = -1) -> list[DriftRow]:
    """Return up to `limit` paths that were edited here, ordered by path; -1: all."""
    with store.read() as reader:
        rows = reader.execute(
            "SELECT path, what, since FROM drift WHERE domain = ? ORDER BY path LIMIT ?", (domain, limit)
        ).fetchall()
    return [DriftRow(*row) for row in rows]


def count_drift(store: StateStore, domain: str) -> int:
    """Return how many paths were edited here."""
    with store.read() as reader:
        found: int = reader.execute("SELECT count(*) FROM drift WHERE domain = ?", (domain,)).fetchone()[0]
    return found


def record_drift(store: StateStore, domain: str, noticed: Mapping[bytes, str], gone: Iterable[bytes], at: float) -> int:
    """Record what was noticed at `at` (Unix seconds) and forget what is as it was applied again; one commit.

    A path that is recorded already keeps its time. Returns how many paths are recorded now.
    """
    with store.transaction() as writer:
        writer.executemany("DELETE FROM drift WHERE domain = ? AND path = ?", ((domain, path) for path in gone))
        writer.executemany(
            "INSERT INTO drift (domain, path, what, since) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (domain, path) DO UPDATE SET what = excluded.what",
            ((domain, path, what, at) for path, what in noticed.items()),
        )
        return count_drift(store, domain)


def forget_drift(store: StateStore, domain: str) -> None:
    """Forget all drift of a domain; nothing is written where there is none."""
    if count_drift(store, domain):
        with store.transaction() as writer:
            writer.execute("DELETE FROM drift WHERE domain = ?", (domain,))


def read_kept_local(store: StateStore, domain: str) -> set[bytes]:
    """Return the paths that keep_local left alone."""
    with store.read() as reader:
        return {path for (path,) in reader.execute("SELECT path FROM kept_local WHERE domain = ?", (domain,))}


def record_kept_local(store: StateStore, domain: str, paths: Collection[bytes]) -> None:
    """Replace the paths that keep_local left alone."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM kept_local WHERE domain = ?", (domain,))
        writer.executemany("INSERT INTO kept_local VALUES (?, ?)", ((domain, path) for path in sorted(paths)))


def read_received_patterns(store: StateStore, domain: str) -> Patterns | None:
    """Return which paths production synchronized last; None where that was never heard."""
    with store.read() as reader:
        row = reader.execute("SELECT patterns FROM received_patterns WHERE domain = ?", (domain,)).fetchone()
    if row is None:
        return None
    include, exclude = json.loads(row[0])
    return Patterns(tuple(include), tuple(exclude))


def record_received_patterns(store: StateStore, domain: str, patterns: Patterns) -> None:
    """Record which paths production synchronizes; nothing is written where that is known already."""
    if read_received_patterns(store, domain) == patterns:
        return
    with store.transaction() as writer:
        # ASCII: a pattern may hold bytes that are not UTF-8, as surrogates.
        writer.execute("INSERT OR REPLACE INTO received_patterns VALUES (?, ?)", (domain, json.dumps(patterns)))
