"""What failover lets production render with, and keeps of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.errors import PeerProtocolError, Reason, RefusedError
from syncer.model import Cursor, Patterns, Term
from syncer.replicate.messages import Hello
from syncer.replicate.received_rules import take_rules
from syncer.state.rules import rules_of
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, Rule, RuleSet

RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10"), Rule("10.1.0.0/16", "10.2.0.0/16")])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state", create=True) as found:
        yield found


def hello(rules: bytes, digest: bytes) -> Hello:
    head = Cursor("index", "run", 1)
    return Hello(1, "", "id", "prod-a", Term(1, "id"), "nginx", head, Patterns(), b"", digest, (), rules=rules)


def kept(store: StateStore) -> tuple[bytes, bytes] | None:
    return rules_of(store, "id", "nginx")


def test_the_rules_of_a_session_are_kept(store: StateStore) -> None:
    take_rules(store, hello(RULES.encode(), RULES.hash), {})
    assert kept(store) == (RULES.hash, RULES.encode())
    take_rules(store, hello(b"", b""), {})
    assert kept(store) == (b"", b"")


@pytest.mark.parametrize("configured", [EMPTY, RULES.inverse()])
def test_the_inverse_or_nothing_may_be_configured_here(store: StateStore, configured: RuleSet) -> None:
    take_rules(store, hello(RULES.encode(), RULES.hash), {"prod-a": configured, "other": RULES})
    assert kept(store) is not None


def test_rules_for_the_other_direction_that_are_not_the_inverse_are_refused(store: StateStore) -> None:
    wrong = RuleSet.of([Rule("10.0.2.10", "10.0.9.9")])
    with pytest.raises(RefusedError, match=r"10\.0\.1\.10 → 10\.0\.2\.10, but no rule .* is configured") as raised:
        take_rules(store, hello(RULES.encode(), RULES.hash), {"prod-a": wrong})
    assert raised.value.reason is Reason.RULES_DISAGREE
    assert kept(store) is None


@pytest.mark.parametrize(
    ("rules", "digest"),
    [(b"garbage", RULES.hash), (RULES.encode(), b"h" * 32), (RULES.encode(), b""), (b"", RULES.hash)],
)
def test_rules_that_cannot_be_are_refused(store: StateStore, rules: bytes, digest: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        take_rules(store, hello(rules, digest), {})
    assert kept(store) is None
