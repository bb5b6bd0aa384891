"""The substitution rules of one target: proved when they are put together, and asked for each file."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from blake3 import blake3

from syncer.substitution.canonical import MOST_BYTES, MOST_RULES, decoded, encoded
from syncer.substitution.mapping import Mapping
from syncer.substitution.normal import directions_of, lower_case, normal, one_way, opposite, order_of, scope_of
from syncer.substitution.proof import flaws_of, leads_back
from syncer.substitution.rule import Direction, Flaw, Rule, RulesError, quoted
from syncer.substitution.scope import in_domain
from syncer.substitution.selection import Selection

__all__ = ["EMPTY", "Flaw", "Rule", "RuleSet", "RulesError", "disagreement", "mapping_key"]


@dataclass(frozen=True)
class RuleSet:
    """Rules that fit together, all applied at once, the most specific first; made with `of` or `decode`."""

    rules: tuple[Rule, ...]
    """In their normal form and order, without repetition; () for none."""
    _selections: dict[str, Selection] = field(init=False, repr=False, compare=False, default_factory=dict)
    _domains: dict[str, RuleSet] = field(init=False, repr=False, compare=False, default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleSet:
        """Return the proved set of `rules`; raises RulesError with every flaw at once, counted in their order."""
        return cls._proved(list(rules))

    @classmethod
    def _proved(cls, given: Sequence[Rule], *, or_inverse: bool = False) -> RuleSet:
        # First: every pattern of them becomes an expression, which takes seconds for a megabyte.
        if len(given) > MOST_RULES or len(encoded(given)) > MOST_BYTES:
            text = f"is one too many: write at most {MOST_RULES} rules for a target, of {MOST_BYTES} bytes in all"
            raise RulesError([Flaw(len(given) - 1, "", text)])
        normals: dict[int, Rule] = {}
        flaws: list[Flaw] = []
        for number, rule in enumerate(given):
            found, wrong = normal(number, rule)
            flaws += wrong
            if found is not None:
                normals[number] = found
        contradictions = flaws_of(given, _directions(normals.items()))
        if contradictions and or_inverse:
            inverse = ((number, opposite(rule)) for number, rule in normals.items())
            contradictions = [] if leads_back(_directions(inverse)) else contradictions
        flaws += contradictions
        if flaws:
            raise RulesError(sorted(flaws, key=lambda flaw: flaw.rule))
        return cls._sorted(normals.values())

    @classmethod
    def _sorted(cls, normals: Iterable[Rule]) -> RuleSet:
        return cls(tuple(sorted(set(normals), key=order_of)))

    @cached_property
    def hash(self) -> bytes:
        """32 bytes, equal for sets that do the same by the same scopes; b"" where there are no rules."""
        return blake3(encoded(sorted(one_way(self.rules)))).digest() if self.rules else b""

    def inverse(self) -> RuleSet:
        """Return what leads back; the case of host names that were targets is lost."""
        return self._sorted(opposite(rule) for rule in self.rules)

    def for_path(self, domain: str, path: bytes) -> Mapping | None:
        """Return what the rules come to for the file at `path` of `domain`; None: no rule applies to it.

        The same rules give the very same mapping, so that `is` tells whether two files share it.
        """
        selection = self._selections.get(domain)
        if selection is None:
            selection = self._selections.setdefault(domain, Selection(self._directions_in(domain)))
        return selection.constant if selection.is_constant else selection.mapping(path)

    def for_domain(self, domain: str) -> RuleSet:
        """Return the rules that can apply in `domain`, no longer limited to it: others do not change their hash."""
        found = self._domains.get(domain)
        if found is None:
            limited = (rule for rule in self.rules if in_domain(scope_of(rule), domain))
            found = self._sorted(rule._replace(domains=(), except_domains=()) for rule in limited)
            found = self._domains.setdefault(domain, found)
        return found

    def encode(self) -> bytes:
        """Return the rules in the form that `decode` reads; b"" for none."""
        return encoded(self.rules)

    @classmethod
    def decode(cls, data: bytes) -> RuleSet:
        """Return the set that `encode` wrote; raises RulesError for anything else, and for rules that do not fit.

        Also an inverse is read, which as rules of its own might be refused: see `inverse`.
        """
        return cls._proved(decoded(data), or_inverse=True)

    @classmethod
    def joined(cls, domains: collections.abc.Mapping[str, RuleSet]) -> RuleSet:
        """Return one set that says in each domain what its own says, also an inverse; raises RulesError."""
        names: dict[Rule, list[str]] = {}
        for name in sorted(domains):
            for rule in domains[name].rules:
                names.setdefault(rule, []).append(name)
        return cls._proved([rule._replace(domains=tuple(found)) for rule, found in names.items()], or_inverse=True)

    def _directions_in(self, domain: str) -> list[Direction]:
        return [one for one in _directions(enumerate(self.rules)) if in_domain(one.scope, domain)]


EMPTY = RuleSet(())
"""Nothing is substituted."""


@lru_cache(maxsize=256)
def mapping_key(mapping: Mapping) -> bytes:
    """Return 32 bytes that are equal exactly for mappings of equal pairs; renderings are kept by them."""
    hasher = blake3()
    # Pairs of one length exclude each other: their order, which an inverse changes, says nothing.
    for version, source, target, length in sorted(mapping.networks):
        hasher.update(b"%d %x %x %d\n" % (version, source, target, length))
    for host in sorted(mapping.hosts):
        hasher.update(b"%b %b\n" % host)
    return hasher.digest()


def disagreement(configured: RuleSet, received: RuleSet) -> str:
    """Return "" where the rules `configured` here for the other direction lead back from those `received`.

    Else one sentence that names the first difference. Where none is configured, the inverse is used: no difference.
    """
    if not configured.rules:
        return ""
    ours, theirs = (one_way(map(lower_case, side.rules)) for side in (configured, received.inverse()))
    named = {name for rule in ours | theirs for name in (*rule.domains, *rule.except_domains)}
    # "" stands for every domain that no rule names: how rules share out the domains among them makes no difference.
    for domain in ("", *sorted(named)):
        here, needed = (
            {rule._replace(domains=(), except_domains=()) for rule in rules if in_domain(scope_of(rule), domain)}
            for rules in (ours, theirs)
        )
        different = sorted(here ^ needed)
        if different:
            return _difference(different[0], domain, is_here=different[0] in here)
    return ""


def _difference(rule: Rule, domain: str, *, is_here: bool) -> str:
    place = f" in domain {quoted(domain)}" if domain else ""
    if is_here:
        return (
            f"the substitution rule {rule}{place} of this node does not lead back from any of the peer's with the same "
            f"paths: write {opposite(rule)} there, or remove it here"
        )
    return (
        f"the peer substitutes {opposite(rule)}{place}, but no rule {rule} with the same paths is configured here: "
        "add it, or remove all rules here, so that the inverse of the peer's is used"
    )


def _directions(rules: Iterable[tuple[int, Rule]]) -> list[Direction]:
    return [one for number, rule in rules for one in directions_of(number, rule)]
