"""Paths of a receiver at which production wants what stands there to stay, in node.db."""

from __future__ import annotations

from collections.abc import Collection

from syncer.state.store import StateStore


def read_stays(store: StateStore, domain: str) -> frozenset[bytes]:
    """Return the paths of a domain."""
    with store.read() as reader:
        return frozenset(path for (path,) in reader.execute("SELECT path FROM stays WHERE domain = ?", (domain,)))


def record_stays(store: StateStore, domain: str, paths: Collection[bytes]) -> None:
    """Make these the only ones of a domain."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM stays WHERE domain = ?", (domain,))
        writer.executemany("INSERT INTO stays VALUES (?, ?)", ((domain, path) for path in sorted(paths)))
