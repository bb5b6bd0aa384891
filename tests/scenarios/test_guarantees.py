"""Guarantees that two real nodes show: one direction, fencing, no loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason
from syncer.model import Cursor, Mode, Patterns, Term
from syncer.replicate.link import Link
from syncer.replicate.messages import PROTOCOL, FromFailover, HeartbeatAnswer, Hello, Part
from syncer.state.cursors import read_target
from syncer.state.peers import peer_by_node_id
from syncer.state.store import StateStore
from syncer.state.term import observe_term
from syncer.trust import identity
from syncer.trust.tls import open_channel
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path) as pair:
        (pair.production.root / "file").write_text("x")
        pair.wait_equal()
        yield pair


def hello(ident: str, /, **how: Any) -> Hello:
    head = Cursor("index", "run", 1)
    base = Hello(PROTOCOL, "test", ident, "prod-a", Term(1, ident), DOMAIN, head, Patterns(), b"", b"", (ident,))
    return base._replace(**how)


def say(pair: Pair, message: Hello, *more: Part) -> FromFailover:
    """Speak to failover as production would, with production's own key; return the last answer."""
    pair.production.kill()

    async def speak() -> FromFailover:
        with StateStore.open(pair.production.state) as store:
            record = read_target(store, TARGET)
            assert record is not None
            peer = peer_by_node_id(store, record.node_id)
            assert peer is not None
            own = identity.load(pair.production.state, store.node_id)
        link = Link(open_channel(pair.failover.address, own, peer.certificate_pem), TARGET)
        try:
            await link.send(message)
            answer = await heard(link)
            for part in more:
                await link.send(part)
                answer = await heard(link)
            return answer
        finally:
            await link.close()

    return asyncio.run(speak())


async def heard(link: Link) -> FromFailover:
    """Return the next message that is no sign of life."""
    while isinstance(message := await link.receive(), HeartbeatAnswer):
        pass
    return message


def refused(pair: Pair, message: Hello, *more: Part) -> PeerRejectedError:
    with pytest.raises(PeerRejectedError) as found:
        say(pair, message, *more)
    return found.value


def node_id(pair: Pair) -> str:
    return str(pair.production.status()["node_id"])


def test_guarantee_1_only_a_failover_node_accepts(pair: Pair) -> None:
    (pair.failover.root / "local").write_text("an edit on failover")
    (pair.production.root / "second").write_text("y")
    wait_until((pair.failover.root / "second").exists, 60, "the change arrived")
    assert not (pair.production.root / "local").exists()
    ident = node_id(pair)
    pair.failover.stop()
    text = pair.failover.config.read_text()
    with StateStore.open(pair.failover.state) as store:
        store.set_mode(Mode.PRODUCTION)
    pair.failover.config.write_text(text)
    pair.failover.start()
    error = refused(pair, hello(ident))
    assert error.reason is Reason.WRONG_MODE


def test_guarantee_2_a_lower_term_is_refused(pair: Pair) -> None:
    ident = node_id(pair)
    pair.failover.stop()
    with StateStore.open(pair.failover.state) as store:
        # Above production's by its node id alone: a counter of 1 fences nobody.
        observe_term(store, Term(1, "z"))
    pair.failover.start()
    wait_until(
        lambda: pair.production.stream()["state"] == "suspended" and "term" in pair.production.stream()["reason"],
        30.0,
        "production shows why it is refused",
    )
    [refused_here] = pair.failover.status()["refused"]
    assert "comes with term 1 (node" in refused_here["reason"]
    for node in (pair.production, pair.failover):
        wait_until(partial(node.raised, "term.refused"), 10.0, "the event stands on both nodes")
        assert len(node.raised("term.refused")) == 1, "it is tried again and again, and told once"
    assert pair.production.status()["mode"] == "production"
    error = refused(pair, hello(ident))
    assert (error.reason, error.term) == (Reason.STALE_TERM, Term(1, "z"))


def test_guarantee_3_a_circle_is_refused(pair: Pair) -> None:
    ident = node_id(pair)
    there = str(pair.failover.status()["node_id"])
    assert refused(pair, hello(ident, path_of_nodes=(there, ident))).reason is Reason.LOOP


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"protocol": 99}, Reason.PROTOCOL_VERSION),
        ({"domain": "other"}, Reason.UNKNOWN_DOMAIN),
        ({"node_id": "somebody-else"}, Reason.NOT_PAIRED),
    ],
    ids=["protocol", "domain", "node id"],
)
def test_a_hello_that_does_not_fit_is_refused_with_its_reason(pair: Pair, how: dict[str, Any], reason: Reason) -> None:
    assert refused(pair, hello(node_id(pair), **how)).reason is reason


def test_a_message_out_of_order_ends_the_session_and_changes_nothing(pair: Pair) -> None:
    ident = node_id(pair)
    with pytest.raises(PeerProtocolError):
        say(pair, hello(ident), Part(7, None, (), (), end=True))
    assert {path.name for path in pair.failover.root.iterdir()} == {"file"}
    pair.production.start()
    (pair.production.root / "after").write_text("goes on")
    pair.wait_equal()
