from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncer.errors import ConfigurationError
from syncer.substitution.canonical import MOST_BYTES, MOST_RULES
from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rules import EMPTY, Flaw, Rule, RulesError, RuleSet, disagreement, mapping_key

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def flaws_of(*rules: Rule) -> tuple[Flaw, ...]:
    with pytest.raises(RulesError) as caught:
        RuleSet.of(rules)
    assert isinstance(caught.value, ConfigurationError)
    return caught.value.flaws


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither an address nor a host name"),
        (" 10.0.0.1", "neither an address nor a host name"),
        ("a b", "neither an address nor a host name"),
        ("a..b", "neither an address nor a host name"),
        ("-a.example", "neither an address nor a host name"),
        ("a-.example", "neither an address nor a host name"),
        (".", "not an IPv4 address"),
        ("host.1", "neither an address nor a host name"),
        ("10.0.0.1-10.0.0.9", "neither an address nor a host name"),
        (f"{'a' * 64}.example", "neither an address nor a host name"),
        (".".join(["a" * 60] * 5), "neither an address nor a host name"),
        ("x\0y", '"x?y" is neither'),
        ("12345", "not an IPv4 address"),
        ("10.0.0.256", "not an IPv4 address"),
        ("10.0.0", "not an IPv4 address"),
        ("010.0.0.1", "without leading zeros"),
        ("10.0.0.1:443", 'has a port: write "10.0.0.1" alone'),
        ("prod.example.com:443", 'has a port: write "prod.example.com" alone'),
        ("[2001:db8::1]", "without brackets"),
        ("fe80::1%eth0", "has a zone"),
        ("2001:db8::g", "not an IPv6 address"),
        ("https://prod", "not an IPv6 address"),
        ("10.0.0.*", "has a wildcard"),
        ("*.example.com", "has a wildcard"),
        ("prod.münchen.de", "xn--"),
        ("localhost", "the same on every server"),
        ("LOCALHOST.", "the same on every server"),
        ("10.1.0.5/16", 'has bits of its host set: write "10.1.0.0/16"'),
        ("2001:db8::1/64", 'has bits of its host set: write "2001:db8::/64"'),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("10.0.0.0/-1", "from 0 to 32"),
        ("10.0.0.0/٨", "from 0 to 32"),
        ("10.0.0.0/255.0.0.0", "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("0.0.0.0", "is one of 0.0.0.0"),
        ("0.0.0.0/0", "holds 0.0.0.0"),
        ("127.0.0.1", "loopback"),
        ("127.0.0.0/8", "loopback"),
        ("126.0.0.0/7", "loopback"),
        ("224.0.0.18", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("255.255.255.0", "netmasks"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::/64", "loopback"),
        ("ff02::1", "multicast"),
        ("::ffff:10.0.0.1", 'write "10.0.0.1", which is found in both forms'),
        ("::ffff:10.0.0.0/120", 'write "10.0.0.0/24", which is found in both forms'),
        ("0:0:0:0::/64", "holds"),
    ],
)
def test_what_is_no_side_of_a_rule_is_refused_on_either_side(text: str, said: str) -> None:
    (flaw,) = flaws_of(Rule(text, "10.0.2.10"))
    assert (flaw.rule, flaw.key) == (0, "from")
    assert said in flaw.text
    (flaw,) = flaws_of(Rule(A, B), Rule("10.0.2.10", text))
    assert (flaw.rule, flaw.key) == (1, "to")
    assert said in flaw.text


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (A, "2001:db8::1", "is IPv6, but from is IPv4"),
        (A, "dr.example.com", "is a host name, but from is IPv4"),
        ("prod.example.com", A, "is IPv4, but from is a host name"),
        ("10.1.0.0/16", "10.2.0.0/17", "has a prefix of 17 bits, but from has one of 16"),
        ("10.1.0.0/16", A, "has a prefix of 32 bits"),
        (A, f"{A}/32", "is what from says already"),
        ("a.example", "A.EXAMPLE.", "is what from says already"),
    ],
)
def test_both_sides_must_be_of_one_kind_and_size(source: str, target: str, said: str) -> None:
    (flaw,) = flaws_of(Rule(source, target))
    assert (flaw.rule, flaw.key) == (0, "to")
    assert said in flaw.text


