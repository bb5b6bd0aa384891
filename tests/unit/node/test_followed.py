"""Only the production node that a node follows has a procedure change what that is: by its term, not by its word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from syncer.errors import PeerRejectedError
from syncer.model import Mode, Term
from syncer.node.agent import Node
from syncer.node.followed import followed_flaw
from syncer.node.kinds import PROMOTE, REJOIN
from syncer.node.switch_side import SwitchSide
from syncer.procedures.home_client import HomeCaller
from syncer.procedures.kinds import Run
from syncer.procedures.messages import Speaker
from syncer.procedures.reverse import REVERSE
from syncer.procedures.steps import Outcome
from syncer.replicate.fencing import Rank
from syncer.state.cursors import read_standing
from syncer.state.peers import Peer, peer_by_node_id
from syncer.state.term import read_term
from tests.unit.node.running import DOMAIN, F, P, Place, X, run, until
from tests.unit.node.test_introducing import Three, is_equal, knows, promoted, three
from tests.unit.node.test_promotion import ended, is_over, known

__all__ = ["three"]

A, B, C = "a-node", "b-node", "c-node"


@pytest.mark.parametrize(
    ("said", "own", "words"),
    [
        (Rank(P, Term(1, A)), Term(1, A), ""),
        (Rank(P, Term(7, A)), Term(7, A), ""),
        (Rank(F, Term(7, A)), Term(7, A), "is failover"),
        (Rank(X, Term(7, A)), Term(7, A), "is fenced"),
        (Rank(P, Term(1, A)), Term(2, C), "another node was promoted since"),
        (Rank(P, Term(1, C)), Term(1, C), "is that of node c-node"),
        (Rank(P, Term(7, C)), Term(7, C), "is that of node c-node"),
        (Rank(P, Term(7, A)), Term(7, C), "another node was promoted since"),
    ],
)
def test_a_mode_is_only_said_but_a_term_belongs_to_who_took_it(said: Rank, own: Term, words: str) -> None:
    flaw = followed_flaw("b", own, "a", A, said)
    assert (words in flaw) if words else not flaw


class Agrees:
    """A step that does nothing, and says what it is made to."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = result

    async def require(self, run: Run) -> None:
        pass

    async def do(self, run: Run) -> Mapping[str, Any]:
        return self._result

    async def verify(self, run: Run) -> None:
        pass

    async def undo(self, run: Run) -> None:
        pass


def pretend(node: Node) -> None:
    """Have a node say that it is production, and that it has done whatever it is ordered."""
    voice: Any = node.procedures.voice
    speaker = voice._speaker

    def lie(rank: Rank) -> Speaker:
        return speaker(rank)._replace(mode=Mode.PRODUCTION)  # type: ignore[no-any-return]  # of an Any

    voice._speaker = lie
    standing = read_standing(node.store, DOMAIN)
    assert standing is not None
    assert standing.cursor is not None
    heads: dict[str, Any] = {
        "heads": {DOMAIN: {"index_id": standing.cursor.index_id, "run": "r", "seq": standing.cursor.seq}}
    }
    said: dict[str, dict[str, Any]] = {"drain": heads, "freeze": {"starting": []}}
    for name in (REVERSE, PROMOTE, REJOIN):
        kind = node.kinds.find(name)
        assert kind is not None
        actions: Any = kind.actions
        for step in actions:
            actions[step] = Agrees(said.get(step, {}))


def to(node: Node, place: Place) -> Peer:
    found = peer_by_node_id(node.store, place.node_id)
    assert found is not None
    return found


async def asks_to_reverse(node: Node, other: Peer) -> None:
    caller = HomeCaller(node.procedures.caller(other), other.name)
    try:
        await caller.begin(REVERSE, {})
    finally:
        await caller.close()


async def all_know_each_other(three: Three, b: Node, c: Node) -> None:
    await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
    await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
    await until(
        lambda: read_term(b.store) == read_term(c.store) == Term(1, three.a.node_id), "they know who is production"
    )


def test_a_failover_node_that_says_it_is_production_has_no_other_one_promoted(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            await all_know_each_other(three, b, c)
            pretend(c)
            with pytest.raises(PeerRejectedError, match="b follows that one"):
                await asks_to_reverse(c, to(c, three.b))
            assert b.procedures.journal.latest() == []
            # Nor where an operator of the node takes it at its word.
            for kind in (REVERSE, PROMOTE):
                procedure = (await b.procedures.begin(kind, to(b, three.c), {})).id
                done = await ended(b, None, procedure)
                assert done.journal.outcome is Outcome.ABORTED
                assert "b follows that one" in done.journal.abort
                await until(lambda: is_over(c, procedure), "c hears of the end")  # noqa: B023  # awaited here
                await until(lambda: known(b, procedure).row.told, "it was told")  # noqa: B023  # awaited here
            assert (a.modes.rank(), b.mode) == (Rank(P, Term(1, three.a.node_id)), F)

    run(work())


def test_a_node_that_does_not_serve_brings_no_fenced_one_home(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.b.running() as b, three.c.running() as c:
            async with three.a.running():
                await all_know_each_other(three, b, c)
            term = await promoted(b)
            async with three.a.running() as a:
                await until(lambda: a.modes.rank() == Rank(X, term), "the old production is fenced")
                await until(lambda: read_term(c.store) == term, "c knows who is production")
                pretend(c)
                with pytest.raises(PeerRejectedError, match="a follows that one"):
                    await asks_to_reverse(c, to(c, three.a))
                for kind in (REVERSE, REJOIN):
                    done = await ended(a, None, (await a.procedures.begin(kind, to(a, three.c), {})).id)
                    assert done.journal.outcome is Outcome.ABORTED
                    assert "a follows that one" in done.journal.abort
                    await until(lambda: known(a, done.procedure.id).row.told, "it was told")  # noqa: B023
                assert a.modes.rank() == Rank(X, term)

    run(work())


def test_what_another_node_than_the_one_that_hands_over_has_sent_does_not_count_as_arrived(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running(), three.b.running() as b, three.c.running() as c:
            await all_know_each_other(three, b, c)
            side = SwitchSide(b)
            await until(lambda: read_standing(b.store, DOMAIN) is not None, "it arrived")
            assert (await side.cursors(three.a.node_id))[DOMAIN] is not None
            assert await side.cursors(three.c.node_id) == {DOMAIN: None}

    run(work())
