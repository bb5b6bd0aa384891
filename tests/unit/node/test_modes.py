"""A node changes its mode while it runs: in every direction, whatever else goes on, and durable before it counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from syncer.config import load
from syncer.errors import Reason, RefusedError, StateError, SyncerError
from syncer.health.notifier import Notifier
from syncer.model import Head, Mode, Term
from syncer.node.agent import Node
from syncer.node.knocking import Knocker
from syncer.node.modes import WAYS
from syncer.node.reload import Reloading
from syncer.replicate.fencing import Rank
from syncer.state.peers import Peer, peers
from syncer.state.store import StateStore
from syncer.state.term import next_term, observe_term, read_mode_change, take_mode
from syncer.status import node_status
from tests.unit.node.running import DOMAIN, F, P, Two, X, contents, refusals, run, shows, two, until

__all__ = ["two"]


def mode_of(node: Node) -> Mode:
    """Return the mode, having made sure that everything that shows it says the same."""
    status = node_status(node)
    production, failover = node.production, node.failover
    assert failover is not None
    assert status["mode"] == node.mode.value
    assert (production is None) == (node.mode is F)
    assert bool(production is not None and production.senders) == (node.mode is P)
    assert bool(failover.monitors) == (node.mode is F)
    return node.mode


def unsent(node: Node) -> Any:
    return node_status(node)["domains"][0]["unsent"]


async def promoted(node: Node) -> Term:
    term = next_term(node.store)
    await node.become(P, term, "a test promotes it")
    return term


async def refused_command(node: Node, name: str) -> str:
    # A node imports it first: the other way round is a circle.
    from syncer.admin.commands import Commands

    with pytest.raises(RefusedError) as refused:
        async for _ in Commands(node).run(name, {}):
            pass
    return str(refused.value)


def test_every_direction_while_the_node_runs_and_traffic_follows(two: Two) -> None:
    async def work() -> None:
        (two.a.root / "first").write_text("one")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: contents(two.b.root) == {"first": b"one"}, "the first change arrived")
            # A planned promotion: first one gives the mode away, then the other takes it.
            await a.become(F, Term(1, two.a.node_id), "handed over")
            assert mode_of(a) is F
            assert "works on the production node" in await refused_command(a, "snapshot")
            term = await promoted(b)
            assert (mode_of(b), term) == (P, Term(2, two.b.node_id))
            (two.b.root / "second").write_text("two")
            await until(lambda: contents(two.a.root).get("second") == b"two", "changes flow the other way")
            assert a.modes.rank() == Rank(F, term)
            # And back, without having restarted anything.
            await b.become(F, term, "handed back")
            assert await promoted(a) == Term(3, two.a.node_id)
            (two.a.root / "third").write_text("three")
            await until(lambda: contents(two.b.root).get("third") == b"three", "changes flow as at first")
            assert contents(two.a.root) == contents(two.b.root)
            assert [name for name, _ in two.a.raised(a, "promoted", "demoted", "fenced")] == ["demoted", "promoted"]
            [(_, told), _] = two.b.raised(b, "promoted", "demoted")
            assert told == {
                "node": "b", "peer": "", "before": "failover", "term": 2, "reason": "a test promotes it"
            }  # fmt: skip

    run(work())


def test_guarantee_2_a_production_that_hears_a_higher_term_stops_at_once_and_stays_fenced(two: Two) -> None:
    async def work() -> None:
        (two.a.root / "sent").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: contents(two.b.root) == {"sent": b"x"}, "the change arrived")
            # By force: nobody asks the old production.
            await promoted(b)
            assert await until(lambda: a.mode is X, "the old production was fenced") < 1.0
            await until(lambda: a.production is not None and not a.production.senders, "its senders have ended")
            assert mode_of(a) is X
            [(_, fenced)] = two.a.raised(a, "fenced")
            assert (fenced["peer"], fenced["term"], fenced["before"]) == ("b", 2, "production")
            assert "syncer rejoin" in await refused_command(a, "snapshot")
            (two.a.root / "unsent").write_text("y")
            # The directory that it lies in has changed, too.
            await until(lambda: unsent(a) == 2, "what changed there is told as unsent")
            assert "unsent" not in contents(two.b.root)
            assert two.b.raised(b, "split_brain") == []
        async with two.a.running() as a, two.b.running():
            assert mode_of(a) is X
            await until(lambda: unsent(a) == 2, "it still is")
            (two.a.root / "more").write_text("z")
            await until(lambda: unsent(a) == 3, "captures go on")
            assert contents(two.b.root) == {"sent": b"x"}
            assert len(two.a.raised(a, "fenced")) == 1
            # The way out of it.
            await a.become(F, a.modes.rank().term, "a person said so")
            assert mode_of(a) is F

    run(work())


def test_two_that_were_promoted_by_force_meet_and_the_lower_one_is_fenced(tmp_path: Path) -> None:
    two = Two(tmp_path, (P, P))
    for place in (two.a, two.b):
        with StateStore.open(place.state) as store:
            take_mode(store, P, Term(4, place.node_id))
        (place.root / "edited").write_text(f"on {place.name}")
    lower, higher = sorted((two.a, two.b), key=lambda place: place.node_id)

    async def work() -> None:
        async with lower.running() as low, higher.running() as high:
            await until(lambda: low.mode is X, "the lower one is fenced")
            for place, node in ((lower, low), (higher, high)):
                await until(partial(place.raised, node, "split_brain"), "both know of it")
                [(_, told)] = place.raised(node, "split_brain")
                assert (told["term"], told["fenced_node"]) == (4, lower.node_id)
            assert high.mode is P
            for place in (lower, higher):
                assert contents(place.root) == {"edited": b"on " + place.name.encode()}

    run(work())


def test_two_that_are_configured_as_production_refuse_each_other_and_nobody_is_fenced(tmp_path: Path) -> None:
    two = Two(tmp_path, (P, P))

    async def work() -> None:
        async with two.a.running() as a, two.b.running() as b:
            for node in (a, b):
                await until(partial(refusals, node), "each refuses the other")
                [refused] = refusals(node)
                assert "both configured as production" in refused["reason"]
                await until(partial(shows, node, 0, "both configured"), "and shows why it is refused")
                assert mode_of(node) is P
            assert len(two.a.raised(a, "session.refused")) == 1

    run(work())


@pytest.mark.parametrize("stops", [True, False])
def test_services_are_stopped_by_fencing_only_where_the_configuration_says_so(
    two: Two, tmp_path: Path, stops: bool
) -> None:
    stopped = tmp_path / "stopped"
    node = "stop_services_when_fenced = true\n" if stops else ""
    two.a.write(node=node, domain=f'start = ["true"]\nstop = ["touch", "{stopped}"]')

    async def work() -> None:
        async with two.a.running() as a:
            await a.modes.heard(two.b.node_id, "b", Term(2, two.b.node_id), P)
            await until(lambda: a.mode is X, "it is fenced")
            if stops:
                await until(stopped.exists, "its services were stopped")
        # Whatever was asked for has been done once the agent has ended.
        assert stopped.exists() == stops
        stopped.unlink(missing_ok=True)
        async with two.a.running():
            if stops:
                await until(stopped.exists, "a fenced node stops them at its start, too")
        assert stopped.exists() == stops

    run(work())


@pytest.mark.parametrize(
    ("before", "after"), [way for way in itertools.product(Mode, repeat=2) if way not in WAYS and way[0] is not way[1]]
)
def test_ways_that_do_not_exist_are_refused_and_change_nothing(two: Two, before: Mode, after: Mode) -> None:
    async def work() -> None:
        with StateStore.open(two.a.state) as store:
            take_mode(store, before, Term(3, two.a.node_id))
        async with two.a.running() as a:
            with pytest.raises(RefusedError) as refused:
                await a.become(after, Term(9, two.a.node_id), "no")
            assert refused.value.reason is Reason.WRONG_MODE
            assert a.modes.rank() == Rank(before, Term(3, two.a.node_id))
            assert mode_of(a) is before

    run(work())


def test_a_lower_term_a_foreign_one_and_a_full_disk_change_nothing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with two.b.running() as b:
            observe_term(b.store, Term(7, "somebody"))
            for term in (Term(6, two.b.node_id), Term(9, "somebody")):
                with pytest.raises(RefusedError):
                    await b.become(P, term, "no")

            def full(*_: object) -> bool:
                raise StateError("no space")

            monkeypatch.setattr("syncer.node.modes.take_mode", full)
            with pytest.raises(StateError):
                await b.become(P, Term(8, two.b.node_id), "no")
            assert b.modes.rank() == Rank(F, Term(7, "somebody"))
            assert mode_of(b) is F

    run(work())


@pytest.mark.soak
def test_many_at_once_and_a_reload_among_them_end_as_the_last_one_says(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a:
            reloading = Reloading(a, Notifier(""))
            reloads = asyncio.create_task(reloading.run())
            for _ in range(3):
                term = a.modes.rank().term
                two.a.write(two.b, domain='settle = "11ms"')
                reloading.order()
                down = asyncio.create_task(a.become(F, term, "down"))
                again = asyncio.create_task(a.become(F, term, "down again"))
                reloading.order()
                await asyncio.gather(down, again)
                up = asyncio.create_task(a.become(P, next_term(a.store), "up"))
                reloading.order()
                # Fenced while it becomes production.
                await asyncio.sleep(0)
                await up
                assert mode_of(a) is P
            above = Term(a.modes.rank().term.counter + 1, "zz")
            reloading.order()
            for _ in range(5):
                a.modes.saw_term("b", above)
            await until(lambda: a.mode is X and a.production is not None and not a.production.senders, "it is fenced")
            assert len(two.a.raised(a, "fenced")) == 1
            reloads.cancel()
            await asyncio.gather(reloads, return_exceptions=True)

    run(work())


def test_fenced_by_what_it_hears_while_it_becomes_production(two: Two) -> None:
    async def work() -> None:
        async with two.b.running() as b:
            up = asyncio.create_task(b.become(P, Term(2, two.b.node_id), "up"))
            await until(lambda: b.mode is P, "it is durable")
            b.modes.saw_term("a", Term(3, two.a.node_id))
            await up
            await until(lambda: b.mode is X, "it is fenced")
            await until(lambda: b.production is not None and not b.production.senders, "and sends nothing")
            assert mode_of(b) is X

    run(work())


def test_whoever_waits_for_an_acknowledgement_hears_that_nothing_is_sent_any_more(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a:
            (two.a.root / "file").write_text("x")
            production = a.production
            assert production is not None
            await until(lambda: production.scanned(DOMAIN), "it was scanned")
            head = production.heads()[DOMAIN]._replace(seq=10**6)
            waiting = asyncio.create_task(production.wait_acknowledged("b", DOMAIN, head))
            await asyncio.sleep(0)
            a.modes.saw_term("b", Term(2, two.b.node_id))
            with pytest.raises(RefusedError, match="term 2"):
                await waiting

    run(work())


def test_whoever_waits_hears_it_too_where_the_streams_have_not_even_begun(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a:
            assert a.production is not None
            waiting = asyncio.create_task(a.production.wait_acknowledged("b", DOMAIN, Head("x", "y", 1)))
            # The parts of the node are about to run: the streams have not yet.
            await asyncio.sleep(0)
            a.modes.saw_term("b", Term(2, two.b.node_id))
            with pytest.raises(RefusedError, match="term 2"):
                await waiting

    run(work())


def test_the_end_of_the_agent_in_the_middle_leaves_what_is_durable(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a:
            changing = asyncio.create_task(a.become(F, Term(1, two.a.node_id), "just before the end"))
            await until(lambda: a.mode is F, "it is durable")
        with contextlib.suppress(SyncerError):
            await changing
        async with two.a.running() as a:
            assert mode_of(a) is F
            await until(lambda: len(two.a.raised(a, "demoted")) == 1, "it was told once")
            with pytest.raises(RefusedError):
                await a.become(X, Term(1, two.a.node_id), "no")
        with pytest.raises(SyncerError, match="is stopping"):
            await a.become(P, Term(2, two.a.node_id), "too late")

    run(work())


def test_a_crash_between_the_commit_and_its_event_tells_it_at_the_next_start(two: Two) -> None:
    with StateStore.open(two.b.state) as store:
        observe_term(store, Term(1, two.a.node_id))
        take_mode(store, F, Term(1, two.a.node_id))
        take_mode(store, P, Term(2, two.b.node_id), "promoted just before the crash")

    async def work() -> None:
        for _ in range(2):
            async with two.b.running() as b:
                assert mode_of(b) is P
                await until(lambda: two.b.raised(b, "promoted"), "the event is there")
                assert len(two.b.raised(b, "promoted")) == 1
                await until(lambda: (read_mode_change(b.store) or pytest.fail("none")).is_told, "and known to be")

    run(work())


def test_a_knock_is_judged_as_any_other_message(two: Two) -> None:
    async def work() -> None:
        async with two.a.running() as a, two.b.running() as b:
            ours = Term(1, two.a.node_id)
            # A failover node records.
            said = await b.modes.heard(two.a.node_id, "a", Term(5, two.a.node_id), P)
            assert b.modes.rank().term == Term(5, two.a.node_id)
            assert said.mode is F
            # Production is fenced, says so, and says under which term it was.
            said = await a.modes.heard("other", "c", Term(6, "other"), P)
            assert said == Rank(X, ours)
            await until(lambda: a.mode is X, "it is fenced")
            # A lower one learns from the answer.
            assert await a.modes.heard("old", "d", Term(2, "old"), P) == Rank(X, Term(6, "other"))
            with pytest.raises(RefusedError):
                await a.modes.heard(two.a.node_id, "myself", Term(9, two.a.node_id), P)

    run(work())


class FakeKnock:
    """Peers as a promoted node reaches them: some are down at first."""

    def __init__(self, answers: dict[str, list[Rank | None]]) -> None:
        self.answers = answers
        self.knocked: list[tuple[str, Rank]] = []

    async def __call__(self, peer: Peer, own: Rank) -> Rank:
        self.knocked.append((peer.name, own))
        said = self.answers[peer.name].pop(0) if self.answers[peer.name] else None
        if said is None:
            raise SyncerError(f"{peer.name} is down")
        return said


def test_a_promoted_node_knocks_at_everybody_until_each_has_heard(two: Two) -> None:
    async def work() -> None:
        async with two.b.running() as b:
            knock = FakeKnock({"a": [None, None, Rank(X, Term(1, two.a.node_id))]})
            knocker = Knocker(b.modes, b.store, knock, shortest=0.01, longest=0.02)
            running = asyncio.create_task(knocker.run())
            await asyncio.sleep(0.05)
            assert knock.knocked == []
            term = await promoted(b)
            await until(lambda: len(knock.knocked) == 3, "it knocked until it was heard")
            assert {own for _, own in knock.knocked} == {Rank(P, term)}
            knocker.look()
            await asyncio.sleep(0.05)
            assert len(knock.knocked) == 3
            # Who answers with a higher term has been promoted since.
            knock.answers["a"] = [Rank(P, Term(9, two.a.node_id))]
            await b.become(F, term, "down")
            await promoted(b)
            await until(lambda: b.mode is X, "the answer fenced it")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert [peer.name for peer in peers(b.store)] == ["a"]

    run(work())


def test_a_configuration_that_is_loaded_knows_the_key(two: Two) -> None:
    assert load(two.a.config).node.stop_services_when_fenced is False
