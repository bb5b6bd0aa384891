"""Says which rule an address falls under at a place, and why the rules that name it do not apply there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from syncer.substitution.mapping import HostPair, NetworkPair
from syncer.substitution.normal import directions_of
from syncer.substitution.parse import bits_of
from syncer.substitution.rule import EVERYWHERE, Direction, Rule, RulesError, Scope
from syncer.substitution.rules import RuleSet
from syncer.substitution.scope import in_domain
from syncer.substitution.selection import compiled_patterns
from syncer.substitution.spelling import read_ipv4, read_ipv6


class Place(NamedTuple):
    """Where a file lies: in a domain, at a path relative to its root; in none, where the domain is empty."""

    domain: str
    path: bytes


class Attribution:
    """Rules that are asked which of them concerns an address; they may be of several domains."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Take rules in their normal form, as a RuleSet has them."""
        self.rules = tuple(rules)
        self._directions = [one for number, rule in enumerate(self.rules) for one in directions_of(number, rule)]
        # The same few addresses are asked for again and again, by thousands of places.
        self._known: dict[str, list[Direction]] = {}
        self._made: dict[str, bool] = {}

    def applying(self, place: Place, address: str) -> Rule | None:
        """Return the rule that replaces `address` (in any spelling) at `place`; None where none does."""
        covering = [one for one in self._covering(address) if applies(one.scope, place)]
        return self._most_specific(covering)

    def makes(self, address: str) -> bool:
        """Tell whether `address` is what a rule makes of another one, so that it may be meant to stand."""
        found = self._made.get(address)
        if found is None:
            number = numbered(address)
            found = any(_covers(_turned(one.pair), address, number) for one in self._directions)
            self._made[address] = found
        return found

    def limit(self, place: Place, address: str) -> str:
        """Say why the rules that name `address` do not apply at `place`; "" where one does, or none names it."""
        covering = self._covering(address)
        if not covering or any(applies(one.scope, place) for one in covering):
            return ""
        here = [one for one in covering if in_domain(one.scope, place.domain)]
        rule = self._most_specific(here or covering)
        if not here:
            return f"the rule {rule} does not apply in this domain"
        return f"the rule {rule} is limited to other paths"

    def _covering(self, address: str) -> list[Direction]:
        found = self._known.get(address)
        if found is None:
            number = numbered(address)
            found = self._known[address] = [one for one in self._directions if _covers(one.pair, address, number)]
        return found

    def _most_specific(self, covering: list[Direction]) -> Rule | None:
        found = max(covering, key=_length, default=None)
        return None if found is None else self.rules[found.rule]


def applies(scope: Scope, place: Place) -> bool:
    """Tell whether a rule of this scope applies to the file at `place`; in no domain only a rule without limits."""
    if not place.domain:
        return scope == Scope()
    if not in_domain(scope, place.domain):
        return False
    paths, excepted = _patterns(scope.paths, scope.except_paths)
    text = place.path.decode("utf-8", "surrogateescape")
    return (paths is None or paths.matches(text)) and (excepted is None or not excepted.matches(text))


def unlimited(rules: RuleSet) -> RuleSet:
    """Return the rules that hold for any file, also for one that lies in no domain."""
    return RuleSet(tuple(rule for rule in rules.rules if _is_unlimited(rule)))


def suggestion(rules: Iterable[Rule], address: str, target: str = "") -> Rule | None:
    """Return the rule that is missing for `address`; `target` "" leaves open what it becomes.

    None where no such rule could be: the address means the same everywhere, or contradicts the other rules.
    """
    known = list(rules)
    for chosen in [target] if target else _counterparts(address):
        try:
            RuleSet.of([*known, Rule(address, chosen)])
        except RulesError:
            continue
        return Rule(address, target)
    return None


def _is_unlimited(rule: Rule) -> bool:
    return (rule.domains, rule.except_domains, rule.paths, rule.except_paths) == ((), (), EVERYWHERE, ())


def _counterparts(address: str) -> tuple[str, ...]:
    """Return what hardly any rule names, so that a rule can be proved whose target a person must choose."""
    number = numbered(address)
    if number is None:
        return ("counterpart.invalid",)
    return ("100::1:1", "2001:db8:ffff::1:1") if number[0] == 6 else ("203.0.113.253", "198.51.100.253", "192.0.2.253")


def _covers(pair: NetworkPair | HostPair, address: str, number: tuple[int, int] | None) -> bool:
    if isinstance(pair, HostPair):
        return pair.source == address.lower().encode("ascii", "replace")
    if number is None or number[0] != pair.version:
        return False
    shift = bits_of(pair.version) - pair.length
    return number[1] >> shift == pair.source >> shift


def _turned(pair: NetworkPair | HostPair) -> NetworkPair | HostPair:
    if isinstance(pair, HostPair):
        return HostPair(pair.target.lower(), pair.source)
    return NetworkPair(pair.version, pair.target, pair.source, pair.length)


def _length(direction: Direction) -> int:
    return direction.pair.length if isinstance(direction.pair, NetworkPair) else 0


def numbered(address: str) -> tuple[int, int] | None:
    """Return version and value of an address in any spelling; None for a host name."""
    text = address.encode("ascii", "replace")
    if ":" in address:
        value = read_ipv6(text)
        return None if value is None else (6, value)
    parts = text.split(b".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 for part in parts):
        return None
    value = read_ipv4(text)
    return None if value is None else (4, value)


_patterns = lru_cache(256)(compiled_patterns)
