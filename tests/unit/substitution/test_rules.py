from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rules import EMPTY, Rule, RulesError, RuleSet, disagreement, mapping_key

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def becomes(rules: RuleSet, text: str, domain: str = "web", path: bytes = b"a.conf") -> str:
    """Return what one address becomes in a file; itself where no rule covers it."""
    address = ip_address(text)
    mapping = rules.for_path(domain, path)
    found = None if mapping is None else mapping.address(address.version, int(address))
    return text if found is None else str(type(address)(found))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("10.0.1.10", "10.0.2.10", "10.0.1.10 → 10.0.2.10"),
        ("10.0.1.10/32", "10.0.2.10", "10.0.1.10 → 10.0.2.10"),
        ("10.1.0.0/16", "10.2.0.0/16", "10.1.0.0/16 → 10.2.0.0/16"),
        ("2001:DB8:0::1", "2001:db8::2", "2001:db8::1 → 2001:db8::2"),
        ("2001:db8:1::/48", "2001:db8:2::/48", "2001:db8:1::/48 → 2001:db8:2::/48"),
        ("Prod.Example.COM.", "DR.example.com.", "prod.example.com → DR.example.com"),
        ("prod-a", "dr_a", "prod-a → dr_a"),
        ("dead.beef", "xn--mnchen-3ya.de", "dead.beef → xn--mnchen-3ya.de"),
        ("169.254.1.1", "192.0.2.1", "169.254.1.1 → 192.0.2.1"),
        ("fe80::1", "fe80::2", "fe80::1 → fe80::2"),
    ],
)
def test_a_rule_is_kept_in_its_normal_form(source: str, target: str, expected: str) -> None:
    assert [str(rule) for rule in RuleSet.of([Rule(source, target)]).rules] == [expected]


def test_the_most_specific_rule_decides_and_rules_do_not_cascade() -> None:
    rules = RuleSet.of(
        [
            Rule("10.1.0.0/16", "10.2.0.0/16"),
            Rule("10.1.5.0/24", "10.3.9.0/24"),
            Rule("10.1.5.7", "192.0.2.1"),
            Rule(A, B, swap=True),
            Rule("10.2.0.0/16", "10.4.0.0/16"),
            Rule("2001:db8:1::/48", "2001:db8:2::/48"),
        ]
    )
    expected = {
        "10.1.0.1": "10.2.0.1",
        "10.1.5.6": "10.3.9.6",
        "10.1.5.7": "192.0.2.1",
        "10.2.0.1": "10.4.0.1",
        A: B,
        B: A,
        C: C,
        "2001:db8:1:ffff::1": "2001:db8:2:ffff::1",
        "2001:db8:3::1": "2001:db8:3::1",
    }
    assert {text: becomes(rules, text) for text in expected} == expected


def test_host_names_are_mapped_in_lower_case_to_what_was_written() -> None:
    rules = RuleSet.of([Rule("Prod.Example.com", "DR.example.com.", swap=True)])
    mapping = rules.for_path("web", b"x")
    assert mapping == Mapping(
        (),
        (HostPair(b"dr.example.com", b"prod.example.com"), HostPair(b"prod.example.com", b"DR.example.com")),
    )


def test_a_rule_applies_where_it_is_told_to() -> None:
    rules = RuleSet.of(
        [
            Rule(A, B, domains=("web",), paths=("*.conf", "!/sites/x.conf"), except_paths=("/old/",)),
            Rule(C, "10.9.0.3", except_domains=("mail",)),
            Rule("10.0.0.4", "10.9.0.4", paths=("/a/**", "/names/\udcff")),
        ]
    )

    def sources(domain: str, path: bytes) -> list[str]:
        mapping = rules.for_path(domain, path)
        return [] if mapping is None else [str(IPv4Address(pair.source)) for pair in mapping.networks]

    assert sources("web", b"nginx.conf") == [A, C]
    assert sources("web", b"deep/er/nginx.conf") == [A, C]
    assert sources("web", b"sites/x.conf") == [C]
    assert sources("web", b"old/x.conf") == [C]
    assert sources("web", b"a/x.conf") == [A, C, "10.0.0.4"]
    assert sources("other", b"x.conf") == [C]
    assert sources("mail", b"a/b/c") == ["10.0.0.4"]
    assert sources("mail", b"names/\xff") == ["10.0.0.4"]
    assert rules.for_path("mail", b"x") is None
    assert rules.for_path("web", b"y.conf") is rules.for_path("web", b"z.conf")
    assert EMPTY.for_path("web", b"x") is None


def test_the_rules_of_a_domain_are_those_that_can_apply_there() -> None:
    mine = [Rule(A, B, domains=("web",)), Rule(C, "10.9.0.3", except_domains=("mail",), paths=("*.conf",))]
    rules = RuleSet.of([*mine, Rule("10.0.0.4", "10.9.0.4", domains=("mail",))])
    changed = RuleSet.of([*mine, Rule("10.0.0.5", "10.9.0.5", domains=("mail", "dns"))])
    assert rules.for_domain("web") == changed.for_domain("web")
    assert rules.for_domain("web").hash == changed.for_domain("web").hash != rules.hash
    assert rules.for_domain("mail").hash != changed.for_domain("mail").hash
    assert rules.for_domain("web").for_path("web", b"a.conf") == rules.for_path("web", b"a.conf")
    assert RuleSet.of(mine).for_domain("mail") == EMPTY


