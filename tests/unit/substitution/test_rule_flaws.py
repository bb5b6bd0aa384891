"""Which rules are refused, each with its reason: what is no side, what is not one to one, what is too much."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from syncer.errors import ConfigurationError
from syncer.substitution.canonical import MOST_RULES
from syncer.substitution.rules import Flaw, Rule, RulesError, RuleSet

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def flaws_of(*rules: Rule) -> tuple[Flaw, ...]:
    with pytest.raises(RulesError) as caught:
        RuleSet.of(rules)
    assert isinstance(caught.value, ConfigurationError)
    return caught.value.flaws


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


def test_too_many_rules_are_refused_before_they_are_sent() -> None:
    many = [Rule(str(IPv4Address(0x0A000000 + n)), str(IPv4Address(0x0B000000 + n))) for n in range(MOST_RULES + 1)]
    (flaw,) = flaws_of(*many)
    assert (flaw.rule, flaw.key) == (MOST_RULES, "")
    most = RuleSet.of(many[:MOST_RULES])
    assert RuleSet.decode(most.encode()) == most
    long = tuple(f"/{number:0998}" for number in range(1100))
    assert "is one too many" in flaws_of(Rule(A, B, paths=long))[0].text


@pytest.mark.soak
def test_a_proof_that_would_take_minutes_is_given_up() -> None:
    found = flaws_of(*(Rule(A, str(IPv4Address(0x0B000000 + n)), paths=(f"/{n}",)) for n in range(2000)))
    assert "too many rules for the same addresses" in found[0].text