def test_every_flaw_is_found_at_once() -> None:
    found = flaws_of(
        Rule("10.0.0.300", "x y"),
        Rule(A, B),
        Rule(A, C, domains=("web", "web"), except_domains=("web",)),
        Rule("10.0.0.9", "10.0.0.8", paths=(), except_paths=("# comment", "[", "x" * 2000)),
        Rule("10.0.0.7", B),
    )
    assert [(flaw.rule, flaw.key) for flaw in found] == [
        (0, "from"),
        (0, "to"),
        (2, "domains"),
        (2, "except_domains"),
        (3, "paths"),
        (3, "except_paths"),
        (3, "except_paths"),
        (3, "except_paths"),
        (4, "to"),
    ]
    with pytest.raises(RulesError, match=r"^rule 1, from: "):
        RuleSet.of([Rule("", A)])


@pytest.mark.parametrize(
    ("rules", "rule", "key", "said"),
    [
        ([Rule(A, B), Rule(A, C)], 1, "from", f"the rule {A} → {B} gives {A} another target"),
        ([Rule("a.b", "c.d"), Rule("A.b", "x.y")], 1, "from", "gives a.b another target"),
        ([Rule(A, C), Rule(B, C)], 1, "to", f"{B} and {A} would both become {C}"),
        ([Rule("a.b", "X.y"), Rule("c.d", "x.Y")], 1, "to", "c.d and a.b would both become x.Y"),
        ([Rule(A, B, swap=True), Rule(B, C)], 1, "from", f"gives {B} another target"),
        ([Rule(B, C), Rule(A, B, swap=True)], 1, "swap", f"gives {B} another target"),
        ([Rule(C, A), Rule(A, B, swap=True)], 1, "swap", f"would both become {A}"),
        (
            [Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.1.0.5", "10.2.0.7")],
            1,
            "to",
            "10.1.0.5 and 10.1.0.7 would both become 10.2.0.7",
        ),
        (
            [Rule("10.9.9.9", "10.2.0.7"), Rule("10.1.0.0/16", "10.2.0.0/16")],
            1,
            "to",
            "10.1.0.7 and 10.9.9.9 would both become 10.2.0.7",
        ),
        (
            [Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.3.0.0/16", "10.2.0.0/16")],
            1,
            "to",
            "10.3.0.0 and 10.1.0.0 would both become 10.2.0.0",
        ),
        (
            [Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.1.0.5", "10.9.9.9"), Rule("10.7.7.7", "10.2.0.6")],
            2,
            "to",
            "10.7.7.7 and 10.1.0.6 would both become 10.2.0.6",
        ),
        (
            [Rule("2001:db8:1::/48", "2001:db8:2::/48"), Rule("2001:db8:9::1", "2001:db8:2::1")],
            1,
            "to",
            "2001:db8:9::1 and 2001:db8:1::1 would both become 2001:db8:2::1",
        ),
    ],
)
def test_what_is_not_one_to_one_is_refused(rules: list[Rule], rule: int, key: str, said: str) -> None:
    (flaw,) = flaws_of(*rules)
    assert (flaw.rule, flaw.key) == (rule, key)
    assert said in flaw.text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rule(A, B, domains=("web",)), Rule(A, C, domains=("mail",))),
        (Rule(A, C, domains=("web",)), Rule(B, C, except_domains=("web",))),
        (Rule(A, B, domains=("web", "dns")), Rule(A, C, domains=("mail",), except_domains=("web",))),
        (Rule(A, B, paths=("nginx/**",)), Rule(A, C, paths=("/haproxy/",))),
        (Rule(A, B, paths=("/a.conf", "/b.conf")), Rule(A, C, paths=("/c.conf",))),
        (Rule(A, B, except_paths=("*.zone",)), Rule(A, C, paths=("*.zone",))),
        (Rule(A, B, except_paths=("/bind/",)), Rule(A, C, paths=("/bind/zones/*.zone",))),
        (Rule(A, B, except_paths=("bind/**",)), Rule(A, C, paths=("/bind/db.*", "/bind/x/"))),
        (Rule(A, B, except_paths=("/bind",)), Rule(A, C, paths=("/bind",))),
    ],
)
def test_rules_that_never_meet_may_contradict_each_other(first: Rule, second: Rule) -> None:
    assert len(RuleSet.of([first, second]).rules) == 2
    assert len(RuleSet.of([second, first]).inverse().rules) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rule(A, B, domains=("web",)), Rule(A, C, domains=("mail", "web"))),
        (Rule(A, B, except_domains=("web",)), Rule(A, C, except_domains=("mail",))),
        (Rule(A, B, domains=("web",)), Rule(A, C)),
        (Rule(A, B, paths=("*.conf",)), Rule(A, C, paths=("*.cf",))),
        (Rule(A, B, paths=("nginx/**",)), Rule(A, C, paths=("haproxy",))),
        (Rule(A, B, paths=("/nginx/**",)), Rule(A, C, paths=("/nginx/sites/x",))),
        (Rule(A, B, paths=("/*/a",)), Rule(A, C, paths=("/nginx/a",))),
        (Rule(A, B, paths=("/a/**", "!/a/b")), Rule(A, C, paths=("/b/**",))),
        (Rule(A, B, except_paths=("/bind/",)), Rule(A, C, paths=("/bind",))),
        (Rule(A, B, except_paths=("/bind/*.zone",)), Rule(A, C, paths=("/bind/x.zone",))),
        (Rule(A, B, except_paths=("/bind/", "!/bind/a")), Rule(A, C, paths=("/bind/a",))),
    ],
)
def test_rules_that_may_meet_may_not(first: Rule, second: Rule) -> None:
    assert [flaw.rule for flaw in flaws_of(first, second)] == [1]


