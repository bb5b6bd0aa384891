"""What follows from a term that a peer says: nothing, a record, or the end of this node's production (pure).

Of two productions that hear of each other exactly one is fenced, whichever of them speaks first: the one with the
lower term. Two exceptions prove nobody right: terms with counter 1 are what nodes configure themselves to, so they
fence nobody; equal counters above are two promotions that did not know of each other, so both sides are told.
"""

from __future__ import annotations

from typing import NamedTuple

from syncer.errors import Reason
from syncer.model import Mode, Start, Term

FENCES_FROM = 2
"""The lowest counter that a promotion takes; a lower one fences nobody."""


class Rank(NamedTuple):
    """What a node is, and the highest term it has seen: while it is production, its own."""

    mode: Mode
    term: Term


class Verdict(NamedTuple):
    """What a node does about a term that it hears."""

    records: bool
    """The term is made durable."""
    fences: bool
    """This node stops sending at once, and becomes fenced under that term."""
    split_brain: bool
    """Two nodes were promoted without knowing of each other."""


class Objection(NamedTuple):
    """Why a node does not listen to a peer that comes as production."""

    reason: Reason
    message: str


def judge(own: Rank, term: Term) -> Verdict:
    """Decide what follows from a peer's term, in whichever message it came."""
    is_higher = term > own.term
    split_brain = are_split(own.term, term)
    if own.mode is Mode.PRODUCTION:
        fences = is_higher and term.counter >= FENCES_FROM
        # A term that does not fence a production is not its own either.
        return Verdict(fences, fences, split_brain)
    return Verdict(is_higher, False, split_brain)


def are_split(one: Term, other: Term) -> bool:
    """Tell whether both terms were taken by promotions of two nodes that did not know of each other."""
    return one.counter == other.counter >= FENCES_FROM and one.node_id != other.node_id


def object_to(own: Rank, name: str, peer: str, term: Term) -> Objection | None:
    """Say why this node (`name`) does not let `peer` send under `term`; None where it does.

    The term comes before the mode: whoever was left behind by a promotion must hear that first.
    """
    if own.mode is Mode.PRODUCTION and judge(own, term).fences:
        return Objection(
            Reason.WRONG_MODE,
            f"{name} was production under term {own.term.counter} and is fenced now, since {peer} comes with term "
            f"{term.counter}: run `syncer rejoin` on {name}",
        )
    if own.mode is Mode.PRODUCTION and own.term.counter < FENCES_FROM:
        return Objection(
            Reason.WRONG_MODE,
            f"{name} and {peer} are both configured as production, so neither takes what the other sends: "
            'configure `mode = "failover"` for one of them before its first start, or set it up anew',
        )
    if term < own.term:
        return Objection(
            Reason.STALE_TERM,
            f"{peer} comes with term {in_short(term, own.term)}, but {name} has seen {in_short(own.term, term)}: "
            "another node was promoted since",
        )
    if own.mode is Mode.PRODUCTION:
        return Objection(
            Reason.WRONG_MODE,
            f"{name} is production under term {own.term.counter}, and takes what no other node sends",
        )
    if own.mode is Mode.FENCED:
        return Objection(
            Reason.WRONG_MODE,
            f"{name} is fenced, and takes nothing before a person has decided what becomes of its own changes: run "
            f"`syncer rejoin` on {name}",
        )
    return None


def answer(own: Rank, held: Term, term: Term) -> Term:
    """Return the term to answer `term` with; `held` is the highest one that this node took for itself.

    Who has fenced this node by an equal counter must hear of that one, or it would never know of the split brain;
    everybody else hears the highest term that this node knows.
    """
    if own.mode is not Mode.PRODUCTION and term == own.term and are_split(held, term):
        return held
    return own.term


def in_short(term: Term, beside: Term) -> str:
    """Return a term as its counter; beside another one with the same counter, with the node that took it."""
    if term.counter == beside.counter and term.node_id:
        return f"{term.counter} (node {term.node_id[:8]})"
    return str(term.counter)


def is_copy(known: Start, said: Start) -> bool:
    """Tell whether a node that says it is this start cannot be the one that was known, but a copy of its identity.

    A restart counts on; a second machine with the same identity does not know how far the first one has counted. The
    copy may have come first: which of both is the right one, a person must say.
    """
    if not known.instance or not said.instance or said.instance == known.instance:
        return False
    return said.number <= known.number


def copy_sentence(node: str, cure: str) -> str:
    """Say that two machines run with the identity of `node`; `cure` is how the right one is believed again."""
    return (
        f"two machines run with the identity of {node}, or its state was restored from an older copy: where one of "
        f"them is a clone, end its agent and set it up anew (`syncer init`); then, for the right one, {cure}"
    )
