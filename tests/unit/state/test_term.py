"""Mode and term: one commit, a term that only rises and is never used twice, and what a promotion does to the base."""

from __future__ import annotations

import pytest

from syncer.errors import Reason, RefusedError
from syncer.model import NEVER, TERM_COUNTER_MAX, Cursor, Mode, Start, Term
from syncer.state.cursors import Standing, read_standing, write_standing
from syncer.state.handover import reserve_term
from syncer.state.starts import (
    after_restore,
    begin_start,
    forget_peer_start,
    read_peer_start,
    remember_peer_start,
)
from syncer.state.store import StateStore
from syncer.state.term import (
    begin_mode,
    in_words,
    mode_change_told,
    next_term,
    observe_term,
    read_held,
    read_mode,
    read_mode_change,
    take_mode,
)

P, F, X = Mode.PRODUCTION, Mode.FAILOVER, Mode.FENCED


def test_a_new_node_is_what_is_configured_and_a_production_begins_with_a_term_of_its_own(store: StateStore) -> None:
    assert read_mode(store, P) == (P, Term(0, ""))
    begin_mode(store, P)
    assert read_mode(store, F) == (P, Term(1, store.node_id))
    # Later it is what it has become.
    begin_mode(store, F)
    assert read_mode(store, F) == (P, Term(1, store.node_id))
    assert read_mode_change(store) is None


def test_a_new_failover_has_seen_nothing(store: StateStore) -> None:
    begin_mode(store, F)
    assert read_mode(store, P) == (F, Term(0, ""))
    # A counter of 1 would fence nobody.
    assert next_term(store) == Term(2, store.node_id)


def test_a_node_that_heard_of_a_promotion_before_its_first_start_does_not_begin_as_production(
    store: StateStore,
) -> None:
    observe_term(store, Term(3, "another"))
    begin_mode(store, P)
    assert read_mode(store, P) == (X, Term(3, "another"))


def test_a_lower_term_is_refused_and_changes_nothing(store: StateStore) -> None:
    take_mode(store, P, Term(3, store.node_id))
    before = read_mode(store, F)
    for mode in Mode:
        with pytest.raises(RefusedError) as refused:
            take_mode(store, mode, Term(2, store.node_id))
        assert refused.value.reason is Reason.STALE_TERM
    with pytest.raises(RefusedError):
        take_mode(store, P, Term(9, "another"))
    assert read_mode(store, F) == before


def test_the_same_again_is_no_change_and_an_undone_handover_keeps_its_term(store: StateStore) -> None:
    own = Term(2, store.node_id)
    assert take_mode(store, P, own)
    assert not take_mode(store, P, own)
    assert take_mode(store, F, own, "handed over")
    assert take_mode(store, P, own, "the handover was undone")
    assert read_held(store) == own
    change = read_mode_change(store)
    assert change is not None
    assert (change.before, change.why, change.is_told) == (F, "the handover was undone", False)
    mode_change_told(store, change)
    again = read_mode_change(store)
    assert again is not None
    assert again.is_told


def test_the_next_term_is_above_all_that_was_seen_or_held(store: StateStore) -> None:
    take_mode(store, P, Term(5, store.node_id))
    observe_term(store, Term(7, "another"))
    assert next_term(store) == Term(8, store.node_id)
    assert read_held(store) == Term(5, store.node_id)


def test_a_term_above_the_highest_that_can_be_is_refused_and_changes_nothing(store: StateStore) -> None:
    begin_mode(store, F)
    with pytest.raises(RefusedError, match="there is no term"):
        take_mode(store, P, Term(TERM_COUNTER_MAX + 1, store.node_id))
    assert read_mode(store, F) == (F, Term(0, ""))
    assert reserve_term(store) == Term(2, store.node_id)
    observe_term(store, Term(TERM_COUNTER_MAX, "another"))
    for choose in (next_term, reserve_term):
        with pytest.raises(RefusedError, match="there is no term"):
            choose(store)
    with store.read() as reader:
        assert reader.execute("SELECT reserved_counter FROM node").fetchone() == (2,)


def test_what_was_applied_stays_known_but_nothing_is_built_upon_it_after_a_promotion(store: StateStore) -> None:
    begin_mode(store, F)
    standing = Standing(Cursor("index", "run", 7), "production", b"p", b"r", resumable=True, generation=4)
    with store.transaction() as writer:
        write_standing(writer, "nginx", standing)
    take_mode(store, P, Term(2, store.node_id))
    assert read_standing(store, "nginx") == standing._replace(resumable=False)


def test_starts_count_up_and_those_of_peers_are_remembered_until_a_person_pairs_again(store: StateStore) -> None:
    first, second = begin_start(store), begin_start(store)
    assert (first.number, second.number) == (1, 2)
    assert first.instance != second.instance
    after_restore(store)
    assert begin_start(store).number > 1000
    assert read_peer_start(store, "peer") == NEVER
    for start in (Start(1, "a"), Start(1, "a"), Start(2, "b")):
        remember_peer_start(store, "peer", start)
        assert read_peer_start(store, "peer") == start
    forget_peer_start(store, "peer")
    assert read_peer_start(store, "peer") == NEVER


def test_a_state_that_takes_nothing_neither_keeps_a_node_from_starting_nor_ends_a_session(store: StateStore) -> None:
    remember_peer_start(store, "peer", Start(1, "a"))
    with store.read() as connection:
        connection.execute("PRAGMA query_only = ON")
    assert begin_start(store) == NEVER
    remember_peer_start(store, "peer", Start(2, "b"))
    assert read_peer_start(store, "peer") == Start(1, "a")


@pytest.mark.parametrize(("term", "words"), [(Term(3, "0123456789ab"), "3 of node 01234567"), (Term(0, ""), "0")])
def test_a_term_in_words(term: Term, words: str) -> None:
    assert in_words(term) == words