def test_a_more_specific_rule_takes_an_address_away_only_where_it_applies() -> None:
    wide, into = Rule("10.1.0.0/16", "10.2.0.0/16"), Rule("10.7.7.7", "10.2.0.5")
    away = Rule("10.1.0.5", "10.9.9.9")
    RuleSet.of([wide, into, away])
    for limited in (away._replace(domains=("web",)), away._replace(paths=("*.conf",))):
        assert [flaw.rule for flaw in flaws_of(wide, into, limited)] == [1]
    RuleSet.of([wide._replace(domains=("web",)), into, away._replace(domains=("web",))])
    RuleSet.of([wide, into._replace(paths=("*.conf",)), away._replace(paths=("*.conf",))])


def test_several_rules_together_take_a_network_away() -> None:
    rules = [
        Rule("10.1.0.0/24", "10.2.0.0/24"),
        Rule("10.5.0.0/30", "10.2.0.0/30"),
        Rule("10.1.0.0/31", "10.6.0.0/31"),
        Rule("10.1.0.2", "10.6.0.2"),
    ]
    assert "10.5.0.3 and 10.1.0.3 would both become 10.2.0.3" in flaws_of(*rules)[0].text
    RuleSet.of([*rules, Rule("10.1.0.3", "10.6.0.3")])


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


def test_too_many_rules_are_refused_before_they_are_sent() -> None:
    many = [Rule(str(IPv4Address(0x0A000000 + n)), str(IPv4Address(0x0B000000 + n))) for n in range(MOST_RULES + 1)]
    (flaw,) = flaws_of(*many)
    assert (flaw.rule, flaw.key) == (MOST_RULES, "")
    most = RuleSet.of(many[:MOST_RULES])
    assert RuleSet.decode(most.encode()) == most
    long = tuple(f"/{number:0998}" for number in range(1100))
    assert "is one too many" in flaws_of(Rule(A, B, paths=long))[0].text


def test_a_proof_that_would_take_minutes_is_given_up() -> None:
    found = flaws_of(*(Rule(A, str(IPv4Address(0x0B000000 + n)), paths=(f"/{n}",)) for n in range(2000)))
    assert "too many rules for the same addresses" in found[0].text


SPACE = range(int(IPv4Address("10.0.0.0")), int(IPv4Address("10.0.0.0")) + 16)
DOMAINS = ("web", "mail")
PATHS = (b"a.conf", b"a/x", b"b/x.conf", b"c")


@st.composite
def pairs(draw: st.DrawFn) -> Rule:
    length = draw(st.integers(29, 32))
    size = 1 << (32 - length)
    blocks = [str(IPv4Address(start)) for start in SPACE[::size]]
    source, target = draw(st.lists(st.sampled_from(blocks), min_size=2, max_size=2, unique=True))
    return Rule(f"{source}/{length}", f"{target}/{length}", draw(st.booleans()))


