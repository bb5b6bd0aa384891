"""The switch of production from one node to another: its steps in order, and what the other node is ordered (pure).

The lead is to be production, the second is it before. The second gives the mode away durably before the lead takes
it, and the undo runs backwards, so that never two are production; the term that it is handed over to is chosen once,
in the journal of the lead, before anything is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.errors import PeerProtocolError, StepFailedError
from syncer.model import TERM_COUNTER_MAX, Cursor, Head, Term
from syncer.procedures.kinds import Run
from syncer.procedures.steps import Role, StepSpec

READY = "ready"
BEFORE_DEMOTE = "before_demote"
FREEZE = "freeze"
DRAIN = "drain"
EQUAL = "equal"
BEFORE_PROMOTE = "before_promote"
HAND_OVER = "hand_over"
TAKE_OVER = "take_over"
SERVE = "serve"
AFTER_PROMOTE = "after_promote"

DRAIN_SECONDS = 600.0
"""How long production stays frozen for what is left to arrive; then everything is undone."""

PLANNED = (
    StepSpec(READY, "Make sure that this node can take over"),
    StepSpec(BEFORE_DEMOTE, "Prepare production to let go", on=Role.SECOND),
    StepSpec(FREEZE, "Freeze production", on=Role.SECOND),
    StepSpec(DRAIN, "Wait until everything has arrived", on=Role.SECOND, limit=DRAIN_SECONDS),
    StepSpec(EQUAL, "Make sure that both are equal"),
    StepSpec(BEFORE_PROMOTE, "Prepare this node, and choose its term"),
    StepSpec(HAND_OVER, "Hand over: be production no more", on=Role.SECOND),
    StepSpec(TAKE_OVER, "Take over: be production"),
    StepSpec(SERVE, "Start the services and check them"),
    StepSpec(AFTER_PROMOTE, "Tell the surroundings"),
)
FORCED = (
    StepSpec(READY, "Make sure that this node can take over"),
    StepSpec(BEFORE_PROMOTE, "Prepare this node, and choose its term"),
    StepSpec(TAKE_OVER, "Take over: be production"),
    # Not the step before: as long as nothing serves here, a failure may leave the node what it was.
    StepSpec(SERVE, "Start the services and check them", point_of_no_return=True),
    StepSpec(AFTER_PROMOTE, "Tell the surroundings"),
)


def told_kinds(kind: str) -> tuple[str, str]:
    """Return how a hook is told of a kind of procedure: what switch it is, and by what command it was begun."""
    # A reverse is a planned switch as every other one is: hooks that need not know better need no second case.
    switch = {"promote_forced": "forced", "rejoin": "rejoin"}.get(kind, "planned")
    return switch, kind.removesuffix("_forced")


def ordered_handover(run: Run) -> Mapping[str, Any]:
    """Return what the handover is ordered with: the term that the lead has chosen."""
    return {"term": dict(run.results.get(BEFORE_PROMOTE, {}).get("term", {}))}


def term_document(term: Term) -> dict[str, Any]:
    """Return a term as results and orders carry it."""
    return {"counter": term.counter, "node_id": term.node_id}


def chosen_term(run: Run) -> Term:
    """Return the term that this node, the lead, has chosen for the promotion."""
    found = run.results.get(BEFORE_PROMOTE, {}).get("term", {})
    if not found:
        raise StepFailedError("no term was chosen for this promotion: begin it again", again=False)
    return Term(int(found["counter"]), str(found["node_id"]))


def ordered_term(run: Run) -> Term:
    """Return the term that an order hands over to, which can only be the lead's own. Raises PeerProtocolError."""
    found = run.parameters.get("term")
    counter = found.get("counter") if isinstance(found, Mapping) else None
    node_id = found.get("node_id") if isinstance(found, Mapping) else None
    if type(counter) is not int or not 1 < counter <= TERM_COUNTER_MAX or node_id != run.procedure.peer:
        raise PeerProtocolError(f"{run.procedure.peer_name} orders a handover to a term that cannot be its own")
    return Term(counter, str(node_id))


def head_documents(heads: Mapping[str, Head]) -> dict[str, Any]:
    """Return heads as a result carries them."""
    return {domain: head._asdict() for domain, head in heads.items()}


def heads_of(result: Mapping[str, Any]) -> dict[str, Head]:
    """Return the heads in a result of the other node. Raises PeerProtocolError where there are none."""
    found = result.get("heads")
    if not isinstance(found, Mapping) or not found:
        raise PeerProtocolError("the other node did not say where its index stands: update it")
    heads = {}
    for domain, fields in found.items():
        if not isinstance(fields, Mapping) or set(fields) != set(Head._fields) or type(fields.get("seq")) is not int:
            raise PeerProtocolError(f"the other node said of {domain!a} what is no place in an index: update it")
        heads[str(domain)] = Head(str(fields["index_id"]), str(fields["run"]), fields["seq"])
    return heads


def unequal(heads: Mapping[str, Head], cursors: Mapping[str, Cursor | None], drift: Mapping[str, int]) -> list[str]:
    """Say, for each domain, why what stands here is not what production has sent up to `heads`.

    A cursor may be beyond its head, since what changed after it was sent as well, and of an earlier run: whether that
    one can be built upon, production has decided as it drained.
    """
    flaws = []
    for domain, head in heads.items():
        cursor = cursors.get(domain)
        if domain not in cursors:
            flaws.append(f"{domain} is not configured here: add [domains.{domain}]")
        elif cursor is None or cursor.index_id != head.index_id or cursor.seq < head.seq:
            flaws.append(f"{domain} does not stand here as production has sent it: `syncer snapshot` there")
        elif drift.get(domain, 0):
            count = drift[domain]
            flaws.append(
                f"{count} path{'s' if count > 1 else ''} of {domain} {'were' if count > 1 else 'was'} edited here: "
                "`syncer drift` shows them, `syncer snapshot` on production puts them back"
            )
    return flaws


def stopping(domains: list[str], ran_before: object) -> list[str]:
    """Return which domains' services an undone promotion stops, the last one started first: not those that ran."""
    before = set(map(str, ran_before)) if isinstance(ran_before, list) else set()
    return [domain for domain in reversed(domains) if domain not in before]
