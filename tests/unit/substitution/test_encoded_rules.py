"""Rules as bytes of a peer: read back as they were, or refused."""

from __future__ import annotations

import json

import pytest

from syncer.substitution.canonical import MOST_BYTES, MOST_RULES
from syncer.substitution.rules import Rule, RulesError, RuleSet

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def row(source: object = A, target: object = B, **changed: object) -> list[object]:
    values = {**Rule("", "")._asdict(), "source": source, "target": target, **changed}
    return [list(value) if isinstance(value, tuple) else value for value in values.values()]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\xff",
        b"[]",
        b"{}",
        b"1",
        b"[2]",
        b"[true]",
        b'["1"]',
        b"[1,1]",
        b"[" * 200_000,
        b"9" * 10_000,
        b" " * (MOST_BYTES + 1),
        json.dumps([1, row()[:-1]]).encode(),
        json.dumps([1, [*row(), 1]]).encode(),
        json.dumps([1, row(source=1)]).encode(),
        json.dumps([1, row(source=None)]).encode(),
        json.dumps([1, row(swap=1)]).encode(),
        json.dumps([1, row(domains="web")]).encode(),
        json.dumps([1, row(domains=[1])]).encode(),
        json.dumps([1, row(paths=[])]).encode(),
        json.dumps([1, row(paths=["x" * 2000])]).encode(),
        json.dumps([1, row(paths=["("])]).encode().replace(b"(", b"["),
        json.dumps([1, row("10.0.0.300")]).encode(),
        json.dumps([1, row("\ud800")]).encode(),
        json.dumps([1, row(), row(A, C)]).encode(),
        json.dumps([1, *([[]] * (MOST_RULES + 1))]).encode(),
    ],
)
def test_bytes_that_are_no_rules_are_refused(data: bytes) -> None:
    with pytest.raises(RulesError) as caught:
        RuleSet.decode(data)
    assert all(flaw.text.isprintable() for flaw in caught.value.flaws)
