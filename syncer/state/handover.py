"""The handover of production's mode by a procedure: recorded with the mode, so that only it can be taken back."""

from __future__ import annotations

import time
from typing import NamedTuple

from syncer.errors import Reason, RefusedError
from syncer.model import Mode, Term
from syncer.state.store import StateStore
from syncer.state.term import in_words, next_term, observe_term, read_term, take_mode


class Handover(NamedTuple):
    """What a node that is fenced has given away by itself."""

    procedure: str
    """Id of the procedure."""
    term: Term
    """That it was handed over to."""


def read_handover(store: StateStore) -> Handover | None:
    """Return the handover by which this node is fenced; None where it is not, or was fenced by a higher term."""
    with store.read() as reader:
        row = reader.execute("SELECT procedure, counter, node_id FROM handover").fetchone()
    return None if row is None else Handover(row[0], Term(row[1], row[2]))


def reserve_term(store: StateStore) -> Term:
    """Choose the term of a promotion, durably: whatever becomes of that, no later one takes it. Raises StateError."""
    with store.transaction() as writer:
        term = next_term(store)
        writer.execute("UPDATE node SET reserved_counter = ?", (term.counter,))
    return term


def claim_term(store: StateStore) -> Term:
    """Choose a term as `reserve_term`, and have it be the highest that this node has seen. Raises StateError."""
    with store.transaction():
        term = reserve_term(store)
        observe_term(store, term)
    return term


def give_mode(store: StateStore, mode: Mode, term: Term, why: str, peer: str, *, procedure: str) -> bool:
    """Make it durable that this node is fenced by its own handover; raises as take_mode."""
    with store.transaction() as writer:
        changed = take_mode(store, mode, term, why, peer)
        # CRASH: in one commit with the mode: a node that starts fenced knows whether it gave it away itself.
        writer.execute("INSERT OR REPLACE INTO handover VALUES (1, ?, ?, ?)", (procedure, *term))
        writer.execute("UPDATE mode_change SET told = 1")
    return changed


def take_mode_back(store: StateStore, mode: Mode, term: Term, why: str, peer: str, *, procedure: str) -> bool:
    """Make it durable that this node is production again; RefusedError where it is not its own handover's to undo.

    Refused as well where a term above the handed-over one was seen: then another node was promoted since.
    """
    with store.transaction():
        given = read_handover(store)
        if given is None or given.procedure != procedure:
            raise RefusedError("this node was not fenced by a handover of this procedure", Reason.WRONG_MODE)
        if is_overtaken(store, given):
            raise RefusedError(overtaken_sentence(store, given), Reason.STALE_TERM)
        return take_mode(store, mode, term, why, peer)


def stay_fenced(store: StateStore, why: str) -> None:
    """Make it durable that this node is fenced for good, and not by its own handover any more; to be told."""
    with store.transaction() as writer:
        writer.execute("DELETE FROM handover")
        writer.execute(
            "INSERT OR REPLACE INTO mode_change (id, at, before, why, peer, told) VALUES (1, ?, ?, ?, '', 0)",
            (time.time(), Mode.PRODUCTION.value, why),
        )


def is_overtaken(store: StateStore, given: Handover) -> bool:
    """Tell whether a term above the handed-over one was seen."""
    return read_term(store) > given.term


def overtaken_sentence(store: StateStore, given: Handover) -> str:
    """Say why a handover is not taken back."""
    return (
        f"it handed over to term {in_words(given.term)} and has seen {in_words(read_term(store))} since: another node "
        "was promoted meanwhile, so it does not become production again"
    )
