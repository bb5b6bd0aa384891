"""The small parts of messages: refusals, cursors, terms, problems and plans, as protobuf and back, checked."""

from __future__ import annotations

from collections.abc import Iterable

from syncer.errors import PeerProtocolError, Reason
from syncer.model import TERM_COUNTER_MAX, Cursor, Kind, Problem, Term
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate.checks import checked_cursor, checked_name, require

OUTPUT_AT_MOST = 16_384
"""Characters of a command's output that are taken from a peer."""

KINDS = {int(kind): kind for kind in Kind}
_REASONS = {reason.value: reason for reason in Reason}
_ACTIONS = ("", "create", "update", "metadata", "replace", "delete")


def refusal_out(reason: Reason, message: str, term: Term | None = None) -> pb.Refusal:
    """Return why something was refused as protobuf, with the term that the peer is to hear of."""
    said = None if term is None else pb.Term(counter=term.counter, node_id=term.node_id)
    return pb.Refusal(reason=reason.value, message=message, term=said)  # type: ignore[arg-type]  # Reason has the wire's numbers


def refusal_in(refusal: pb.Refusal) -> tuple[Reason, str]:
    """Return reason and sentence of a refusal; an unknown reason counts as UNSPECIFIED."""
    return _REASONS.get(refusal.reason, Reason.UNSPECIFIED), sentence(refusal.message)


def refused_term(refusal: pb.Refusal) -> Term | None:
    """Return the term that a refusal carries; None where it carries none, or one that is none."""
    if not refusal.HasField("term"):
        return None
    try:
        return term_in(refusal.term)
    except PeerProtocolError:
        # That it refused counts for more than that it cannot say why.
        return None


def sentence(text: str) -> str:
    """Return a peer's sentence as it may be shown: short, and without control characters."""
    return "".join(char if char.isprintable() else "?" for char in text[:1024])


def lines(text: str) -> str:
    """Return a peer's output of several lines as it may be shown."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text[:OUTPUT_AT_MOST])


def cursor_out(cursor: Cursor) -> pb.Cursor:
    """Return a cursor as protobuf."""
    return pb.Cursor(index_id=cursor.index_id, run=cursor.run, seq=cursor.seq)


def cursor_in(cursor: pb.Cursor) -> Cursor:
    """Return a cursor, checked; PeerProtocolError."""
    return checked_cursor(Cursor(cursor.index_id, cursor.run, cursor.seq))


def term_in(term: pb.Term) -> Term:
    """Return a term, checked; PeerProtocolError."""
    require(term.counter <= TERM_COUNTER_MAX, "a term counter is too large")
    return Term(term.counter, checked_name(term.node_id, "a node id"))


def problems_in(problems: Iterable[pb.Problem]) -> tuple[Problem, ...]:
    """Return problems; their reasons are safe to show."""
    return tuple(Problem("", item.path, sentence(item.reason)) for item in problems)


def items_out(items: Iterable[m.PlanItem]) -> list[pb.PlanItem]:
    """Return the paths of a plan as protobuf."""
    return [
        pb.PlanItem(
            path=item.path,
            action=_ACTIONS.index(item.action),  # type: ignore[arg-type]  # positions are the wire's numbers
            kind=item.kind,  # type: ignore[arg-type]  # our Kind has the same numbers as the wire's
            size=item.size,
        )
        for item in items
    ]


def items_in(items: Iterable[pb.PlanItem]) -> tuple[m.PlanItem, ...]:
    """Return the paths of a plan, checked; PeerProtocolError."""
    found = []
    for item in items:
        require(0 < item.action < len(_ACTIONS) and item.kind in KINDS, "a plan item of an unknown kind")
        found.append(m.PlanItem(item.path, _ACTIONS[item.action], KINDS[item.kind], item.size))
    return tuple(found)
