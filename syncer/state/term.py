"""The mode of this node and the highest fencing term it has seen: one row, changed together, the term only raised."""

from __future__ import annotations

import time
from typing import NamedTuple

from syncer.errors import Reason, RefusedError
from syncer.model import TERM_COUNTER_MAX, Mode, Term
from syncer.state.store import StateStore

NO_TERM = Term(0, "")
"""What a node has seen that saw none; every other one exceeds it."""


class ModeChange(NamedTuple):
    """The last change of the mode (Unix seconds)."""

    at: float
    before: Mode
    why: str
    peer: str
    """Name of the node that it came from; "": a person here, or a procedure."""
    is_told: bool
    """Whether the event of it is durable."""


def read_term(store: StateStore) -> Term:
    """Return the highest term seen; NO_TERM where there was none."""
    with store.read() as reader:
        return Term(*reader.execute("SELECT term_counter, term_node_id FROM node").fetchone())


def observe_term(store: StateStore, term: Term) -> None:
    """Record `term` durably where it is higher than the one known; a lower one changes nothing."""
    with store.transaction() as writer:
        # Row values compare as model.Term does: by counter, then by node id.
        writer.execute(
            "UPDATE node SET term_counter = ?1, term_node_id = ?2 WHERE (?1, ?2) > (term_counter, term_node_id)",
            (term.counter, term.node_id),
        )


def read_mode(store: StateStore, configured: Mode) -> tuple[Mode, Term]:
    """Return mode and term, of one moment; a node that was never started is what is `configured`."""
    with store.read() as reader:
        found = reader.execute("SELECT mode, term_counter, term_node_id FROM node").fetchone()
    return (configured if found[0] is None else Mode(found[0])), Term(*found[1:])


def take_mode(store: StateStore, mode: Mode, term: Term, why: str = "", peer: str = "") -> bool:
    """Make mode and term durable in one commit; returns False where both were in force already.

    A node that begins to be production ceases to be what its base says: the next thing it receives is a full
    synchronization. Raises RefusedError (STALE_TERM) for a term lower than the one seen, or for a production
    under the term of another node, or a term that none can be; StateError where the disk fails. Then nothing was
    changed.
    """
    _require_possible(term)
    with store.transaction() as writer:
        row = writer.execute("SELECT mode, term_counter, term_node_id, node_id, held_counter FROM node").fetchone()
        before, seen, own = row[0], Term(row[1], row[2]), str(row[3])
        if term < seen:
            raise RefusedError(
                f"this node cannot be {mode.value} with term {in_words(term)}: it has seen {in_words(seen)}, so "
                "another node was promoted since",
                Reason.STALE_TERM,
            )
        if mode is Mode.PRODUCTION and term.node_id != own:
            raise RefusedError(
                f"term {in_words(term)} is that of another node: a production node needs one of its own",
                Reason.STALE_TERM,
            )
        if (before, seen) == (mode.value, term):
            return False
        held = max(int(row[4]), term.counter) if mode is Mode.PRODUCTION else int(row[4])
        writer.execute(
            "UPDATE node SET mode = ?, term_counter = ?, term_node_id = ?, held_counter = ?",
            (mode.value, term.counter, term.node_id, held),
        )
        if before is not None and before != mode.value:
            writer.execute("DELETE FROM handover")
            if mode is Mode.PRODUCTION:
                # What was applied stays known as the last common state, but nothing may be built upon it.
                writer.execute("UPDATE standing SET resumable = 0")
            writer.execute(
                "INSERT OR REPLACE INTO mode_change (id, at, before, why, peer, told) VALUES (1, ?, ?, ?, ?, 0)",
                (time.time(), before, why, peer),
            )
        return True


def turn_mode_back(store: StateStore, mode: Mode, term: Term, why: str = "", peer: str = "") -> bool:
    """Make durable that a failover node is what it was before; raises as take_mode.

    What it has received is not what stands here any more once it captures again: nothing is built upon it.
    """
    with store.transaction() as writer:
        writer.execute("UPDATE standing SET resumable = 0")
        return take_mode(store, mode, term, why, peer)


def begin_mode(store: StateStore, configured: Mode) -> None:
    """Record what a node that starts for the first time is; a production begins with counter 1 of its own.

    Raises StateError.
    """
    with store.transaction():
        if store.mode() is not None:
            return
        term = read_term(store)
        if configured is Mode.PRODUCTION and not term.counter:
            term = Term(1, store.node_id)
        elif configured is Mode.PRODUCTION and term.node_id != store.node_id:
            # It has heard of a promotion before it ever was production: only a promotion of its own makes it one.
            configured = Mode.FENCED
        take_mode(store, configured, term)


def read_held(store: StateStore) -> Term:
    """Return the highest term that this node took for itself; NO_TERM where it was never production."""
    with store.read() as reader:
        counter, node_id = reader.execute("SELECT held_counter, node_id FROM node").fetchone()
    return Term(counter, node_id) if counter else NO_TERM


def next_term(store: StateStore) -> Term:
    """Return the term of a promotion of this node: above every one that it has seen or chosen, never a configured one.

    See handover.reserve_term, which chooses it for good. RefusedError where nothing is above what was seen.
    """
    with store.read() as reader:
        counters = reader.execute("SELECT term_counter, held_counter, reserved_counter FROM node").fetchone()
    term = Term(max(*counters, 1) + 1, store.node_id)
    _require_possible(term)
    return term


def read_mode_change(store: StateStore) -> ModeChange | None:
    """Return the last change of the mode; None where the node is what it was made as."""
    with store.read() as reader:
        row = reader.execute("SELECT at, before, why, peer, told FROM mode_change").fetchone()
    return None if row is None else ModeChange(row[0], Mode(row[1]), row[2], row[3], bool(row[4]))


def mode_change_told(store: StateStore, change: ModeChange) -> None:
    """The event of this change is durable; one that came since has an event of its own."""
    with store.transaction() as writer:
        writer.execute("UPDATE mode_change SET told = 1 WHERE at = ? AND before = ?", (change.at, change.before.value))


def _require_possible(term: Term) -> None:
    if term.counter > TERM_COUNTER_MAX:
        raise RefusedError(
            f"there is no term {term.counter}: a paired node has said the highest that can be, which no promotion "
            "reaches, so no node can be promoted above it; find out which one it was, then set the nodes up anew",
            Reason.STALE_TERM,
        )


def in_words(term: Term) -> str:
    """Return a term as people read it: its counter, and the beginning of the id of the node that took it."""
    return f"{term.counter} of node {term.node_id[:8]}" if term.node_id else str(term.counter)
