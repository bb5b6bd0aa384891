"""Finds rules whose target is what another rule begins with: allowed, but the second is not applied to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from syncer.substitution.mapping import HostPair
from syncer.substitution.normal import directions_of
from syncer.substitution.parse import bits_of
from syncer.substitution.rule import Direction, Rule
from syncer.substitution.rules import RuleSet
from syncer.substitution.scope import meet

_Key = tuple[int, int, int] | bytes


def chains_of(rules: RuleSet) -> Iterator[tuple[Rule, Rule]]:
    """Yield each rule with one whose source is its target, or lies around it; pairs that exchange are none."""
    directions = [one for number, rule in enumerate(rules.rules) for one in directions_of(number, rule)]
    by_source: dict[_Key, list[Direction]] = defaultdict(list)
    for direction in directions:
        by_source[_keys(direction, "source")[0]].append(direction)
    said = set()
    for first in directions:
        for second in (other for key in _keys(first, "target") for other in by_source.get(key, ())):
            numbers = (first.rule, second.rule)
            if numbers in said or first.rule == second.rule or _exchange(first, second):
                continue
            if meet(first.scope, second.scope):
                said.add(numbers)
                yield rules.rules[first.rule], rules.rules[second.rule]
                break


def _keys(direction: Direction, side: str) -> list[_Key]:
    """Return what a side is found by: itself first, then the networks around it."""
    pair = direction.pair
    if isinstance(pair, HostPair):
        return [pair.source if side == "source" else pair.target.lower()]
    value = pair.source if side == "source" else pair.target
    bits = bits_of(pair.version)
    return [(pair.version, length, value >> (bits - length)) for length in range(pair.length, -1, -1)]


def _exchange(first: Direction, second: Direction) -> bool:
    """Tell whether the second leads back to where the first began."""
    return bool(set(_keys(second, "target")) & set(_keys(first, "source")[:1])) or bool(
        set(_keys(first, "source")) & set(_keys(second, "target")[:1])
    )
