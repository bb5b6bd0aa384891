"""The rules of a peer are kept for as long as something of them stands here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.model import Cursor, DiskIdentity, Entry, Kind
from syncer.origin import Origin
from syncer.state.base import Base, BaseRow
from syncer.state.cursors import Standing
from syncer.state.rules import SETS_KEPT, record_rules, rule_set, rules_of
from syncer.state.store import StateStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state", create=True) as found:
        yield found


def named(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_the_last_rules_of_each_domain_are_known(store: StateStore) -> None:
    assert rules_of(store, "prod", "nginx") is None
    record_rules(store, "prod", "nginx", named(1), b"one")
    record_rules(store, "prod", "", named(2), b"two")
    record_rules(store, "prod", "mail", b"", b"")
    record_rules(store, "prod", "nginx", named(3), b"three")
    assert rules_of(store, "prod", "nginx") == (named(3), b"three")
    assert rules_of(store, "prod", "") == (named(2), b"two")
    assert rules_of(store, "prod", "mail") == (b"", b"")
    assert rule_set(store, named(1)) == b"one"
    assert rule_set(store, named(9)) is None


def test_a_peer_cannot_fill_the_disk_with_rules_and_what_stands_here_keeps_its_own(store: StateStore) -> None:
    record_rules(store, "prod", "nginx", named(1), b"of what stands")
    record_rules(store, "prod", "nginx", named(2), b"of the cursor")
    origin = Origin(named(1), b"s" * 32, 3).encode()
    entry = Entry(b"a", Kind.FILE, 0o644, 0, 0, "", "", 1, 3, b"d" * 32, b"", origin=origin)
    standing = Standing(Cursor("i", "r", 1), "prod", b"", named(2), True, 1)
    Base(store).commit("nginx", [BaseRow(entry, DiskIdentity(3, 1, 1, 1, 1))], [], standing, [])
    for number in range(10, 10 + 3 * SETS_KEPT):
        record_rules(store, "prod", "nginx", named(number), b"other")
    assert rule_set(store, named(1)) == b"of what stands"
    assert rule_set(store, named(2)) == b"of the cursor"
    with store.read() as reader:
        assert reader.execute("SELECT count(*) FROM rule_set").fetchone()[0] <= SETS_KEPT + 1
