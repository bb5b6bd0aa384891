"""Statements about nodes: one form, signed, and believed of nobody but whom a node follows as production."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import PeerProtocolError, RefusedError, SyncerError
from syncer.model import TERM_COUNTER_MAX, Mode, Term
from syncer.state.introductions import introduced_by, introductions, is_retired
from syncer.state.peers import Peer, add_peer, peer_by_node_id, peers
from syncer.state.store import StateStore
from syncer.state.term import observe_term
from syncer.substitution.rules import Rule, RuleSet
from syncer.trust import identity
from syncer.trust.believing import take
from syncer.trust.doors import checked_door, new_door, through
from syncer.trust.introductions import (
    BODY_MAX,
    CONTEXT,
    Introduction,
    Retirement,
    Signed,
    Statement,
    encoded,
    read,
    sign,
    verified,
)
from syncer.trust.server import trusted_certificates
from syncer.trust.wire.introductions import decode_told, encode_told

RULES = RuleSet.of([Rule("192.0.2.1", "192.0.2.2"), Rule("prod.example.com", "dr.example.com")])


class Party:
    """A node with an identity."""

    def __init__(self, folder: Path, name: str, node_id: str = "") -> None:
        folder.mkdir(parents=True)
        self.node_id = node_id or str(uuid.uuid4())
        self.name = name
        self.own = identity.create(folder, self.node_id, name)
        self.peer = Peer(self.node_id, name, self.own.certificate_pem, self.own.fingerprint, 0.0)

    def introduces(self, other: Party, counter: int = 1, **changed: Any) -> Introduction:
        said = Introduction(
            self.node_id, Term(1, self.node_id), counter, other.node_id, other.name, other.own.certificate_pem,
            ("192.0.2.9:7443",), {"etc": RULES},
        )  # fmt: skip  # one statement
        return said._replace(**changed)

    def retires(self, other: Party) -> Retirement:
        pem = other.own.certificate_pem
        return Retirement(self.node_id, Term(1, self.node_id), 1, other.node_id, other.name, pem)

    def signed(self, statement: Statement) -> Signed:
        return sign(statement, self.own.key_pem)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Party]:
    return lambda name, node_id="": Party(tmp_path / f"{name}{uuid.uuid4().hex}", name, node_id)


@pytest.fixture
def parties(store: StateStore, make: Callable[..., Party]) -> tuple[Party, Party, Party]:
    """Production, which is followed; a failover that was introduced; and a node that is not known yet."""
    a, b, c = make("a"), make("b"), make("c")
    add_peer(store, a.peer)
    observe_term(store, Term(1, a.node_id))
    assert take(store, a.signed(a.introduces(b)), Mode.FAILOVER).is_new
    return a, b, c


def refused(store: StateStore, signed: Signed, mode: Mode = Mode.FAILOVER) -> str:
    before = (peers(store), introductions(store), introduced_by(store))
    with pytest.raises((PeerProtocolError, RefusedError)) as error:
        take(store, signed, mode)
    assert (peers(store), introductions(store), introduced_by(store)) == before
    return str(error.value)


def test_a_statement_says_what_was_signed_and_has_one_form(make: Callable[..., Party]) -> None:
    a, b = make("a"), make("b")
    for statement in (a.introduces(b), a.retires(b)):
        signed = a.signed(statement)
        assert verified(signed, a.own.certificate_pem) == statement
        assert encoded(read(signed)) == signed.body == encoded(statement)
        told = decode_told(encode_told([signed], new_door(a.node_id), Term(3, a.node_id)))
        assert (told.statements, told.term) == ((signed,), Term(3, a.node_id))
        with pytest.raises(PeerProtocolError, match="a term that cannot be"):
            decode_told(encode_told([signed], new_door(a.node_id), Term(TERM_COUNTER_MAX + 1, a.node_id)))


def test_what_is_believed_is_pinned_with_its_certificate_alone(
    store: StateStore, parties: tuple[Party, Party, Party]
) -> None:
    a, b, c = parties
    taken = take(store, a.signed(a.introduces(c)), Mode.FENCED)
    assert (taken.is_new, taken.issuer.name) == (True, "a")
    found = peer_by_node_id(store, c.node_id)
    assert found is not None
    assert (found.name, found.certificate_pem) == ("c", c.own.certificate_pem)
    assert introduced_by(store) == {b.node_id: a.node_id, c.node_id: a.node_id}
    # The same again, and an older one, are known.
    assert not take(store, a.signed(a.introduces(c)), Mode.FAILOVER).is_new
    # Other rules are a newer statement of the same node.
    assert not take(store, a.signed(a.introduces(c, 2, domains={})), Mode.FAILOVER).is_new
    assert not take(store, a.signed(a.introduces(c)), Mode.FAILOVER).is_new
    [kept] = introductions(store, subject=c.node_id)
    assert kept.counter == 2


def test_hostile_statements_change_nothing(
    store: StateStore, parties: tuple[Party, Party, Party], make: Callable[..., Party]
) -> None:
    a, b, c = parties
    good = a.signed(a.introduces(c))
    assert "not signed by" in refused(store, Signed(good.body, a.signed(a.introduces(c, 2)).signature))
    assert "not signed by" in refused(store, Signed(good.body, b.signed(a.introduces(c)).signature))
    assert "not signed by" in refused(store, Signed(good.body, b""))
    # A failover introduces nobody, although it is known; nor does one who says to have been production.
    assert "introduces nobody" in refused(store, b.signed(b.introduces(c)))
    assert "introduces nobody" in refused(store, b.signed(b.introduces(c, term=Term(9, b.node_id))))
    assert "not production" in refused(store, a.signed(a.introduces(c, term=Term(9, b.node_id))))
    # A stranger speaks for production.
    stranger = make("stranger")
    assert "not paired" in refused(store, stranger.signed(stranger.introduces(c)))
    assert "not signed by" in refused(store, stranger.signed(a.introduces(c)))
    # Production is told nothing.
    assert "is production" in refused(store, good, Mode.PRODUCTION)
    # Nobody takes the place of a node that is known, nor production its own.
    double = make("b", b.node_id)
    add_peer(store, b.peer)
    with store.transaction() as writer:
        writer.execute("DELETE FROM introduced")
    assert "another certificate" in refused(store, a.signed(a.introduces(double, 2)))
    assert "of itself" in refused(store, a.signed(a.introduces(a)))
    assert "of itself" in refused(store, a.signed(a.retires(a)))


@pytest.mark.parametrize(
    "change",
    [
        {"certificate": ""},
        {"counter": 0},
        {"counter": True},
        {"counter": TERM_COUNTER_MAX + 1},
        {"term": [TERM_COUNTER_MAX + 1, "00000000-0000-4000-8000-000000000000"]},
        {"term": [1]},
        {"term": None},
        {"term": [1, "no id"]},
        {"node_id": "00000000-0000-4000-8000-000000000000"},
        {"name": ""},
        {"name": "a\nb"},
        {"name": 3},
        {"addresses": ["no port"]},
        {"addresses": [f"192.0.2.{number}:1" for number in range(17)]},
        {"addresses": "192.0.2.1:1"},
        {"domains": {"etc": "no base64!"}},
        {"domains": {"etc": "AAAA"}},
        {"domains": ["etc"]},
        {"kind": "promotion"},
        {"more": 1},
    ],
)
def test_what_is_signed_and_is_no_statement_is_refused(
    store: StateStore, parties: tuple[Party, Party, Party], change: dict[str, Any]
) -> None:
    a, _, c = parties
    document = json.loads(encoded(a.introduces(c))) | change
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    refused(store, _signed_bytes(a, body))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b" " * (BODY_MAX + 1)])
def test_bytes_that_are_no_statement_are_refused(
    store: StateStore, parties: tuple[Party, Party, Party], body: bytes
) -> None:
    refused(store, _signed_bytes(parties[0], body))


def test_another_form_of_the_same_is_refused(store: StateStore, parties: tuple[Party, Party, Party]) -> None:
    a, _, c = parties
    body = json.dumps(json.loads(encoded(a.introduces(c))), indent=1).encode()
    assert "one form" in refused(store, _signed_bytes(a, body))


def test_a_retired_node_is_forgotten_for_good_whatever_is_said_of_it_later(
    store: StateStore, parties: tuple[Party, Party, Party]
) -> None:
    a, b, _ = parties
    assert take(store, a.signed(a.retires(b)), Mode.FAILOVER).is_new
    assert not take(store, a.signed(a.retires(b)), Mode.FAILOVER).is_new
    assert is_retired(store, b.node_id)
    assert [peer.name for peer in peers(store)] == ["a"]
    # A replay of what was said before, and something newer.
    for counter in (1, 2):
        assert "was retired by a" in refused(store, a.signed(a.introduces(b, counter)))
    # What it says itself counts nowhere, also not where its term had been seen.
    observe_term(store, Term(5, b.node_id))
    assert "was retired" in refused(store, b.signed(b.introduces(b)))
    # So that it hears the reason, it may shake hands.
    assert b.own.certificate_pem in trusted_certificates(store)


def test_a_door_opens_for_its_own_key_alone(make: Callable[..., Party]) -> None:
    door, other = new_door("x"), new_door("x")
    again = checked_door("x", door.certificate_pem, door.key_pem)
    assert through(again).public_key == through(door).public_key
    for certificate, key in (
        (other.certificate_pem, door.key_pem),
        (b"", door.key_pem),
        (door.certificate_pem, b"no key"),
        (door.certificate_pem, b"x" * 20_000),
    ):
        with pytest.raises(SyncerError):
            checked_door("x", certificate, key)


def _signed_bytes(party: Party, body: bytes) -> Signed:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(party.own.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Signed(body, key.sign(CONTEXT + body, ec.ECDSA(hashes.SHA256())))
