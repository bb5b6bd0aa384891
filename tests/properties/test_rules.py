"""Rules as proved: exactly what is one to one is accepted, and it leads back everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address

from hypothesis import assume, given
from hypothesis import strategies as st

from syncer.substitution.mapping import Mapping, NetworkPair
from syncer.substitution.rules import Rule, RulesError, RuleSet, disagreement

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
