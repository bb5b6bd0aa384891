"""Which rule concerns an address at a place, why none does, and which one is missing."""

from __future__ import annotations

import pytest

from syncer.substitution.attribution import Attribution, Place, suggestion, unlimited
from syncer.substitution.rules import Rule, RuleSet

RULES = RuleSet.of(
    [
        Rule("10.1.0.0/16", "10.2.0.0/16"),
        Rule("10.1.0.5", "10.9.9.9", paths=("*.conf",)),
        Rule("192.0.2.1", "192.0.2.2", swap=True),
        Rule("prod.example.com", "dr.example.com", domains=("nginx",)),
        Rule("2001:db8:1::/48", "2001:db8:2::/48"),
    ]
)
ATTRIBUTION = Attribution(RULES.rules)
CONF = Place("nginx", b"sites/a.conf")
TEXT = Place("postfix", b"a.txt")


@pytest.mark.parametrize(
    ("place", "address", "rule", "limit"),
    [
        (CONF, "10.1.0.5", "10.1.0.5 → 10.9.9.9", ""),
        (TEXT, "10.1.0.5", "10.1.0.0/16 → 10.2.0.0/16", ""),
        (CONF, "10.1.2.3", "10.1.0.0/16 → 10.2.0.0/16", ""),
        (CONF, "192.0.2.2", "192.0.2.1 ↔ 192.0.2.2", ""),
        (CONF, "PROD.example.com", "prod.example.com → dr.example.com", ""),
        (CONF, "2001:0DB8:0001::1", "2001:db8:1::/48 → 2001:db8:2::/48", ""),
        (TEXT, "prod.example.com", "None", "the rule prod.example.com → dr.example.com does not apply in this domain"),
        (TEXT, "10.3.0.1", "None", ""),
        (TEXT, "10.2.0.1", "None", ""),
        (TEXT, "1.2.3.4.5", "None", ""),
        (Place("", b"a.conf"), "10.1.0.5", "10.1.0.0/16 → 10.2.0.0/16", ""),
        (Place("", b"a.conf"), "prod.example.com", "None",
         "the rule prod.example.com → dr.example.com does not apply in this domain"),
    ],
)  # fmt: skip  # a table
def test_the_most_specific_rule_that_applies_is_named(place: Place, address: str, rule: str, limit: str) -> None:
    assert str(ATTRIBUTION.applying(place, address)) == rule
    assert ATTRIBUTION.limit(place, address) == limit


def test_a_rule_that_is_limited_to_paths_is_named_as_such() -> None:
    limited = Attribution([Rule("10.1.0.5", "10.9.9.9", paths=("*.conf",))])
    assert limited.limit(TEXT, "10.1.0.5") == "the rule 10.1.0.5 → 10.9.9.9 is limited to other paths"
    assert limited.limit(CONF, "10.1.0.5") == ""


@pytest.mark.parametrize(
    ("address", "makes"),
    [("10.2.7.7", True), ("192.0.2.1", True), ("DR.example.com", True), ("10.1.7.7", False), ("prod.example.com", 0)],
)  # fmt: skip  # a table
def test_what_a_rule_makes_may_be_meant(address: str, makes: bool) -> None:
    assert ATTRIBUTION.makes(address) == makes


@pytest.mark.parametrize("address", ["10.0.1.11", "2001:db8:9::1", "web.example.com", "prod-a"])
def test_the_missing_rule_leaves_open_what_a_person_must_say(address: str) -> None:
    assert suggestion(RULES.rules, address) == Rule(address, "")


@pytest.mark.parametrize("address", ["127.0.0.1", "no name!", "localhost", ""])
def test_no_rule_is_suggested_that_the_configuration_would_refuse(address: str) -> None:
    assert suggestion(RULES.rules, address) is None


def test_outside_of_every_domain_only_rules_without_limits_hold() -> None:
    assert [rule.source for rule in unlimited(RULES).rules] == ["10.1.0.0/16", "192.0.2.1", "2001:db8:1::/48"]
