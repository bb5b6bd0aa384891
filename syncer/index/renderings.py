"""What substitution makes of each content, so that it is rendered once for all targets; rebuilt like the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

ASKED_AT_ONCE = 500
"""Digests in one query."""

_WANTED = "SELECT digest, rendered, size, undo FROM rendering WHERE mapping = ? AND digest IN ({})"
_INSERT = "INSERT OR REPLACE INTO rendering (mapping, digest, rendered, size, undo) VALUES (?, ?, ?, ?, ?)"
_PRUNE = (
    "DELETE FROM rendering WHERE NOT EXISTS (SELECT 1 FROM entry INDEXED BY entry_by_digest"
    " WHERE domain_id IN (SELECT id FROM domain) AND entry.digest = rendering.digest AND entry.digest <> x'')"
)


class Rendered(NamedTuple):
    """What a content becomes."""

    digest: bytes
    """blake3 of the bytes that it becomes."""
    size: int
    undo: bytes

    def is_identity(self, source: bytes) -> bool:
        """Tell whether nothing is changed, nor would the way back change anything."""
        return self.digest == source and not self.undo


class Renderings:
    """The table of renderings; usable from any thread."""

    def __init__(
        self,
        reading: Callable[[str, tuple[object, ...]], list[tuple[bytes, bytes, int, bytes]]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    ) -> None:
        """Read through `reading(query, values)` and write in transactions made by `writing`."""
        self._reading = reading
        self._writing = writing
        self._used: set[bytes] = set()

    def find(self, mapping: bytes, digests: Iterable[bytes]) -> dict[bytes, Rendered]:
        """Return what is known of these contents under one mapping."""
        self._used.add(mapping)
        asked = list(dict.fromkeys(digests))
        found: dict[bytes, Rendered] = {}
        for step in range(0, len(asked), ASKED_AT_ONCE):
            some = asked[step : step + ASKED_AT_ONCE]
            marks = ", ".join("?" * len(some))
            for digest, rendered, size, undo in self._reading(_WANTED.format(marks), (mapping, *some)):
                found[digest] = Rendered(rendered or digest, size, undo)
        return found

    def sources_of(self, rendered: bytes) -> list[bytes]:
        """Return the contents of production that become this one under some mapping."""
        query = "SELECT DISTINCT digest, rendered, size, undo FROM rendering WHERE rendered = ? AND rendered <> x''"
        return list(dict.fromkeys(row[0] for row in self._reading(query, (rendered,))))

    def record(self, mapping: bytes, made: Mapping[bytes, Rendered]) -> None:
        """Remember what contents become under one mapping."""
        rows = [
            (mapping, digest, b"" if found.is_identity(digest) else found.digest, found.size, found.undo)
            for digest, found in made.items()
        ]
        with self._writing() as writer:
            writer.executemany(_INSERT, rows)

    def prune(self) -> None:
        """Forget contents that are in no domain any more, and mappings that nobody has asked for since the start."""
        used = list(self._used)
        marks = ", ".join("?" * len(used))
        with self._writing() as writer:
            writer.execute(_PRUNE)
            writer.execute(f"DELETE FROM rendering WHERE mapping NOT IN ({marks})", used)  # noqa: S608  # only marks
