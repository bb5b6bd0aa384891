"""The three sides as the stores tell them, and what the other node changed and never sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.index.store import IndexStore
from syncer.model import Cursor
from syncer.procedures.comparison import State, compare
from syncer.procedures.home_sides import is_undecided, last_common, others
from syncer.procedures.unsent import sent_up_to, unsent, unsent_changes
from syncer.state.base import Base
from syncer.state.cursors import read_standing
from syncer.substitution.rules import Rule, RuleSet
from tests.unit.replicate.two_nodes import DOMAIN, Node

RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10")])


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    production, failover = Node(tmp_path, "prod", RULES), Node(tmp_path, "dr")
    for name in ("a", "b", "gone"):
        (production.root / name).write_bytes(b"10.0.1.10")
    (production.root / "both").write_bytes(b"10.0.1.10 10.0.2.10")
    production.capture()
    production.send(failover)
    yield production, failover
    production.close()
    failover.close()


def cursor_of(failover: Node) -> Cursor:
    standing = read_standing(failover.store, DOMAIN)
    assert standing is not None
    return standing.cursor


def test_what_was_never_sent_is_what_lies_above_the_cursor_with_its_deletions(pair: tuple[Node, Node]) -> None:
    production, failover = pair
    up_to = sent_up_to(production.index, DOMAIN, cursor_of(failover))
    with production.index.snapshot(DOMAIN) as snapshot:
        assert unsent(snapshot, up_to) == (0, 0, None, False)
    (production.root / "a").write_bytes(b"changed")
    (production.root / "gone").unlink()
    production.capture()
    with production.index.snapshot(DOMAIN) as snapshot:
        found = {change.path: change.entry is None for change in unsent_changes(snapshot, up_to)}
        assert found == {b"": False, b"a": False, b"gone": True}
        summed = unsent(snapshot, up_to)
        assert (summed.changes, summed.bytes, summed.by_content) == (3, 7, False)


def test_an_index_that_was_built_anew_is_compared_by_content_as_a_whole(pair: tuple[Node, Node]) -> None:
    production, failover = pair
    cursor = cursor_of(failover)
    (production.root / "a").write_bytes(b"changed")
    (production.root / "gone").unlink()
    production.index.close()
    production.index.path.unlink()
    production.index = IndexStore.open(production.index.path)
    production.capture()
    assert sent_up_to(production.index, DOMAIN, cursor) is None
    assert sent_up_to(production.index, DOMAIN, None) is None
    with production.index.snapshot(DOMAIN) as snapshot:
        assert unsent(snapshot, None).by_content
        assert [change.path for change in unsent_changes(snapshot, None)] == [b"", b"a", b"b", b"both"]
        failover.capture()
        with failover.index.snapshot(DOMAIN) as here:
            home = list(failover.tree(production, here)[0].entries())
        compared = compare(last_common(Base(failover.store), DOMAIN), home, others(snapshot, None), is_undecided)
    assert {found.path: found.state for found in compared.differences} == {b"a": State.THERE, b"gone": State.THERE}


def test_an_edit_that_only_production_could_turn_back_is_shown_as_one_that_waits(pair: tuple[Node, Node]) -> None:
    production, failover = pair
    (failover.root / "both").write_bytes(b"10.0.2.10 10.0.2.10 more")
    failover.capture()
    up_to = sent_up_to(production.index, DOMAIN, cursor_of(failover))
    with production.index.snapshot(DOMAIN) as there, failover.index.snapshot(DOMAIN) as here:
        home = list(failover.tree(production, here)[0].entries())
        compared = compare(last_common(Base(failover.store), DOMAIN), home, others(there, up_to), is_undecided)
    [found] = compared.differences
    assert (found.path, found.state, found.needs_person) == (b"both", State.HERE, True)
