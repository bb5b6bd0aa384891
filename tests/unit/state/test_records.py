from __future__ import annotations

from pathlib import Path

import pytest

from syncer.errors import PairingError
from syncer.model import Cursor, Head
from syncer.state.cursors import (
    TargetProgress,
    TargetRecord,
    forget_target,
    read_progress,
    read_target,
    record_progress,
    record_target,
)
from syncer.state.freezes import (
    OPERATOR,
    Claim,
    Cover,
    Frozen,
    forget_frozen,
    read_claims,
    read_frozen,
    write_claims,
    write_frozen,
)
from syncer.state.invitations import (
    WRONG_ATTEMPTS_MAX,
    Invitation,
    add_invitation,
    hash_secret,
    invitations,
    redeem,
)
from syncer.state.peers import (
    Peer,
    add_peer,
    peer_by_fingerprint,
    peer_by_node_id,
    peers,
    remove_peer,
)
from syncer.state.store import StateStore


def peer(node_id: str, fingerprint: str = "") -> Peer:
    return Peer(node_id, "name of " + node_id, b"pem", fingerprint or "f" + node_id, 12.5)


def test_peers(store: StateStore) -> None:
    add_peer(store, peer("b"))
    add_peer(store, peer("a"))
    assert peers(store) == [peer("a"), peer("b")]
    assert peer_by_fingerprint(store, "fb") == peer_by_node_id(store, "b") == peer("b")
    # A new certificate of the same node replaces the old one, which counts no longer.
    add_peer(store, peer("b", "new"))
    assert peer_by_fingerprint(store, "fb") is None
    assert len(peers(store)) == 2
    assert remove_peer(store, "b")
    assert not remove_peer(store, "b")
    assert peers(store) == [peer("a")]


def test_targets_and_their_progress(store: StateStore) -> None:
    assert read_target(store, "dr") is None
    record = TargetRecord("dr", "a", "dr-a")
    record_target(store, record)
    progress = TargetProgress("dr", "nginx", Cursor("i", "r", 7), 1.5, "", None)
    empty = TargetProgress("dr", "mail", None, None, "refused \udcff", 2.5)
    record_progress(store, progress)
    record_progress(store, empty)
    assert read_progress(store, "dr") == [empty._replace(last_error="refused \\udcff"), progress]
    record_progress(store, progress._replace(cursor=Cursor("i", "r", 8)))
    assert read_progress(store, "dr")[1].cursor == Cursor("i", "r", 8)
    assert read_progress(store, "other") == []
    # Joined again as the same node: its progress stays. As another one: it starts anew.
    record_target(store, record._replace(node_name="renamed"))
    assert len(read_progress(store, "dr")) == 2
    record_target(store, record._replace(node_id="b"))
    assert read_progress(store, "dr") == []
    assert read_target(store, "dr") == TargetRecord("dr", "b", "dr-a")


def test_the_pin_goes_with_the_last_target_that_uses_it(store: StateStore) -> None:
    add_peer(store, peer("a"))
    for name in ("one", "two"):
        record_target(store, TargetRecord(name, "a", "dr-a"))
        record_progress(store, TargetProgress(name, "nginx", None, None, "", None))
    assert not forget_target(store, "one")
    assert peers(store) == [peer("a")]
    assert read_progress(store, "one") == []
    assert len(read_progress(store, "two")) == 1
    assert forget_target(store, "two")
    assert peers(store) == []
    assert not forget_target(store, "two")


SECRET = b"s" * 32


def invitation(name: str = "i", expires_at: float = 100.0) -> Invitation:
    return Invitation(name, hash_secret(SECRET), "key of " + name, b"pem", expires_at)


def test_an_invitation_is_worth_one_peer(store: StateStore) -> None:
    add_invitation(store, invitation(), now=0.0)
    redeem(store, "i", SECRET, "key of i", peer("a"), now=50.0)
    assert peers(store) == [peer("a")]
    with pytest.raises(PairingError, match="used already"):
        redeem(store, "i", SECRET, "key of i", peer("b"), now=51.0)
    assert peers(store) == [peer("a")]
    assert [item.used_at for item in invitations(store, now=52.0)] == [50.0]


@pytest.mark.parametrize(
    ("name", "key", "now", "why"),
    [
        ("other", "key of other", 50.0, "not known"),
        ("i", "key of other", 50.0, "not known"),
        ("i", "key of i", 100.0, "expired"),
    ],
)
def test_a_refused_token_pins_nobody(store: StateStore, name: str, key: str, now: float, why: str) -> None:
    add_invitation(store, invitation(), now=0.0)
    with pytest.raises(PairingError, match=why):
        redeem(store, name, SECRET, key, peer("a"), now=now)
    assert peers(store) == []
    redeem(store, "i", SECRET, "key of i", peer("a"), now=50.0)


def test_wrong_secrets_close_an_invitation(store: StateStore) -> None:
    add_invitation(store, invitation(), now=0.0)
    for _ in range(WRONG_ATTEMPTS_MAX):
        with pytest.raises(PairingError, match="secret is wrong"):
            redeem(store, "i", b"x" * 32, "key of i", peer("a"), now=50.0)
    with pytest.raises(PairingError, match="too many wrong attempts"):
        redeem(store, "i", SECRET, "key of i", peer("a"), now=50.0)
    assert peers(store) == []


def test_expired_invitations_vanish(store: StateStore) -> None:
    add_invitation(store, invitation("old", 100.0), now=0.0)
    assert [item.invitation_id for item in invitations(store, now=99.0)] == ["old"]
    assert invitations(store, now=100.0) == []
    add_invitation(store, invitation("new", 200.0), now=100.0)
    with store.read() as reader:
        assert reader.execute("SELECT invitation_id FROM invitation").fetchall() == [("new",)]


def test_the_secret_is_not_in_the_file(tmp_path: Path) -> None:
    with StateStore.open(tmp_path, create=True) as store:
        add_invitation(store, invitation(), now=0.0)
    assert SECRET not in (tmp_path / "node.db").read_bytes()


def test_freezes(store: StateStore) -> None:
    claims = (
        Claim("mail", "p-1", 1.5, 3601.5, "", read_only=True),
        Claim("web", OPERATOR, 2.5, 62.5, "why \udcff"),
    )
    write_claims(store, claims)
    assert read_claims(store) == (claims[0], claims[1]._replace(reason="why \\udcff"))
    write_claims(store, claims[:1])
    assert read_claims(store) == claims[:1]
    begun = Frozen("web", 1.5, was_running=True)
    complete = Frozen("mail", 1.5, False, "boot", True, Cover(b"/etc/\xff", "boot", 1), Head("index", "run", 7))
    write_frozen(store, begun)
    write_frozen(store, complete)
    write_frozen(store, begun._replace(stopped_in="boot"))
    assert read_frozen(store) == (complete, begun._replace(stopped_in="boot"))
    forget_frozen(store, "mail")
    assert [item.domain for item in read_frozen(store)] == ["web"]
