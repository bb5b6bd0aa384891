"""Every circle that a configuration can describe: either the mode decides who sends, or it is refused on both ends."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import Reason, RefusedError
from syncer.model import Mode
from syncer.node.agent import Node
from syncer.replicate.stream import hello_of
from syncer.state.cursors import TargetRecord, record_target
from syncer.state.store import StateStore
from syncer.state.term import take_mode
from syncer.status import node_status
from tests.ports import free_port
from tests.unit.node.running import DOMAIN, F, P, Place, Two, contents, refusals, run, shows, two, until
from tests.unit.node.test_introducing import Three, is_equal, target_of, three, with_rules

__all__ = ["three", "two"]


def echoes(*nodes: Node) -> list[int]:
    """Return every echo counter that these nodes show, and those that they keep."""
    shown = [
        domain["echoes"] for node in nodes for target in node_status(node)["targets"] for domain in target["domains"]
    ]
    return shown + [node.failover.identity.echoes for node in nodes if node.failover is not None]


def is_silent(*nodes: Node) -> bool:
    return not any(echoes(*nodes))


async def quiet(*running: tuple[Place, Node]) -> None:
    """Let whatever would go round go round: several rounds of capturing, and nothing has changed anywhere."""
    before = [contents(place.root) for place, _ in running]
    for _ in range(3):
        for _, node in running:
            if node.production is not None:
                await node.production.flush()
    assert [contents(place.root) for place, _ in running] == before


def test_guarantee_3_two_that_name_each_other_are_no_circle_the_mode_decides(two: Two) -> None:
    async def work() -> None:
        (two.a.root / "file").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: is_equal(two.a, two.b), "it arrived")
            (two.b.root / "local").write_text("an edit there")
            (two.a.root / "file").write_text("y")
            await until(lambda: contents(two.b.root).get("file") == b"y", "it flows one way")
            await quiet((two.a, a), (two.b, b))
            assert "local" not in contents(two.a.root)
            assert node_status(b)["targets"] == refusals(a) == refusals(b) == []
            assert is_silent(a, b)

    run(work())


def test_guarantee_3_two_configured_productions_refuse_each_other_on_both_ends(tmp_path: Path) -> None:
    two = Two(tmp_path, (P, P))

    async def work() -> None:
        for place in (two.a, two.b):
            (place.root / f"of-{place.name}").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            for node in (a, b):
                await until(partial(refusals, node), "each refuses the other")
                await until(partial(shows, node, 0, "both configured as production"), "and shows why it is refused")
            await quiet((two.a, a), (two.b, b))
            assert [set(contents(place.root)) for place in (two.a, two.b)] == [{"of-a"}, {"of-b"}]
            assert is_silent(a, b)

    run(work())


def test_guarantee_3_rules_that_are_not_each_others_inverse_are_refused_on_both_ends(two: Two) -> None:
    with_rules(two.a, {"b": (("192.0.2.1", "192.0.2.2"),)})
    with_rules(two.b, {"a": (("192.0.2.2", "192.0.2.9"),)})

    async def work() -> None:
        (two.a.root / "file").write_text("192.0.2.1")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: shows(a, 0, "the substitution rules of domain tree disagree"), "production shows why")
            await until(lambda: two.b.raised(b, "rules.refused"), "failover tells it")
            assert contents(two.b.root) == {}
            assert is_silent(a, b)

    run(work())


def ring(three: Three) -> None:
    """A feeds B, B is to feed C, and C is to feed A."""
    three.b.trust(three.c)
    three.c.trust(three.b)
    three.a.write(three.b)
    three.b.write(three.c)
    three.c.write(three.a)


def test_guarantee_3_a_ring_of_three_goes_no_further_than_production_sends(three: Three) -> None:
    ring(three)

    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            await until(lambda: is_equal(three.a, three.b), "the first arc")
            await quiet((three.a, a), (three.b, b), (three.c, c))
            assert contents(three.c.root) == {}
            assert node_status(b)["targets"] == node_status(c)["targets"] == []
            assert is_silent(a, b, c)

    run(work())


def test_guarantee_3_a_ring_of_three_productions_is_refused_all_round(three: Three) -> None:
    ring(three)
    for place in (three.b, three.c):
        place.mode = P
    three.b.write(three.c)
    three.c.write(three.a)

    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            for node in (a, b, c):
                await until(partial(shows, node, 0, "both configured as production"), "it is refused")
                await until(partial(refusals, node), "and refuses")
            assert contents(three.b.root) == contents(three.c.root) == {}
            assert is_silent(a, b, c)

    run(work())


def test_guarantee_3_a_ring_that_was_promoted_all_round_has_one_production_in_the_end(three: Three) -> None:
    ring(three)
    for counter, place in enumerate((three.a, three.b, three.c), 2):
        with StateStore.open(place.state) as store:
            take_mode(store, Mode.PRODUCTION, store_term(store, counter))

    async def work() -> None:
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            await until(lambda: (a.mode, b.mode, c.mode) == (Mode.FENCED, Mode.FENCED, P), "the highest term is left")
            assert is_silent(a, b, c)

    run(work())


def store_term(store: StateStore, counter: int) -> Any:
    from syncer.model import Term

    return Term(counter, store.node_id)


def test_guarantee_3_one_node_under_two_addresses_is_fed_once(two: Two, tmp_path: Path) -> None:
    again = Place(tmp_path, "b-again", F, free_port())
    again.node_id = two.b.node_id
    with StateStore.open(two.a.state) as store:
        record_target(store, TargetRecord("b-again", two.b.node_id, "b"))
    two.a.write(two.b, again)
    two.a.config.write_text(two.a.config.read_text().replace(again.address, f"localhost:{two.b.port}"))

    async def work() -> None:
        (two.a.root / "file").write_text("x")
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: is_equal(two.a, two.b), "it arrived")
            await until(lambda: shows(a, 1, "b-again and b are the same node"), "the second one is refused")
            await until(lambda: target_of(a, "b")["state"] == "streaming", "the first one is served")
            assert is_silent(a, b)

    run(work())


@pytest.mark.parametrize("cloned", ["a", "b"])
def test_guarantee_3_a_clone_of_a_node_is_refused_on_both_ends(two: Two, tmp_path: Path, cloned: str) -> None:
    original = two.a if cloned == "a" else two.b
    clone = Place(tmp_path / "clones", original.name, original.mode, free_port())

    async def work() -> None:
        (two.a.root / "file").write_text("x")
        async with two.a.running(), two.b.running():
            await until(lambda: is_equal(two.a, two.b), "it arrived")
        # The machine was copied as it lay there: its state, its identity and its tree.
        for name in ("state", "root"):
            shutil.rmtree(clone.folder / name)
            shutil.copytree(original.folder / name, clone.folder / name)
        if cloned == "a":
            clone.write(two.b)
        async with two.a.running() as a, two.b.running() as b:
            await until(lambda: target_of(a, "b")["state"] == "streaming", "the original serves")
            if cloned == "a":
                async with clone.running() as copy:
                    await until(lambda: shows(copy, 0, "two machines run with the identity of a"), "the copy shows it")
                    await until(partial(refusals, b), "and who has refused it")
                    assert is_silent(a, b, copy)
                return
        # The target's address leads to the copy now.
        two.a.write(clone)
        async with two.a.running() as a, clone.running() as copy:
            await until(lambda: shows(a, 0, "two machines run with the identity of b"), "production shows it")
            await until(partial(refusals, copy), "and the copy hears of it")
            assert "two machines run with the identity of b" in refusals(copy)[0]["reason"]
            assert len(clone.raised(copy, "session.refused")) == 1
            assert is_silent(a, copy)

    run(work())


def test_guarantee_3_a_path_of_nodes_is_carried_and_a_circle_in_it_refused(two: Two) -> None:
    """Nothing passes on today; what would is known by the path that goes with every session."""

    async def work() -> None:
        async with two.b.running() as b, two.a.running() as a:
            await until(lambda: target_of(a, "b")["state"] == "streaming", "they know each other")
            assert a.production is not None
            assert b.failover is not None
            sender, index = a.production.senders["b", DOMAIN], a.production.index
            hello = hello_of(sender.stream, a.production, index.head(DOMAIN), index.owner_names(DOMAIN))
            assert hello.path_of_nodes == (two.a.node_id,)
            other = "00000000-0000-4000-8000-000000000000"
            b.failover.receiver._admission.admit(hello._replace(path_of_nodes=(other, two.a.node_id)), two.a.node_id)
            with pytest.raises(RefusedError, match="would close a circle") as refused:
                b.failover.receiver._admission.admit(
                    hello._replace(path_of_nodes=(two.b.node_id, other, two.a.node_id)), two.a.node_id
                )
            assert refused.value.reason is Reason.LOOP

    run(work())
