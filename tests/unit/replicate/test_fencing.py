"""What follows from a term that a peer says, over all modes and terms; and of two productions exactly one is fenced."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import Reason
from syncer.model import NEVER, Mode, Start, Term
from syncer.replicate.fencing import Objection, Rank, Verdict, answer, are_split, is_copy, judge, object_to

P, F, X = Mode.PRODUCTION, Mode.FAILOVER, Mode.FENCED
NOTHING = Verdict(False, False, False)
RECORDS = Verdict(True, False, False)
FENCES = Verdict(True, True, False)
SPLIT = Verdict(False, False, True)
SPLIT_RECORDS = Verdict(True, False, True)
SPLIT_FENCES = Verdict(True, True, True)


@pytest.mark.parametrize(
    ("own", "heard", "in_production", "elsewhere"),
    [
        # Counter 1 is what a node configures itself to.
        (Term(1, "m"), Term(1, "m"), NOTHING, NOTHING),
        (Term(1, "m"), Term(1, "a"), NOTHING, NOTHING),
        (Term(1, "m"), Term(1, "z"), NOTHING, RECORDS),
        (Term(0, ""), Term(1, "z"), NOTHING, RECORDS),
        (Term(0, ""), Term(0, ""), NOTHING, NOTHING),
        # Promotions one after the other.
        (Term(1, "m"), Term(2, "a"), FENCES, RECORDS),
        (Term(1, "m"), Term(2, "z"), FENCES, RECORDS),
        (Term(2, "m"), Term(1, "z"), NOTHING, NOTHING),
        (Term(2, "m"), Term(2, "m"), NOTHING, NOTHING),
        (Term(2, "m"), Term(3, "m"), FENCES, RECORDS),
        (Term(3, "m"), Term(2, "z"), NOTHING, NOTHING),
        # Promotions that did not know of each other.
        (Term(2, "m"), Term(2, "a"), SPLIT, SPLIT),
        (Term(2, "m"), Term(2, "z"), SPLIT_FENCES, SPLIT_RECORDS),
        (Term(9, "m"), Term(9, "z"), SPLIT_FENCES, SPLIT_RECORDS),
    ],
)
def test_what_follows_from_a_term(own: Term, heard: Term, in_production: Verdict, elsewhere: Verdict) -> None:
    assert judge(Rank(P, own), heard) == in_production
    assert judge(Rank(F, own), heard) == elsewhere
    assert judge(Rank(X, own), heard) == elsewhere


@pytest.mark.parametrize(
    ("mode", "own", "heard", "reason", "words"),
    [
        (F, Term(2, "m"), Term(2, "m"), None, ""),
        (F, Term(2, "m"), Term(3, "a"), None, ""),
        (F, Term(1, "m"), Term(1, "z"), None, ""),
        (F, Term(3, "m"), Term(2, "z"), Reason.STALE_TERM, "comes with term 2, but here has seen 3"),
        (F, Term(2, "m"), Term(2, "a"), Reason.STALE_TERM, "comes with term 2 (node a), but here has seen 2 (node m)"),
        # The term before the mode: each of these nodes takes nothing anyway, and one left behind must hear why.
        (P, Term(3, "m"), Term(2, "z"), Reason.STALE_TERM, "another node was promoted"),
        (X, Term(3, "m"), Term(2, "z"), Reason.STALE_TERM, "another node was promoted"),
        (P, Term(3, "m"), Term(1, "z"), Reason.STALE_TERM, "another node was promoted"),
        (P, Term(3, "m"), Term(3, "m"), Reason.WRONG_MODE, "is production under term 3"),
        (P, Term(3, "m"), Term(4, "a"), Reason.WRONG_MODE, "is fenced now"),
        (P, Term(1, "m"), Term(2, "a"), Reason.WRONG_MODE, "is fenced now"),
        (X, Term(3, "m"), Term(3, "m"), Reason.WRONG_MODE, "is fenced, and takes nothing"),
        (X, Term(3, "m"), Term(4, "a"), Reason.WRONG_MODE, "is fenced, and takes nothing"),
        (P, Term(1, "m"), Term(1, "a"), Reason.WRONG_MODE, "both configured as production"),
        (P, Term(1, "m"), Term(1, "z"), Reason.WRONG_MODE, "both configured as production"),
    ],
)
def test_who_may_send_here(mode: Mode, own: Term, heard: Term, reason: Reason | None, words: str) -> None:
    found = object_to(Rank(mode, own), "here", "there", heard)
    if reason is None:
        assert found is None
    else:
        assert isinstance(found, Objection)
        assert found.reason is reason
        assert words in found.message
        assert "there" in found.message or mode is X or own == heard


NODES = ("a", "b", "c")
TERMS = st.builds(Term, st.integers(1, 4), st.sampled_from(NODES))


class Node:
    """A node that does what is decided."""

    def __init__(self, mode: Mode, term: Term) -> None:
        self.rank = Rank(mode, term)
        self.held = term if mode is P else Term(0, "")
        self.split_brain = False

    def hear(self, term: Term) -> Term:
        """Return what it answers."""
        said = answer(self.rank, self.held, term)
        verdict = judge(self.rank, term)
        self.split_brain |= verdict.split_brain
        if verdict.records:
            self.rank = Rank(X if verdict.fences else self.rank.mode, term)
        return said


def speak(one: Node, other: Node, *, answered: bool = True) -> None:
    said = other.hear(answer(one.rank, one.held, other.rank.term))
    if answered:
        one.hear(said)


@pytest.mark.parametrize("counters", list(itertools.product((1, 2, 3), repeat=2)))
@pytest.mark.parametrize("nodes", [("a", "b"), ("b", "a")])
def test_of_two_productions_exactly_one_is_fenced_whoever_speaks_first(
    counters: tuple[int, int], nodes: tuple[str, str]
) -> None:
    one, other = (Node(P, Term(counter, node)) for counter, node in zip(counters, nodes, strict=True))
    lower = min((one, other), key=lambda node: node.rank.term)
    speak(one, other)
    fenced = [node for node in (one, other) if node.rank.mode is X]
    assert fenced == ([] if counters == (1, 1) else [lower])
    split = counters[0] == counters[1] >= 2
    assert (one.split_brain, other.split_brain) == (split, split)


def test_a_split_brain_is_told_on_both_sides_though_the_first_answer_was_lost() -> None:
    winner, loser = Node(P, Term(2, "b")), Node(P, Term(2, "a"))
    speak(winner, loser, answered=False)
    assert (winner.split_brain, loser.split_brain, loser.rank.mode) == (False, True, X)
    speak(winner, loser)
    assert winner.split_brain
    assert winner.rank.mode is P
    # To everybody else it says what is highest.
    assert answer(loser.rank, loser.held, Term(1, "c")) == Term(2, "b")


MESSAGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=40)


@given(st.lists(st.tuples(st.sampled_from([P, F, X]), TERMS), min_size=4, max_size=4), MESSAGES)
def test_whatever_is_said_the_highest_production_is_never_fenced_and_terms_only_rise(
    made: list[tuple[Mode, Term]], said: list[tuple[int, int, bool]]
) -> None:
    # A production has a term of its own, and nobody knows a term that nobody took.
    nodes = [
        Node(mode, Term(term.counter, f"n{number}") if mode is P else Term(1, "n0"))
        for number, (mode, term) in enumerate(made)
    ]
    productions = [node for node in nodes if node.rank.mode is P]
    highest = max((node.rank.term for node in productions), default=None)
    for speaker, listener, answered in said:
        before = [node.rank for node in nodes]
        speak(nodes[speaker], nodes[listener], answered=answered)
        for node, rank in zip(nodes, before, strict=True):
            assert node.rank.term >= rank.term
            assert node.rank.mode is rank.mode or (rank.mode, node.rank.mode) == (P, X)
    for node in productions:
        if node.held == highest or node.held.counter == highest.counter == 1:  # type: ignore[union-attr]  # one at least
            assert node.rank.mode is P
    # Two that are left have never heard of each other, or nobody promoted either.
    for one, other in itertools.combinations(productions, 2):
        both_send = one.rank.mode is other.rank.mode is P
        speak(one, other)
        if both_send:
            fenced = [one.rank.mode, other.rank.mode].count(X)
            assert fenced == (1 if max(one.held, other.held).counter >= 2 else 0)


@given(TERMS, TERMS)
def test_a_split_is_seen_from_both_sides_alike(one: Term, other: Term) -> None:
    assert are_split(one, other) == are_split(other, one)
    assert not are_split(one, one)


@pytest.mark.parametrize(
    ("known", "said", "copied"),
    [
        (NEVER, Start(3, "x"), False),
        (Start(3, "x"), Start(3, "x"), False),
        (Start(3, "x"), Start(4, "y"), False),
        (Start(3, "x"), Start(3, "y"), True),
        (Start(3, "x"), Start(2, "y"), True),
        # A node of an older version counts nothing.
        (Start(3, "x"), NEVER, False),
    ],
)
def test_a_copied_identity_is_told_from_a_restart(known: Start, said: Start, copied: bool) -> None:
    assert is_copy(known, said) is copied
