"""Modes, procedures, freezes and the way home of whole nodes, as the parts of a node work together."""

from __future__ import annotations

import asyncio
from typing import Any

from syncer.model import Term
from syncer.node.agent import Node
from syncer.procedures.kinds import Kind, Plain, Run
from syncer.procedures.steps import Outcome, Role, StepSpec
from syncer.replicate.fencing import Rank
from syncer.state.peer_addresses import reach_of
from syncer.state.peers import Peer, peers
from syncer.state.term import next_term
from syncer.status import node_status
from tests.unit.node.running import DOMAIN, F, P, Two, X, contents, run, two, until

__all__ = ["two"]


def the_peer(node: Node) -> Peer:
    [peer] = peers(node.store)
    return peer


async def promoted(node: Node) -> Term:
    term = next_term(node.store)
    await node.become(P, term, "a test promotes it")
    return term


def targets_of(node: Node) -> list[tuple[str, bool]]:
    """Return the targets of a node, each with whether it is derived."""
    return [(target.name, target.is_derived) for target in node.settings.failover]


class Waiting(Plain):
    """A step that waits to be told."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.begun: list[str] = []

    async def do(self, run: Run) -> dict[str, Any]:
        self.begun.append(run.procedure.id)
        await self.may_end.wait()
        return {}


def kind_of(step: Waiting) -> Kind:
    specs = (StepSpec("here", "Do it here"), StepSpec("there", "Do it there", on=Role.SECOND))
    return Kind("test", specs, {"here": Plain(), "there": step})


def test_a_failover_finds_production_by_what_that_said_and_leads_a_procedure_with_it(two: Two) -> None:
    """No table of the failover node names production."""

    async def work() -> None:
        two.b.write()
        (two.a.root / "file").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: contents(two.b.root) == {"file": b"x"}, "production was heard")
            said = await b.procedures.knock(the_peer(b))
            assert (said.node_id, said.mode, said.term) == (two.a.node_id, P, Term(1, two.a.node_id))
            step = Waiting()
            a.kinds.register(kind_of(step))
            b.kinds.register(kind_of(Waiting()))
            procedure = await b.procedures.begin("test", the_peer(b), {})
            await until(lambda: step.begun == [procedure.id], "production does its step")
            for node, role in ((a, "second"), (b, "lead")):
                [shown] = node_status(node)["procedures"]
                assert (shown["kind"], shown["role"]) == ("test", role)
            # A freeze that it made does not end while it is open, not even by an operator.
            assert a.freezes is not None
            assert a.freezes.is_open(procedure.id)
            assert not a.freezes.is_open("another")
            step.may_end.set()
            ended = b.procedures.journal
            await until(lambda: (k := ended.read(procedure.id)) and k.journal.outcome is Outcome.FINISHED, "it ended")
            await until(lambda: not a.freezes.is_open(procedure.id), "the other knows")  # type: ignore[union-attr]

    run(work())


def test_guarantee_2_a_promoted_node_fences_a_production_that_has_no_stream_to_it_nor_it_one_home(two: Two) -> None:
    """Only a knock can tell the old production."""

    async def work() -> None:
        two.b.write()
        # So that the first synchronization waits for a person, and there is no way home.
        (two.a.root / "file").write_text("x")
        (two.b.root / "own").write_text("y")
        async with two.b.running() as b:
            async with two.a.running():
                await until(lambda: reach_of(b.store, two.a.node_id).port == two.a.port, "production was heard")
            two.a.write()
            async with two.a.running() as a:
                assert a.mode is P
                term = await promoted(b)
                assert targets_of(b) == []
                await until(lambda: a.mode is X, "it heard the knock")
                assert a.modes.rank() == Rank(X, term)
                await until(lambda: two.a.raised(a, "fenced"), "its event is durable")
                [(_, told)] = two.a.raised(a, "fenced")
                assert (told["peer"], told["term"]) == ("b", 2)

    run(work())


def test_derived_targets_come_with_production_and_go_with_it(two: Two) -> None:
    async def work() -> None:
        two.b.write()
        (two.a.root / "file").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: contents(two.b.root) == {"file": b"x"}, "the change arrived")
            assert targets_of(b) == []
            await a.become(F, Term(1, two.a.node_id), "handed over")
            term = await promoted(b)
            assert targets_of(b) == [("a", True)]
            (two.b.root / "second").write_text("two")
            await until(lambda: contents(two.a.root).get("second") == b"two", "it goes home")
            await b.become(F, term, "handed back")
            assert targets_of(b) == []
            assert node_status(b)["targets"] == []

    run(work())


def test_a_freeze_ends_as_its_node_ceases_to_be_production_and_before_anything_is_applied(two: Two) -> None:
    async def work() -> None:
        (two.a.root / "file").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: contents(two.b.root) == {"file": b"x"}, "the change arrived")
            assert a.freezes is not None
            await a.freezes.freeze("a handover")
            [domain] = node_status(a)["domains"]
            assert domain["frozen"]["reason"] == "a handover"
            await a.become(F, Term(1, two.a.node_id), "handed over")
            assert (a.freezes.domains.claims, a.freezes.domains.items) == ((), ())
            await until(lambda: two.a.raised(a, "thawed"), "its event is durable")
            [(_, told)] = two.a.raised(a, "thawed")
            assert told["domain"] == DOMAIN
            await promoted(b)
            (two.b.root / "second").write_text("two")
            await until(lambda: contents(two.a.root).get("second") == b"two", "changes flow the other way")

    run(work())
