"""Production introduces its nodes to each other; who is promoted then feeds all of them, without pairing again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from syncer.model import Term
from syncer.node.agent import Node
from syncer.procedures.steps import Outcome
from syncer.state.introductions import doors, introduced_by, introductions
from syncer.state.peers import peer_by_node_id
from syncer.state.store import StateStore
from syncer.state.term import next_term
from syncer.status import node_status
from tests.ports import free_port
from tests.unit.node.running import F, P, Place, X, contents, run, until


class Three:
    """Production and two failover nodes, which know nothing of each other; no failover node names a target."""

    def __init__(self, folder: Path) -> None:
        self.a = Place(folder, "a", P, free_port())
        self.b = Place(folder, "b", F, free_port())
        self.c = Place(folder, "c", F, free_port())
        for place in (self.b, self.c):
            self.a.trust(place)
            place.trust(self.a)
        self.a.write(self.b, self.c)


@pytest.fixture
def three(tmp_path: Path) -> Three:
    return Three(tmp_path)


async def promoted(node: Node) -> Term:
    term = next_term(node.store)
    await node.become(P, term, "a test promotes it")
    return term


def knows(node: Node, place: Place) -> bool:
    return peer_by_node_id(node.store, place.node_id) is not None


def target_of(node: Node, name: str) -> Any:
    [found] = [target for target in node_status(node)["targets"] if target["name"] == name]
    return found


def is_equal(one: Place, *others: Place) -> bool:
    return all(contents(one.root) == contents(other.root) for other in others)


def test_nodes_are_introduced_and_a_forced_promotion_feeds_all_of_them(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.b.running() as b, three.c.running() as c:
            async with three.a.running() as a:
                await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
                await until(lambda: three.c.raised(c, "peer.introduced"), "its event is durable")
                [(_, told)] = three.c.raised(c, "peer.introduced")
                assert (told["peer"], told["peer_id"], told["by"]) == ("b", three.b.node_id, "a")
                [shown] = [peer for peer in node_status(c)["peers"] if peer["name"] == "b"]
                assert (shown["introduced_by"], shown["fingerprint"]) == ("a", three.b.peer.fingerprint)
                assert [peer["introduced_by"] for peer in node_status(a)["peers"]] == [None, None]
                # Nothing is said twice.
                before = len(introductions(c.store))
                a.introducing.look()
                await asyncio.sleep(0.05)
                assert len(introductions(c.store)) == before
            await promoted(b)
            (three.b.root / "more").write_text("y")
            await until(lambda: is_equal(three.b, three.c), "the new production feeds the other one")
            await until(lambda: target_of(b, "c")["state"] == "streaming", "it streams")
            async with three.a.running() as a:
                await until(lambda: a.mode is X, "the old production is fenced")
                await a.become(F, a.modes.rank().term, "rejoins")
                await until(lambda: contents(three.a.root).get("more") == b"y", "and fed")

    run(work())


def test_a_node_that_was_away_believes_what_it_is_shown_at_first_contact(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.b.running() as b:
            async with three.a.running():
                async with three.c.running() as c:
                    await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                    await until(lambda: doors(c.store), "it has the key, as everybody from its pairing on")
                # As if b had come later.
                with StateStore.open(three.c.state) as store, store.transaction() as writer:
                    writer.execute("DELETE FROM peer WHERE node_id = ?", (three.b.node_id,))
                    for table in ("introduced", "introduction"):
                        writer.execute(f"DELETE FROM {table}")
                await until(lambda: knows(b, three.c), "b knows c")
            await promoted(b)
            (three.b.root / "more").write_text("y")
            async with three.c.running() as c:
                assert not knows(c, three.b)
                await until(lambda: is_equal(three.b, three.c), "c lets b in, and is fed by it")
                assert introduced_by(c.store) == {three.b.node_id: three.a.node_id}
                assert c.modes.rank().term == b.modes.rank().term
                assert three.c.raised(c, "introduction.refused") == []

    run(work())


@pytest.mark.parametrize("foreign", [False, True])
def test_what_the_old_production_left_is_no_foreign_tree_but_an_edit_there_is_asked_about(
    three: Three, foreign: bool
) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        (three.a.root / "gone").write_text("x")
        async with three.b.running() as b, three.c.running() as c:
            async with three.a.running():
                await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            if foreign:
                (three.c.root / "own").write_text("of c alone")
            (three.b.root / "file").write_text("changed")
            (three.b.root / "gone").unlink()
            await promoted(b)
            if foreign:
                await until(lambda: "approve" in target_of(b, "c")["reason"], "it waits for a person")
                assert (three.c.root / "own").read_text() == "of c alone"
            else:
                await until(lambda: is_equal(three.b, three.c), "nobody was asked")

    run(work())


def with_rules(place: Place, rules: dict[str, tuple[tuple[str, str], ...]]) -> None:
    """Write substitution rules into the tables of these targets."""
    text = place.config.read_text()
    for name, pairs in rules.items():
        head, found, rest = text.partition(f'[[failover]]\nname = "{name}"\n')
        table, _, rest = rest.partition("[[failover]]")
        made = "".join(f'[[failover.substitute]]\nfrom = "{old}"\nto = "{new}"\n' for old, new in pairs)
        text = head + found + table + made + (f"[[failover]]{rest}" if rest else "")
    place.config.write_text(text)


SOURCE = "listen 192.0.2.1; peer 198.51.100.7\n"


@pytest.mark.parametrize(
    ("to_b", "to_c", "text"),
    [
        ((), (), SOURCE),
        ((("192.0.2.1", "192.0.2.2"),), (("192.0.2.1", "192.0.2.3"),), SOURCE),
        ((("192.0.2.1", "192.0.2.2"),), (("192.0.2.1", "192.0.2.2"),), SOURCE + "already 192.0.2.2\n"),
        ((), (("192.0.2.1", "192.0.2.3"),), SOURCE),
        ((("192.0.2.1", "192.0.2.2"),), (), SOURCE),
    ],
)
def test_the_rules_are_composed_and_what_nobody_edited_stays_as_it_is(
    three: Three, to_b: tuple[tuple[str, str], ...], to_c: tuple[tuple[str, str], ...], text: str
) -> None:
    with_rules(three.a, {"b": to_b, "c": to_c})

    async def work() -> None:
        (three.a.root / "file").write_text(text)
        async with three.b.running() as b, three.c.running() as c:
            async with three.a.running() as a:
                await until(lambda: target_of(a, "b")["state"] == target_of(a, "c")["state"] == "streaming", "all have")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            before = (three.c.root / "file").read_bytes()
            inode = (three.c.root / "file").stat().st_ino
            await promoted(b)
            own = to_b[0][1] if to_b else "192.0.2.1"
            (three.b.root / "more").write_text(f"now {own}\n")
            wanted = f"now {to_c[0][1] if to_c else '192.0.2.1'}\n".encode()
            await until(lambda: contents(three.c.root).get("more") == wanted, "rendered as it was for c")
            assert (three.c.root / "file").read_bytes() == before
            assert (three.c.root / "file").stat().st_ino == inode
            assert target_of(b, "c")["domains"][0]["echoes"] == 0

    run(work())


@pytest.mark.parametrize(
    ("to_c", "text", "words"),
    [
        ((("198.51.100.7", "198.51.100.8"),), SOURCE, "only one of both is rendered by a rule for"),
        ((("192.0.2.1", "192.0.2.3"),), SOURCE + "already 192.0.2.2\n", "hold addresses of both"),
    ],
)
def test_what_cannot_be_proved_is_shown_and_asks_for_a_table(
    three: Three, to_c: tuple[tuple[str, str], ...], text: str, words: str
) -> None:
    with_rules(three.a, {"b": (("192.0.2.1", "192.0.2.2"),), "c": to_c})

    async def work() -> None:
        (three.a.root / "file").write_text(text)
        async with three.b.running() as b, three.c.running() as c:
            async with three.a.running() as a:
                await until(lambda: target_of(a, "b")["state"] == target_of(a, "c")["state"] == "streaming", "all have")
                await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            before = contents(three.c.root)
            await promoted(b)
            await until(lambda: words in target_of(b, "c")["reason"], "the reason is shown")
            assert "[[failover]] table c" in target_of(b, "c")["reason"]
            assert contents(three.c.root) == before

    run(work())


@pytest.mark.soak
def test_who_is_introduced_by_the_second_production_is_fed_by_the_third(three: Three, tmp_path: Path) -> None:
    """B takes over from A, a new node D is paired with B, and C takes over from B: it has never met D by itself."""
    new = Place(tmp_path, "d", F, free_port())

    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.c.running() as c:
            async with three.b.running() as b:
                async with three.a.running():
                    await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
                    await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
                await promoted(b)
                await until(lambda: c.modes.rank().term == b.modes.rank().term, "c follows b")
            # A person writes a table for the new one, and pairs both.
            three.b.write(new)
            new.trust(three.b)
            three.b.trust(new)
            async with new.running() as d:
                async with three.b.running() as b:
                    await until(lambda: is_equal(three.b, three.c, new), "the new one is filled")
                    await until(lambda: knows(c, new) and knows(d, three.c), "they were introduced")
                    assert introduced_by(d.store) == {
                        three.a.node_id: three.b.node_id,
                        three.c.node_id: three.b.node_id,
                    }
                await promoted(c)
                (three.c.root / "of-c").write_text("y")
                await until(lambda: is_equal(three.c, new), "the third production feeds it")
                async with three.b.running() as b, three.a.running() as a:
                    await until(lambda: (a.mode, b.mode) == (X, X), "both are fenced")
                    await b.become(F, b.modes.rank().term, "rejoins")
                    await until(lambda: is_equal(three.c, three.b), "and is fed")

    run(work())


@pytest.mark.soak
def test_planned_promotions_go_round_three_nodes_without_pairing_again(three: Three) -> None:
    async def work() -> None:
        (three.a.root / "file").write_text("x")
        async with three.a.running() as a, three.b.running() as b, three.c.running() as c:
            await until(lambda: is_equal(three.a, three.b, three.c), "all have the change")
            await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            places = {"a": (three.a, a), "b": (three.b, b), "c": (three.c, c)}
            serving = "a"
            for number, taking in enumerate("bcab"):
                place, node = places[taking]
                peer = peer_by_node_id(node.store, places[serving][0].node_id)
                assert peer is not None
                procedure = await node.procedures.begin("promote", peer, {})
                await until(lambda: is_over(node, procedure.id), f"{taking} takes over from {serving}")  # noqa: B023 - at once
                ended = node.procedures.journal.read(procedure.id)
                assert ended is not None
                assert ended.journal.outcome is Outcome.FINISHED, ended.journal
                serving = taking
                (place.root / f"by-{number}").write_text(taking)
                await until(lambda: is_equal(three.a, three.b, three.c), f"{taking} feeds both others")
                assert {name: found.mode for name, (_, found) in places.items()} == {
                    name: P if name == taking else F for name in places
                }
                for target in node_status(node)["targets"]:
                    assert [domain["echoes"] for domain in target["domains"]] == [0]

    run(work())


def is_over(node: Node, procedure: str) -> bool:
    found = node.procedures.journal.read(procedure)
    return found is not None and found.journal.outcome is not Outcome.OPEN
