"""The highest fencing term this node has seen; it is only ever raised."""

from __future__ import annotations

from syncer.model import Term
from syncer.state.store import StateStore


def read_term(store: StateStore) -> Term:
    """Return the highest term seen; Term(0, "") where there was none, which every other one exceeds."""
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
