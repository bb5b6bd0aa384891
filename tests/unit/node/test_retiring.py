"""A node that is lost is retired: refused by everybody, its term wins nowhere, and a new one takes its place."""

from __future__ import annotations

import asyncio

import pytest

from syncer.errors import ConfigurationError, PairingError, RefusedError
from syncer.model import TERM_COUNTER_MAX, Term
from syncer.node.agent import Node
from syncer.node.readiness_side import readiness
from syncer.node.retiring import _record, plan_of, retire
from syncer.procedures.kinds import Kind, Plain
from syncer.procedures.readiness import Level, Purpose
from syncer.procedures.steps import Outcome, Role, StepSpec
from syncer.state.cursors import read_target
from syncer.state.introductions import introductions, is_retired
from syncer.state.peers import peer_by_node_id
from syncer.state.term import observe_term
from syncer.status import node_status
from syncer.trust.believing import require_not_retired
from tests.unit.node.running import DOMAIN, F, P, X, contents, refusals, run, shows, until
from tests.unit.node.test_introducing import Three, is_equal, knows, promoted, three

__all__ = ["three"]


def names(node: Node) -> list[str]:
    return [target["name"] for target in node_status(node)["targets"]]


def test_a_lost_production_is_retired_and_refused_by_everybody_when_it_returns(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.b.running() as b:
            async with three.c.running() as c, three.a.running():
                await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            term = await promoted(b)
            assert sorted(names(b)) == ["a", "c"]
            chosen = plan_of(b, "a")
            assert (chosen.targets, chosen.sources, chosen.told) == (("a",), (DOMAIN,), ("c",))
            # c is away.
            await retire(b, chosen)
            assert names(b) == ["c"]
            assert not knows(b, three.a)
            assert read_target(b.store, "a") is None
            assert introductions(b.store, subject=three.a.node_id) == []
            with pytest.raises(RefusedError, match="was retired by b"):
                plan_of(b, "a")
            with pytest.raises(ConfigurationError, match="no paired node"):
                plan_of(b, "nobody")
            async with three.c.running() as c:
                await until(lambda: is_retired(c.store, three.a.node_id), "it is told when it comes back")
                assert not knows(c, three.a)
                await until(lambda: three.c.raised(c, "peer.retired"), "its event is durable")
                [(_, told)] = three.c.raised(c, "peer.retired")
                assert (told["peer"], told["peer_id"], told["by"]) == ("a", three.a.node_id, "b")
                (three.a.root / "unsent").write_text("of a")
                async with three.a.running() as a:
                    await until(lambda: a.mode is X, "it hears the higher term")
                    await until(lambda: is_retired(a.store, three.a.node_id), "and that it was retired")
                    await until(lambda: three.a.raised(a, "retired"), "its event is durable")
                    assert [item["name"] for item in node_status(a)["retired"]] == ["a"]
                    await a.become(F, a.modes.rank().term, "it tries")
                    with pytest.raises(RefusedError, match="was retired by b"):
                        await promoted(a)
                    assert a.mode is F
                    [found] = await readiness(a, Purpose.FORCED)
                    assert (found.level, "was retired by b" in found.sentence) == (Level.REFUSAL, True)
                assert "unsent" not in contents(three.b.root) | contents(three.c.root)
                assert b.modes.rank().term == term

    run(work())


def test_a_retired_production_that_only_calls_hears_the_reason_and_both_ends_show_it(three: Three) -> None:
    async def work() -> None:
        async with three.b.running() as b:
            async with three.a.running():
                await until(lambda: b.modes.rank().term == Term(1, three.a.node_id), "production was heard")
            await promoted(b)
            chosen = plan_of(b, "a")
            # Nobody can call it: only its own calls tell it.
            await retire(b, chosen._replace(targets=()))
            with b.store.transaction() as writer:
                writer.execute("UPDATE retired SET addresses = ''")
            async with three.a.running() as a:
                await until(lambda: a.mode is X, "the refusal carries the higher term")
                await until(lambda: refusals(b), "it is shown where it was refused")
                [refused] = refusals(b)
                assert (refused["peer"], "was retired by b" in refused["reason"]) == ("a", True)
                assert len(three.b.raised(b, "session.refused")) == 1
                assert "says term 2" in node_status(a)["mode_reason"]

    run(work())


def test_a_retired_failover_shows_as_not_paired_and_its_session_ends(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
            await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            await retire(a, plan_of(a, three.c.node_id))
            await until(lambda: shows(a, 1, "c is not paired with this node"), "its table is left")
            assert read_target(a.store, "c") is None
            await until(lambda: is_retired(b.store, three.c.node_id), "the other one is told")
            await until(lambda: is_retired(c.store, three.c.node_id), "it is told itself")
            assert not knows(b, three.c)
            (three.a.root / "later").write_text("y")
            await until(lambda: is_equal(three.a, three.b), "the other one is fed")
            assert "later" not in contents(three.c.root)
            with pytest.raises(PairingError, match="was retired"):
                require_not_retired(a.store, three.c.node_id)

    run(work())


def test_the_term_of_a_retired_node_wins_nowhere_also_heard_second_hand(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.b.running() as b:
            async with three.c.running() as c, three.a.running():
                await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
                # The old production was promoted again on the other side of a cut, and only c has heard of it.
                observe_term(c.store, Term(7, three.a.node_id))
            assert await promoted(b) == Term(2, three.b.node_id)
            await retire(b, plan_of(b, "a"))
            async with three.c.running() as c:
                await until(lambda: c.modes.rank().term == Term(8, three.b.node_id), "it was outbid")
                assert b.modes.rank() == (P, Term(8, three.b.node_id))
                (three.b.root / "later").write_text("y")
                await until(lambda: is_equal(three.b, three.c), "c follows the new production")
                await until(lambda: is_retired(c.store, three.a.node_id), "and is told")
                # Whatever says it now changes nothing there.
                c.modes.saw_term("somebody", Term(99, three.a.node_id))
                await c.modes.heard(three.b.node_id, "b", Term(99, three.a.node_id), P)
                assert c.modes.rank().term == Term(8, three.b.node_id)
            for invented in (TERM_COUNTER_MAX, (1 << 63) - 1):
                b.modes.saw_term("c", Term(invented, three.a.node_id))
                assert b.modes.rank() == (P, Term(8, three.b.node_id))
            assert three.b.raised(b, "fenced") == []
            assert three.b.raised(b, "split_brain") == []

    run(work())


class Endless(Plain):
    """A step that does not end."""

    async def do(self, run: object) -> dict[str, object]:
        await asyncio.get_running_loop().create_future()
        return {}


def test_open_procedures_with_a_retired_node_are_given_up_past_any_point(three: Three) -> None:
    async def work() -> None:
        async with three.a.running() as a:
            await until(lambda: a.procedures._tasks is not None, "its procedures run")
            steps = (StepSpec("here", "Wait here"),)
            a.kinds.register(Kind("test", steps, {"here": Endless()}))
            peer = peer_by_node_id(a.store, three.b.node_id)
            assert peer is not None
            procedure = await a.procedures.begin("test", peer, {})
            chosen = plan_of(a, "b")
            assert chosen.procedures == (procedure.id,)
            await retire(a, chosen)
            known = a.procedures.journal.read(procedure.id)
            assert known is not None
            assert (known.journal.outcome, known.procedure.role) == (Outcome.ABORTED, Role.LEAD)
            assert a.procedures.journal.unsettled() == []
            await until(lambda: three.a.raised(a, "procedure.aborted"), "its event is durable")

    run(work())


def test_a_crash_behind_the_commit_leaves_no_open_procedure(three: Three) -> None:
    async def work() -> None:
        steps = (StepSpec("here", "Wait here"),)
        async with three.a.running() as a:
            await until(lambda: a.procedures._tasks is not None, "its procedures run")
            a.kinds.register(Kind("test", steps, {"here": Endless()}))
            peer = peer_by_node_id(a.store, three.b.node_id)
            assert peer is not None
            procedure = await a.procedures.begin("test", peer, {})
            # The agent ends here.
            _record(a, plan_of(a, "b"))
        async with three.a.running() as a:
            await until(lambda: a.procedures.journal.unsettled() == [], "it is given up at the next start")
            known = a.procedures.journal.read(procedure.id)
            assert known is not None
            assert known.journal.outcome is Outcome.ABORTED
            await until(lambda: shows(a, 0, "b is not paired with this node"), "and nothing is sent to it")

    run(work())
