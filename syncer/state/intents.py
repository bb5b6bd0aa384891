"""The intent of a transaction: what it is going to do, durable before the first visible change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from syncer.model import Cursor, Entry, Kind, Patterns
from syncer.state.cursors import Standing
from syncer.state.store import StateStore, signed, storable, unsigned

_COLUMNS = (
    "action, path, place, inode, over, here_uid, here_gid, atime_ns, kind, mode, uid, gid, owner, group_name,"
    " mtime_ns, size, digest, link_target, note, attributes, link, origin"
)
# The columns are our own names, no input.
_INSERT = f"INSERT INTO intent_step (domain, position, {_COLUMNS}) VALUES ({', '.join('?' * 24)})"  # noqa: S608
_STEPS = f"SELECT {_COLUMNS} FROM intent_step WHERE domain = ? ORDER BY position"  # noqa: S608
_KINDS = {int(kind): kind for kind in Kind}


class IntentStep(NamedTuple):
    """One path of a transaction, and what is done for it; inode and place tell whether it was done."""

    action: str
    """place | build | adjust | record, as apply/plan.Action; remove, forget, keep or problem."""
    path: bytes
    entry: Entry | None = None
    place: bytes = b""
    """In the stage: where the new thing waits, or where what goes is put."""
    inode: int = 0
    """Of the new thing, or of what goes."""
    over: int = 0
    """Kind of what stood at the path; 0: nothing."""
    uid: int = 0
    """This node's numbers."""
    gid: int = 0
    atime_ns: int = 0
    """Of `keep`: a directory that gets its times back."""
    note: str = ""
    """Of `problem`: why."""


class Intent(NamedTuple):
    """A transaction between its first visible change and its commit."""

    standing: Standing
    """Where the domain stands when it is done."""
    full: bool
    stage: bytes
    """Name of the directory that it was staged in."""
    patterns: Patterns
    """Of production: they decide which paths may go."""
    steps: list[IntentStep]


def write_intent(writer: sqlite3.Connection, domain: str, intent: Intent, steps: Iterable[IntentStep]) -> None:
    """Record `intent` with `steps` (its own list is not looked at), within the caller's transaction."""
    standing = intent.standing
    writer.execute(
        "INSERT INTO intent (domain, index_id, run, seq, source_node, pattern_hash, rule_hash, resumable, generation,"
        " is_full, stage, patterns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (domain, *standing.cursor, *standing[1:], int(intent.full), intent.stage, json.dumps(intent.patterns)),
    )
    writer.executemany(_INSERT, (_values(domain, position, step) for position, step in enumerate(steps)))


def read_intent(store: StateStore, domain: str) -> Intent | None:
    """Return the transaction that was not committed, or None."""
    with store.read() as reader:
        row = reader.execute(
            "SELECT index_id, run, seq, source_node, pattern_hash, rule_hash, resumable, generation, is_full, stage,"
            " patterns FROM intent WHERE domain = ?",
            (domain,),
        ).fetchone()
        if row is None:
            return None
        steps = [_step(step) for step in reader.execute(_STEPS, (domain,))]
    standing = Standing(Cursor(*row[:3]), row[3], row[4], row[5], bool(row[6]), row[7])
    include, exclude = json.loads(row[10])
    return Intent(standing, bool(row[8]), row[9], Patterns(tuple(include), tuple(exclude)), steps)


def end_intent(writer: sqlite3.Connection, domain: str) -> None:
    """Forget the intent: its transaction is committed by the same commit, or was undone."""
    writer.execute("DELETE FROM intent WHERE domain = ?", (domain,))


def _values(domain: str, position: int, step: IntentStep) -> tuple[Any, ...]:
    action, path, entry, place, inode, over, here_uid, here_gid, atime_ns, why = step
    before = (domain, position, action, path, place, signed(inode), over, here_uid, here_gid, atime_ns)
    if entry is None:
        return (*before, None, 0, 0, 0, "", "", 0, 0, b"", b"", storable(why), b"", 0, b"")
    _, kind, mode, uid, gid, owner, group, mtime_ns, size, digest, link_target, note, attributes, link, origin = entry
    return (
        *before, kind.value, mode, uid, gid, storable(owner), storable(group), mtime_ns, size, digest, link_target,
        storable(note), attributes, link, origin,
    )  # fmt: skip  # in the order of _COLUMNS


def _step(row: tuple[Any, ...]) -> IntentStep:
    action, path, place, inode, over, here_uid, here_gid, atime_ns, kind = row[:9]
    entry = None
    if kind is not None:
        mode, uid, gid, owner, group, mtime_ns, size, digest, target, note, attributes, link, origin = row[9:]
        entry = Entry(
            path, _KINDS[kind], mode, uid, gid, owner, group, mtime_ns, size, digest, target, note, attributes,
            link, origin,
        )  # fmt: skip  # in the order of the model
    return IntentStep(
        action, path, entry, place, unsigned(inode), over, here_uid, here_gid, atime_ns, "" if entry else row[18]
    )