def test_the_hash_is_of_what_the_rules_do() -> None:
    assert EMPTY.hash == RuleSet.of([]).hash == b""
    one = RuleSet.of([Rule(A, B), Rule("h.example", "i.example")])
    assert len(one.hash) == 32
    assert one.hash == RuleSet.of([Rule("H.EXAMPLE.", "i.example"), Rule(f"{A}/32", B), Rule(A, B)]).hash
    assert RuleSet.of([Rule(A, B, swap=True)]).hash == RuleSet.of([Rule(B, A), Rule(A, B)]).hash
    different = [
        Rule(A, C),
        Rule(B, A),
        Rule(A, B, swap=True),
        Rule(A, B, domains=("web",)),
        Rule(A, B, except_domains=("web",)),
        Rule(A, B, paths=("*",)),
        Rule(A, B, except_paths=("*.x",)),
        Rule(A, B, paths=("**", "*.x")),
    ]
    assert len({RuleSet.of([rule]).hash for rule in [Rule(A, B), *different]}) == len(different) + 1


def test_sets_of_equal_rules_are_equal_and_frozen() -> None:
    one, other = RuleSet.of([Rule(A, B), Rule(C, "10.9.0.3")]), RuleSet.of([Rule(C, "10.9.0.3"), Rule(A, B)])
    one.for_path("web", b"x")
    assert one == other
    assert len({one, other}) == 1
    with pytest.raises(AttributeError):
        one.rules = ()  # type: ignore[misc]


def test_equal_mappings_have_equal_keys() -> None:
    rules = RuleSet.of(
        [Rule(A, "10.9.0.9"), Rule(B, "10.8.0.8"), Rule("a.b", "c.d"), Rule("10.1.0.0/16", "10.2.0.0/16")]
    )
    forward, back = rules.for_path("web", b"x"), rules.inverse().for_path("web", b"x")
    assert forward is not None
    assert back is not None
    assert len(mapping_key(forward)) == 32
    assert mapping_key(forward.inverse()) == mapping_key(back) != mapping_key(forward)
    assert mapping_key(Mapping((NetworkPair(4, 1, 2, 32),))) != mapping_key(Mapping((NetworkPair(6, 1, 2, 32),)))
    assert mapping_key(Mapping((), (HostPair(b"a", b"b"),))) != mapping_key(Mapping((), (HostPair(b"b", b"a"),)))


def test_an_inverse_can_be_read_back_although_it_would_be_refused_as_rules_of_its_own() -> None:
    rules = RuleSet.of([Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.1.0.5", "10.9.9.9")])
    inverse = rules.inverse()
    with pytest.raises(RulesError):
        RuleSet.of(inverse.rules)
    assert RuleSet.decode(inverse.encode()) == inverse
    assert inverse.inverse() == rules


@pytest.mark.parametrize(
    ("configured", "received", "said"),
    [
        ([], [Rule(A, B)], ""),
        ([Rule(B, A)], [Rule(A, B)], ""),
        ([Rule(A, B), Rule(B, A)], [Rule(A, B, swap=True)], ""),
        ([Rule(A, B, swap=True)], [Rule(A, B, swap=True)], ""),
        ([Rule("dr.example", "Prod.example")], [Rule("PROD.example", "DR.example")], ""),
        ([Rule(B, A, domains=("web",)), Rule(B, A, domains=("mail",))], [Rule(A, B, domains=("mail", "web"))], ""),
        ([Rule(B, A, except_domains=("web",)), Rule(B, A, domains=("web",))], [Rule(A, B)], ""),
        ([Rule(A, B)], [Rule(A, B)], f"the substitution rule {A} → {B} of this node does not lead back"),
        ([Rule(B, A)], [], f"write {A} → {B} there"),
        ([Rule(B, A)], [Rule(A, B), Rule(C, "10.9.0.3")], f"the peer substitutes {C} → 10.9.0.3, but no rule"),
        ([Rule(B, A, domains=("web",))], [Rule(A, B)], f"the peer substitutes {A} → {B}, but no rule"),
        ([Rule(B, A)], [Rule(A, B, except_domains=("web",))], 'in domain "web" of this node does not lead back'),
        ([Rule(B, A, paths=("*.x",))], [Rule(A, B)], "with the same paths"),
    ],
)
def test_rules_for_the_other_direction_must_lead_back(configured: list[Rule], received: list[Rule], said: str) -> None:
    found = disagreement(RuleSet.of(configured), RuleSet.of(received))
    assert (said in found) if said else found == ""


def test_rules_without_patterns_import_nothing_heavy() -> None:
    program = (
        "import sys; from syncer.substitution.rules import *; "
        "RuleSet.of([Rule('10.0.0.1', '10.0.0.2')]).for_path('web', b'x'); "
        "sys.exit(', '.join({'pydantic', 'pathspec'} & sys.modules.keys()) or None)"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