@st.composite
def scoped(draw: st.DrawFn) -> Rule:
    names = st.lists(st.sampled_from(DOMAINS), max_size=1).map(tuple)
    lines = st.lists(st.sampled_from(["*.conf", "/a/", "/a/**", "/b/*.conf", "c", "!/b/**"]), max_size=2).map(tuple)
    rule = draw(pairs() | hosts())
    if draw(st.booleans()):
        return rule
    domains, left_out = draw(names), draw(names)
    if set(domains) & set(left_out):
        left_out = ()
    return rule._replace(
        domains=domains, except_domains=left_out, paths=draw(lines) or ("**",), except_paths=draw(lines)
    )


@st.composite
def hosts(draw: st.DrawFn) -> Rule:
    names = st.sampled_from(["a", "B", "c.d", "C.e"])
    source, target = draw(st.lists(names, min_size=2, max_size=2, unique_by=str.lower))
    return Rule(source, target, draw(st.booleans()))


def accepted(rules: list[Rule]) -> RuleSet:
    try:
        return RuleSet.of(rules)
    except RulesError:
        assume(False)
        raise


def leads_back_everywhere(mapping: Mapping) -> bool:
    """The oracle: look every address up, there and back."""
    back = mapping.inverse()
    back = back._replace(networks=tuple(sorted(back.networks, key=lambda pair: -pair.length)))
    made = [(value, found) for value in SPACE if (found := mapping.address(4, value)) is not None]
    names = [host.target.lower() for host in mapping.hosts]
    return (
        all(back.address(4, found) == value for value, found in made)
        and len({found for _, found in made}) == len(made)
        and len(set(names)) == len(names)
        and len({host.source for host in mapping.hosts}) == len(names)
        and len({(pair.source, pair.length) for pair in mapping.networks}) == len(mapping.networks)
    )


def single(rules: list[Rule]) -> Iterator[NetworkPair]:
    for rule in rules:
        (source, length), target = rule.source.split("/"), rule.target.split("/")[0]
        numbers = int(IPv4Address(source)), int(IPv4Address(target))
        yield NetworkPair(4, numbers[0], numbers[1], int(length))
        if rule.swap:
            yield NetworkPair(4, numbers[1], numbers[0], int(length))


@given(st.lists(pairs(), max_size=5))
def test_exactly_what_is_one_to_one_is_accepted(rules: list[Rule]) -> None:
    networks = sorted(set(single(rules)), key=lambda pair: -pair.length)
    try:
        RuleSet.of(rules)
        refused = False
    except RulesError:
        refused = True
    assert refused != leads_back_everywhere(Mapping(tuple(networks)))


@given(st.lists(scoped(), max_size=4))
def test_whatever_is_accepted_is_one_to_one_in_every_file(rules: list[Rule]) -> None:
    found = accepted(rules)
    for domain in (*DOMAINS, "other"):
        for path in PATHS:
            mapping = found.for_path(domain, path)
            assert mapping is None or leads_back_everywhere(mapping)
            assert found.for_domain(domain).for_path("any", path) == mapping


@given(st.lists(scoped(), max_size=4))
def test_an_inverse_undoes_and_what_is_written_is_read_back(rules: list[Rule]) -> None:
    found = accepted(rules)
    inverse = found.inverse()
    assert RuleSet.decode(found.encode()) == found
    assert RuleSet.decode(inverse.encode()) == inverse
    lower = RuleSet.of([rule._replace(target=rule.target.lower()) for rule in found.rules])
    assert inverse.inverse().hash == lower.hash
    assert disagreement(inverse, found) == ""
    for path in PATHS:
        forward, back = found.for_path("web", path), inverse.for_path("web", path)
        for value in SPACE if forward is not None and back is not None else ():
            assert forward is not None
            assert back is not None
            made = forward.address(4, value)
            assert made is None or back.address(4, made) == value


@given(
    st.binary(max_size=50)
    | st.recursive(st.none() | st.integers() | st.text() | st.booleans(), st.lists).map(
        lambda value: json.dumps([1, value]).encode()
    )
)
def test_any_bytes_are_rules_or_refused(data: bytes) -> None:
    with suppress(RulesError):
        assert RuleSet.decode(RuleSet.decode(data).encode()) == RuleSet.decode(data)


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
