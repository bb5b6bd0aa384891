"""The switch of a role, decided without I/O: its order, the term that is handed over, and what counts as equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from syncer.errors import PeerProtocolError, StepFailedError
from syncer.model import Cursor, Head, Term
from syncer.procedures import switching
from syncer.procedures.kinds import Run
from syncer.procedures.steps import Procedure, Role

LEAD = "11111111-1111-1111-1111-111111111111"
HEAD = Head("index", "run", 7)


def run_of(parameters: Mapping[str, Any] | None = None, results: Mapping[str, Any] | None = None) -> Run:
    procedure = Procedure("0" * 32, "promote", Role.SECOND, LEAD, "dr-a", {}, switching.PLANNED)
    return Run(procedure, parameters or {}, results or {}, lambda *_: None)


def test_the_role_is_given_away_before_it_is_taken_and_all_that_may_fail_early_comes_first() -> None:
    names = [spec.name for spec in switching.PLANNED]
    assert names.index("drain") < names.index("equal") < names.index("before_promote") < names.index("hand_over")
    assert names.index("hand_over") < names.index("take_over") < names.index("serve") < names.index("after_promote")
    on_second = {spec.name for spec in switching.PLANNED if spec.on is Role.SECOND}
    assert on_second == {"before_demote", "freeze", "drain", "hand_over"}
    # Of a switch alone everything can be undone.
    assert not any(spec.point_of_no_return for spec in switching.PLANNED)


def test_a_forced_one_asks_nobody_and_can_be_undone_until_it_serves() -> None:
    assert {spec.on for spec in switching.FORCED} == {Role.LEAD}
    assert [spec.name for spec in switching.FORCED if spec.point_of_no_return] == ["serve"]
    planned = {spec.name: spec.title for spec in switching.PLANNED}
    assert all(planned[spec.name] == spec.title for spec in switching.FORCED)


def test_the_term_that_is_handed_over_is_the_one_that_the_lead_has_journalled() -> None:
    term = Term(5, LEAD)
    results = {"before_promote": {"term": switching.term_document(term)}}
    order = switching.ordered_handover(run_of(results=results))
    assert switching.ordered_term(run_of(order)) == switching.chosen_term(run_of(results=results)) == term
    with pytest.raises(StepFailedError, match="no term was chosen"):
        switching.chosen_term(run_of())


@pytest.mark.parametrize(
    "term",
    [
        None,
        "5",
        [],
        {},
        {"counter": 5},
        {"counter": 5, "node_id": "22222222-2222-2222-2222-222222222222"},
        {"counter": 1, "node_id": LEAD},
        {"counter": 0, "node_id": LEAD},
        {"counter": -3, "node_id": LEAD},
        {"counter": True, "node_id": LEAD},
        {"counter": 2.0, "node_id": LEAD},
        {"counter": 2**60, "node_id": LEAD},
    ],
)
def test_an_order_that_hands_over_to_what_cannot_be_the_leads_own_term_is_refused(term: object) -> None:
    with pytest.raises(PeerProtocolError, match="cannot be its own"):
        switching.ordered_term(run_of({"term": term}))


@pytest.mark.parametrize(
    "result",
    [{}, {"heads": []}, {"heads": {}}, {"heads": {"d": 3}}, {"heads": {"d": {"index_id": "x"}}},
     {"heads": {"d": {"index_id": "x", "run": "y", "seq": "1"}}}],
)  # fmt: skip  # one case after another
def test_what_is_no_place_in_an_index_is_refused(result: dict[str, Any]) -> None:
    with pytest.raises(PeerProtocolError):
        switching.heads_of(result)


def test_heads_survive_their_way() -> None:
    heads = {"a": HEAD, "b": Head("other", "run", 0)}
    assert switching.heads_of({"heads": switching.head_documents(heads)}) == heads


@pytest.mark.parametrize(
    ("cursors", "drift", "flaw"),
    [
        ({"d": Cursor("index", "run", 7)}, {}, ""),
        ({"d": Cursor("index", "run", 9)}, {"d": 0}, ""),
        ({"d": Cursor("index", "an earlier run", 7)}, {}, ""),
        ({"d": Cursor("index", "run", 6)}, {}, "does not stand here"),
        ({"d": Cursor("another", "run", 7)}, {}, "does not stand here"),
        ({"d": None}, {}, "does not stand here"),
        ({}, {}, "is not configured here"),
        ({"d": Cursor("index", "run", 7)}, {"d": 1}, "1 path of d was edited here"),
        ({"d": Cursor("index", "run", 7)}, {"d": 2}, "2 paths of d were edited here"),
    ],
)
def test_equal_is_what_stands_where_production_does_and_was_not_edited(
    cursors: dict[str, Cursor | None], drift: dict[str, int], flaw: str
) -> None:
    found = switching.unequal({"d": HEAD}, cursors, drift)
    assert flaw in "; ".join(found)
    assert bool(found) == bool(flaw)


@pytest.mark.parametrize(
    ("ran_before", "stopped"),
    [([], ["c", "b", "a"]), (["b"], ["c", "a"]), (None, ["c", "b", "a"]), (["a", "b", "c"], [])],
)
def test_an_undo_stops_what_it_started_in_reverse(ran_before: object, stopped: list[str]) -> None:
    assert switching.stopping(["a", "b", "c"], ran_before) == stopped
