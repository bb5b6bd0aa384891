"""A promotion is given up with a dead peer, and what that peer does when it comes back."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from syncer.cli.exposure import Severity, sentences
from syncer.errors import PeerRejectedError, Reason, RefusedError, UnreachableError
from syncer.model import Mode, Term
from syncer.node.agent import Node
from syncer.node.readiness_side import ASKED_SECONDS
from syncer.procedures.asking import Lead, ask_lead
from syncer.procedures.kinds import Run, Step
from syncer.procedures.messages import AbortWish, Refusal, Speaker, Why
from syncer.procedures.steps import Outcome
from syncer.replicate.fencing import Rank
from syncer.state.handover import read_handover
from syncer.state.store import StateStore
from syncer.state.term import next_term
from syncer.status import node_status
from tests.unit.node.running import F, P, Two, X, contents, run, two, until
from tests.unit.node.test_promotion import at_rest, begin, ended, is_over, known, log_of, spoil, with_services
from tests.unit.node.test_promotion_crashes import Watch, mortal

__all__ = ["two"]


async def force_plan(node: Node) -> dict[str, Any]:
    from syncer.admin.commands import Commands

    async for kind, body in Commands(node).run("promote", {"plan": True, "force": True}):
        if kind == "result":
            return body
    raise AssertionError("it ends with a result")


async def promote_by_force(node: Node) -> dict[str, Any]:
    # A node imports it first: the other way round is a circle.
    from syncer.admin.commands import Commands

    result: dict[str, Any] = {}
    async for kind, body in Commands(node).run("promote", {"kind": "forced", "force": True}):
        if kind == "result":
            result = body
    return result


@pytest.mark.parametrize("step", ["before_demote", "freeze", "hand_over"])
def test_a_production_that_died_in_a_promotion_does_not_become_it_again_beside_a_forced_one(
    two: Two, step: str
) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        async with two.b.running() as b:
            async with mortal(two.a, 0, step) as (_, killing):
                await until(rest, "the changes arrived")
                procedure = await begin(b)
                await until(killing.killed.is_set, "production dies")
            result = await promote_by_force(b)
            assert (result["exit_code"], result["procedure"]["kind"]) == (0, "promote_forced")
            assert known(b, procedure).journal.outcome is Outcome.ABORTED
            # Not the one that may have been handed over to, nor the one by which it was given up.
            term = Term(4 if step == "hand_over" else 3, two.b.node_id)
            assert b.modes.rank() == Rank(P, term)
            with StateStore.open(two.a.state) as store:
                assert (read_handover(store) is not None) == (step == "hand_over")
            async with two.a.running() as a:
                await until(lambda: is_over(a, procedure), "it hears of the end")
                await until(lambda: two.a.raised(a, "fenced"), "and says that it is fenced")
                await until(lambda: a.modes.rank() == Rank(X, term), "it is fenced")
                assert known(a, procedure).journal.outcome is Outcome.ABORTED
                assert b.modes.rank() == Rank(P, term)
                assert read_handover(a.store) is None
                assert two.a.raised(a, "split_brain") == []

    run(work())


@pytest.mark.parametrize("step", ["freeze", "hand_over"])
def test_a_production_that_lives_takes_nothing_back_beside_a_forced_promotion(two: Two, step: str) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        watch = Watch(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            watch.over(a, two.a)
            watch.over(b, two.b)
            spoilt, _ = spoil(b, a, step, None)
            procedure = await begin(b)
            await spoilt.done.wait()
            result = await promote_by_force(b)
            assert (result["exit_code"], result["procedure"]["kind"]) == (0, "promote_forced")
            term = Term(4 if step == "hand_over" else 3, two.b.node_id)
            await until(lambda: is_over(a, procedure), "it hears of the end")
            await until(lambda: (a.modes.rank(), b.modes.rank()) == (Rank(X, term), Rank(P, term)), "it is fenced")
            assert [name for name, _ in watch.productions] == ["a", "b"]
            assert (two.b.folder / "service").exists()
            # It was stopped by the freeze, and is not started beside the other.
            assert not (two.a.folder / "service").exists()
            assert "start" not in log_of(two.a)
            assert two.a.raised(a, "split_brain") == two.b.raised(b, "split_brain") == []

    run(work())


def test_nothing_is_given_up_for_a_promotion_by_force_that_cannot_be(two: Two) -> None:
    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            spoilt, repair = spoil(b, a, "take_over", None)
            procedure = await begin(b)
            await spoilt.done.wait()
            with pytest.raises(RefusedError, match="b is production already"):
                await promote_by_force(b)
            assert known(b, procedure).journal.outcome is Outcome.OPEN
            assert (a.mode, b.modes.rank()) == (X, Rank(P, Term(2, two.b.node_id)))
            repair()
            await b.procedures.abort(procedure)
            await ended(b, a, procedure)

    run(work())


@pytest.mark.parametrize("step", ["hand_over", "take_over", "after_promote"])
def test_an_old_production_takes_nothing_back_by_force_beside_a_lead_that_lives(two: Two, step: str) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        watch = Watch(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            watch.over(a, two.a)
            watch.over(b, two.b)
            spoilt, _ = spoil(b, a, step, None)
            procedure = await begin(b)
            await spoilt.done.wait()
            await a.procedures.abort(procedure, force=True)
            # The lead undoes it, in the right order.
            undone = await ended(b, a, procedure)
            assert "an operator aborted it (on a)" in undone.journal.abort
            assert (a.modes.rank(), b.mode) == (Rank(P, Term(3, two.a.node_id)), F)
            assert [name for name, _ in watch.productions] == (["a", "a"] if step == "hand_over" else ["a", "b", "a"])
            assert ((two.a.folder / "service").exists(), (two.b.folder / "service").exists()) == (True, False)

    run(work())


def test_a_role_that_was_taken_back_while_the_lead_was_cut_off_is_not_taken_over(two: Two) -> None:
    async def work() -> None:
        rest = at_rest(two)
        watch = Watch(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            watch.over(a, two.a)
            watch.over(b, two.b)
            promote = b.kinds.find("promote")
            assert promote is not None
            held = Held(promote.actions["take_over"])
            promote.actions["take_over"] = held  # type: ignore[index]  # a dict
            procedure = await begin(b)
            await held.reached.wait()
            # As `abort --force` does where the lead cannot be reached.
            await a.procedures._serving().abandon(two.b.node_id, procedure)
            assert a.modes.rank() == Rank(P, Term(3, two.a.node_id))
            held.open.set()
            undone = await ended(b, a, procedure)
            assert undone.journal.outcome is Outcome.ABORTED
            assert "a is production again" in undone.journal.abort
            assert {name for name, _ in watch.productions} == {"a"}

    run(work())


class Held:
    """A real step that is held before its action."""

    def __init__(self, step: Step) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._step = step

    async def require(self, run: Run) -> None:
        await self._step.require(run)

    async def do(self, run: Run) -> Any:
        self.reached.set()
        await self.open.wait()
        return await self._step.do(run)

    async def verify(self, run: Run) -> None:
        await self._step.verify(run)

    async def undo(self, run: Run) -> None:
        await self._step.undo(run)


class Answers:
    """A lead that answers with these."""

    def __init__(self, refusal: Refusal | Exception | None, mode: Mode = F) -> None:
        self._refusal, self._mode = refusal, mode

    async def abort(self, wish: AbortWish) -> Refusal | None:
        if isinstance(self._refusal, Exception):
            raise self._refusal
        return self._refusal

    async def knock(self) -> Speaker:
        return Speaker("b-node", "b", Term(2, "b-node"), self._mode)


@pytest.mark.parametrize(
    ("answers", "became"),
    [
        (Answers(None, P), Lead.UNDOES),
        (Answers(UnreachableError("silence")), Lead.GONE),
        (Answers(PeerRejectedError("not paired there", Reason.NOT_PAIRED)), Lead.GONE),
        (Answers(Refusal(Why.UNKNOWN_PROCEDURE, "lost")), Lead.GONE),
        (Answers(Refusal(Why.UNKNOWN_PROCEDURE, "lost"), P), Lead.SERVES),
        (Answers(Refusal(Why.ENDED, "given up"), P), Lead.SERVES),
        (Answers(Refusal(Why.TOO_LATE, "it can only be finished"), P), "it can only be finished"),
    ],
)
def test_without_the_lead_only_where_it_is_gone(answers: Answers, became: Lead | str) -> None:
    async def work() -> None:
        asked = ask_lead(answers, "b", AbortWish("0" * 32, "why"))
        if isinstance(became, Lead):
            assert await asked is became
            return
        with pytest.raises(RefusedError, match=became):
            await asked

    run(work())


def test_a_role_that_was_taken_back_by_force_is_not_taken_over_by_a_lead_that_returns(two: Two) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a:
            async with mortal(two.b, 17, "") as (b, killing):
                await until(rest, "the changes arrived")
                procedure = await begin(b)
                await until(killing.killed.is_set, "the lead dies")
                assert killing.where == "behind done hand_over"
            assert a.mode is X
            await a.procedures.abort(procedure, force=True)
            assert a.modes.rank() == Rank(P, Term(3, two.a.node_id))
            assert (two.a.folder / "service").exists()
            async with two.b.running() as b:
                ranks = []
                b.modes.changed.append(lambda: ranks.append(b.modes.rank()))
                undone = await ended(b, a, procedure)
                assert undone.journal.outcome is Outcome.ABORTED
                assert "production again" in undone.journal.abort or "has seen 3" in undone.journal.abort
                assert (b.mode, P in [rank.mode for rank in ranks]) == (F, False)
                assert not (two.b.folder / "service").exists()
                (two.a.root / "afterwards").write_text("x")
                await until(lambda: contents(two.a.root) == contents(two.b.root), "changes flow as before")

    run(work())


def test_what_can_only_be_finished_is_given_up_where_it_stands(two: Two) -> None:
    with_services(two.b, two.a, start="exit 7")

    async def work() -> None:
        rest = at_rest(two)
        async with two.b.running() as b:
            async with two.a.running():
                await until(rest, "the changes arrived")
            result = await promote_by_force(b)
            assert (result["exit_code"], result["procedure"]["needs_person"]) == (4, True)
            found = result["procedure"]
            assert (found["abort"], found["give_up"]) == ("", f"syncer procedure {found['id'][:8]} abort --force")
            assert "the services of tree do not run: start failed" in found["waits_for"]
            # It serves nothing, but it is production: nobody else is.
            assert b.mode is P
            await b.procedures.abort(found["id"], force=True)
            await b.procedures.over(found["id"])
            given_up = known(b, found["id"])
            assert given_up.journal.outcome is Outcome.ABORTED
            assert "nothing was undone" in given_up.journal.abort
            assert b.mode is P

    run(work())


def test_a_production_that_opens_and_says_nothing_holds_up_no_forced_promotion(two: Two) -> None:
    """As a machine that hangs, or one behind a cut link: each call to it ends only by its own time limit."""

    async def work() -> None:
        rest = at_rest(two)
        async with two.b.running() as b:
            async with two.a.running():
                await until(rest, "the changes arrived")
            # The kernel opens what nobody accepts.
            with socket.create_server(("127.0.0.1", two.a.port)):
                async with asyncio.timeout(ASKED_SECONDS * 2):
                    plan = await force_plan(b)
                assert (plan["kind"], plan["answers"], plan["exit_code"]) == ("forced", False, 0)
                assert f"{ASKED_SECONDS:g} s" in plan["trouble"]
                async with asyncio.timeout(ASKED_SECONDS * 2):
                    result = await promote_by_force(b)
                assert (result["exit_code"], b.mode) == (0, P)

    run(work())


def test_an_old_production_says_that_its_services_still_run(two: Two) -> None:
    with_services(two.a, two.b)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        async with two.b.running() as b:
            async with two.a.running() as a:
                await until(rest, "the changes arrived")
                # While it is production it is asked nothing, and says nothing.
                assert node_status(a)["domains"][0]["service"] is None
            await b.become(P, next_term(b.store), "a test promotes it")
            async with two.a.running() as a:
                await until(lambda: a.mode is X, "the old production is fenced")

                def service() -> Any:
                    return node_status(a)["domains"][0].get("service") or {}

                await until(lambda: service().get("state") == "running", "it has asked its services")
                [sentence] = sentences(node_status(a))
                assert "the services of tree still run here, beside those of the node that serves" in sentence.text
                assert sentence.severity is Severity.BAD

    run(work())
