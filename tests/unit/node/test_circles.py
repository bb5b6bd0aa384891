"""Whom a node does not believe to be who they seem: copies of an identity, itself, one server under two names."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import Reason, RefusedError
from syncer.model import Start
from syncer.node.circles import is_own_address
from syncer.replicate.fencing import is_copy
from syncer.replicate.stream import hello_of
from syncer.state.cursors import TargetRecord, record_target
from syncer.state.starts import after_restore, begin_start, read_peer_start, remember_peer_start
from syncer.state.store import StateStore
from syncer.status import node_status
from tests.ports import free_port
from tests.unit.node.running import DOMAIN, F, Place, Two, contents, run, shows, two, until

__all__ = ["two"]


def test_a_copy_of_a_node_is_told_from_a_restart_of_it(two: Two) -> None:
    async def work() -> None:
        (two.a.root / "file").write_text("x")
        async with two.b.running() as b:
            async with two.a.running():
                await until(lambda: contents(two.b.root) == {"file": b"x"}, "it arrived")
            # A restart is none.
            async with two.a.running() as a:
                (two.a.root / "file").write_text("y")
                await until(lambda: contents(two.b.root) == {"file": b"y"}, "it goes on after a restart")
                known = read_peer_start(b.store, two.a.node_id)
                assert known == a.start
            # Another machine with the same state has been started as often, but is not the one that was seen.
            remember_peer_start(b.store, two.a.node_id, Start(known.number + 1, "of the copy"))
            async with two.a.running() as a:
                await until(lambda: node_status(b)["refused"], "it is refused")
                [refused] = node_status(b)["refused"]
                assert "two machines run with the identity of a" in refused["reason"]
                await until(lambda: "two machines" in node_status(a)["targets"][0]["reason"], "and says so itself")
                assert len(two.b.raised(b, "session.refused")) == 1
                # A person pairs it again, and it is believed.
                b.joined(two.a.peer)
                await until(lambda: node_status(a)["targets"][0]["state"] == "streaming", "it streams again")
                await until(lambda: not node_status(b)["refused"], "nobody is refused any more")

    run(work())


def test_a_copy_that_comes_while_the_original_speaks_does_not_take_its_place(two: Two) -> None:
    async def work() -> None:
        async with two.b.running() as b, two.a.running() as a:
            await until(lambda: node_status(a)["targets"][0]["state"] == "streaming", "the original streams")
            original = a.start
            # What a copy does that has been started once more often.
            copy = original._replace(number=original.number + 1, instance="the copy")
            assert a.production is not None
            receiver = b.failover.receiver  # type: ignore[union-attr]  # a node has one
            sender = a.production.senders["b", DOMAIN]
            index = a.production.index
            hello = hello_of(sender.stream, a.production, index.head(DOMAIN), index.owner_names(DOMAIN))

            class Copy:
                async def receive(self) -> Any:
                    return hello._replace(start=copy)

                async def send(self, message: object) -> None:
                    raise AssertionError(f"it must not be welcomed: {message}")

            with pytest.raises(RefusedError) as refused:
                await receiver.serve(Copy(), two.a.node_id)
            assert refused.value.reason is Reason.COPIED_IDENTITY
            assert read_peer_start(b.store, two.a.node_id) == original
            assert node_status(a)["targets"][0]["state"] == "streaming"

    run(work())


def test_a_restored_state_is_put_ahead_of_what_peers_remember(store: StateStore) -> None:
    for _ in range(3):
        before = begin_start(store)
    with store.transaction() as writer:
        writer.execute("UPDATE node SET starts = 1")
    assert is_copy(before, begin_start(store))
    after_restore(store)
    assert not is_copy(before, begin_start(store))


def test_one_server_under_two_names_and_this_node_itself_are_refused_with_the_reason(two: Two, tmp_path: Path) -> None:
    again = Place(tmp_path, "b-again", F, free_port())
    own = Place(tmp_path, "own", F, two.a.port)
    two.a.write(two.b, again, own)
    with StateStore.open(two.a.state) as store:
        record_target(store, TargetRecord("b-again", two.b.node_id, "b"))

    async def work() -> None:
        async with two.a.running() as a, two.b.running():
            await until(lambda: node_status(a)["targets"][0]["state"] == "streaming", "the first one is served")
            for number, words in ((1, "b-again and b are the same node"), (2, "is that of this node itself")):
                await until(partial(shows, a, number, words), "the reason is shown")

    run(work())


@pytest.mark.parametrize(
    ("address", "listen", "own"),
    [
        ("127.0.0.1:7443", "0.0.0.0:7443", True),
        ("10.0.0.1:7443", "0.0.0.0:7443", True),
        ("10.0.0.1:7443", "10.0.0.1:7443", True),
        ("10.0.0.2:7443", "0.0.0.0:7443", False),
        ("10.0.0.1:7444", "0.0.0.0:7443", False),
        # A tunnel may end on loopback where this node does not listen.
        ("127.0.0.1:7443", "10.0.0.1:7443", False),
        ("10.0.0.1:7443", "0.0.0.0:0", False),
    ],
)
def test_an_address_of_this_node_is_known(address: str, listen: str, own: bool) -> None:
    assert is_own_address(address, listen, lambda: ("10.0.0.1",)) is own
