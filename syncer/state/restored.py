"""What an older node.db may still be believed of, once it is to be the node's state again."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from syncer.model import Mode, Term
from syncer.state.starts import after_restore
from syncer.state.store import StateStore
from syncer.state.term import NO_TERM, read_held, read_mode, read_term

TERMS_AHEAD = 1000
"""How far the next term of a restored node is put ahead: more promotions than any node has after its backup."""


class Known(NamedTuple):
    """What is known of the node as it is now, beside the backup."""

    mode: Mode
    term: Term
    held: Term
    starts: int


def known_of(store: StateStore, configured: Mode) -> Known:
    """Return what the newest state of a node says."""
    mode, term = read_mode(store, configured)
    with store.read() as reader:
        starts: int = reader.execute("SELECT starts FROM node").fetchone()[0]
    return Known(mode, term, read_held(store), starts)


def settle_restored(store: StateStore, known: Known | None, word: Mode | None, why: str, made_at: float) -> Mode:
    """Make an older node.db safe to start from, in one commit; returns the mode that it starts in.

    `known` is what the newest state says, None where it was lost. Then the node starts fenced: it may have been
    demoted since, or have been promoted, and who was must not be written over by whoever comes. `word` is the mode
    that a person vouches for instead; the backup was made at `made_at` (Unix seconds). Raises StateError.
    """
    # One backup may be restored again and again: what each restore skips grows with the time since. A clock that goes
    # wrong makes it smaller, and then a peer takes the node for a copy of itself, and says so.
    elapsed = max(0.0, time.time() - made_at)
    # Read before anything is put ahead.
    own, held = read_term(store), read_held(store)
    mode = known.mode if known is not None else word or Mode.FENCED
    term = max(own, known.term) if known is not None else own
    taken = (
        max(held, known.held).counter if known is not None else max(own, held).counter + TERMS_AHEAD + int(elapsed / 60)
    )
    with store.transaction() as writer:
        before = store.mode() or mode
        after_restore(store, int(elapsed * 1000))
        writer.execute("UPDATE node SET starts = max(starts, ?)", (known.starts if known is not None else 0,))
        writer.execute(
            "UPDATE node SET mode = ?, term_counter = ?, term_node_id = ?, held_counter = ?",
            (mode.value, term.counter, term.node_id, taken),
        )
        if before is not mode or known is None:
            writer.execute(
                "INSERT OR REPLACE INTO mode_change (id, at, before, why, peer, told) VALUES (1, ?, ?, ?, '', 0)",
                (time.time(), before.value, why),
            )
        _forget(writer)
    return mode


def _forget(writer: sqlite3.Connection) -> None:
    """Forget what was under way: it has ended since, or would be done upon another tree than it was meant for."""
    # What is built upon an older base is no resumption: everything is compared again.
    writer.execute("UPDATE standing SET resumable = 0")
    # CRASH: a journalled transaction of then would be rolled forward over what stands now.
    writer.execute("DELETE FROM generation WHERE complete = 0")
    for table in ("intent_step", "intent", "unchecked", "pending_reload", "approval_path", "approval"):
        writer.execute(f"DELETE FROM {table}")  # noqa: S608  # our own names, no input
    # A token may have been used since: it opens the door once.
    writer.execute("DELETE FROM invitation")
    # A promotion that was under way then must not go on by itself now.
    writer.execute(
        "UPDATE procedure SET outcome = 'aborted', told = 1, ended = ?, abort = ? WHERE outcome = 'open' OR NOT told",
        (time.time(), "the state of this node was restored from a backup"),
    )


def may_be_production(store: StateStore) -> bool:
    """Tell whether a person may vouch that this node.db's node is production: it was, under a term of its own."""
    term = read_term(store)
    return store.mode() is Mode.PRODUCTION and term.node_id == store.node_id and term != NO_TERM
