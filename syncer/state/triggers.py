"""The rows of triggers in node.db: up to which event they have seen everything, and what they remember."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from syncer.state.store import StateStore

LASTING = "lasting"
ENDED = "ended"

Subjects = Mapping[tuple[str, str], str]
"""(phase, subject) → document."""


class MemoryRow(NamedTuple):
    """What one trigger remembers, as documents of events/memory.py."""

    event: str
    document: str
    subjects: Subjects


def read_cursor(store: StateStore) -> int | None:
    """Return the id of the last event that the triggers have seen; None where none was configured yet."""
    with store.read() as reader:
        row = reader.execute("SELECT event FROM trigger_cursor").fetchone()
    return None if row is None else int(row[0])


def write_cursor(store: StateStore, event: int | None) -> None:
    """Record that the triggers have seen all events up to this id; None: there are none any more."""
    with store.transaction() as writer:
        if event is None:
            writer.execute("DELETE FROM trigger_cursor")
        else:
            writer.execute("INSERT OR REPLACE INTO trigger_cursor (id, event) VALUES (1, ?)", (event,))


def read_memories(store: StateStore) -> dict[str, MemoryRow]:
    """Return what each trigger remembers, by its name."""
    with store.read() as reader:
        rows = reader.execute("SELECT name, event, document FROM trigger_memory").fetchall()
        subjects = reader.execute("SELECT name, phase, subject, document FROM trigger_subject").fetchall()
    found = {name: MemoryRow(event, document, {}) for name, event, document in rows}
    for name, phase, subject, document in subjects:
        if name in found:
            found[name] = found[name]._replace(subjects={**found[name].subjects, (phase, subject): document})
    return found


def write_memory(store: StateStore, name: str, before: MemoryRow | None, now: MemoryRow) -> None:
    """Record what a trigger remembers; only what differs from `before`, which is what is recorded now."""
    known = before.subjects if before is not None else {}
    gone = [(name, *key) for key in known.keys() - now.subjects.keys()]
    new = [(name, *key, document) for key, document in now.subjects.items() if known.get(key) != document]
    with store.transaction() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO trigger_memory (name, event, document) VALUES (?, ?, ?)",
            (name, now.event, now.document),
        )
        writer.executemany("DELETE FROM trigger_subject WHERE name = ? AND phase = ? AND subject = ?", gone)
        writer.executemany(
            "INSERT OR REPLACE INTO trigger_subject (name, phase, subject, document) VALUES (?, ?, ?, ?)", new
        )


def forget_memory(store: StateStore, name: str) -> None:
    """Drop what a trigger remembers."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM trigger_memory WHERE name = ?", (name,))
        writer.execute("DELETE FROM trigger_subject WHERE name = ?", (name,))
