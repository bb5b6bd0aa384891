"""Which targets failures have suspended, in node.db; written at the beginning and the end of a suspension only."""

from __future__ import annotations

from typing import NamedTuple

from syncer.state.store import StateStore, storable


class FailureRow(NamedTuple):
    """Why one target is sent nothing of one domain; `since` in Unix seconds."""

    kind: str
    error: str
    failures: int
    since: float


class FailureSuspensions:
    """The suspension of one target and domain."""

    def __init__(self, store: StateStore, target: str, domain: str) -> None:
        """Read and write the row of `target` and `domain`."""
        self._store = store
        self._key = (target, domain)

    def read(self) -> FailureRow | None:
        """Return what an earlier life has left, or None."""
        with self._store.read() as reader:
            row = reader.execute(
                "SELECT kind, error, failures, since FROM failure_suspension WHERE target = ? AND domain = ?", self._key
            ).fetchone()
        return None if row is None else FailureRow(*row)

    def write(self, suspension: FailureRow | None) -> None:
        """Remember this one, or none; blocking, one flush to disk. Raises StateError."""
        with self._store.transaction() as writer:
            writer.execute("DELETE FROM failure_suspension WHERE target = ? AND domain = ?", self._key)
            if suspension is not None:
                kind, error, failures, since = suspension
                writer.execute(
                    "INSERT INTO failure_suspension (target, domain, kind, error, failures, since)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (*self._key, kind, storable(error), failures, since),
                )
