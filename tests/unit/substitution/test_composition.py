"""Rules from one rendering of a source to another: what they come to is the same, or they are refused."""

from __future__ import annotations

import pytest

from syncer.substitution.composition import composed
from syncer.substitution.rewrite import rewrite
from syncer.substitution.rules import EMPTY, Rule, RuleSet

SOURCE = b"listen 192.0.2.1:80; server prod.example.com; peer 198.51.100.7; 203.0.113.5\n"
TO_B = RuleSet.of([Rule("192.0.2.1", "192.0.2.2"), Rule("prod.example.com", "b.example.com")])
TO_C = RuleSet.of([Rule("192.0.2.1", "192.0.2.3"), Rule("prod.example.com", "c.example.com")])


def rendered(text: bytes, rules: RuleSet) -> bytes:
    mapping = rules.for_path("etc", b"file")
    return text if mapping is None else rewrite(text, mapping)[0]


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (EMPTY, EMPTY),
        (EMPTY, TO_C),
        (TO_B, EMPTY),
        (TO_B, TO_B),
        (TO_B, TO_C),
        (RuleSet.of([Rule("192.0.2.1", "192.0.2.2")]), RuleSet.of([Rule("192.0.2.1", "192.0.2.3")])),
        (RuleSet.of([Rule("192.0.2.0/28", "10.0.0.0/28")]), RuleSet.of([Rule("192.0.2.0/28", "10.1.0.0/28")])),
        (
            RuleSet.of([Rule("192.0.2.1", "192.0.2.2"), Rule("203.0.113.5", "203.0.113.6")]),
            RuleSet.of([Rule("192.0.2.1", "192.0.2.3"), Rule("203.0.113.5", "203.0.113.6")]),
        ),
    ],
)
def test_what_they_come_to_is_what_the_other_one_has(here: RuleSet, there: RuleSet) -> None:
    rules, why = composed(here, there)
    assert why == ""
    assert rendered(rendered(SOURCE, here), rules) == rendered(SOURCE, there)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        # Other sources: what stands here of one of them cannot be told from what was there before.
        (TO_B, RuleSet.of([Rule("192.0.2.1", "192.0.2.3")])),
        (TO_B, RuleSet.of([Rule("192.0.2.1", "192.0.2.3"), Rule("198.51.100.7", "198.51.100.8")])),
        # Other places.
        (RuleSet.of([Rule("192.0.2.1", "192.0.2.2", paths=("*.conf",))]), RuleSet.of([Rule("192.0.2.1", "192.0.2.3")])),
        # Networks that overlap.
        (RuleSet.of([Rule("192.0.2.0/24", "10.0.0.0/24")]), RuleSet.of([Rule("192.0.2.0/28", "10.1.0.0/28")])),
    ],
)
def test_what_cannot_be_proved_is_refused_with_the_reason(here: RuleSet, there: RuleSet) -> None:
    rules, why = composed(here, there)
    assert rules == EMPTY
    assert why
