"""Brings one rule into its normal form, or says what is wrong with it by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from syncer.errors import ConfigurationError
from syncer.substitution.mapping import HostPair, NetworkPair
from syncer.substitution.parse import Name, Network, parse_side
from syncer.substitution.rule import EVERYWHERE, Direction, Flaw, Rule, Scope, quoted

_LONGEST_PATTERN = 1000
"""Characters; what comes from a peer becomes a regular expression."""


def normal(number: int, rule: Rule) -> tuple[Rule | None, list[Flaw]]:
    """Return the rule as every equal rule is written, and its flaws; None where it names nothing that could be proved.

    The source is lower case, an address in its shortest spelling, a final dot is gone, domains are sorted.
    """
    sides, flaws = _sides(number, rule)
    flaws += _scope_flaws(number, rule)
    if sides is None:
        return None, flaws
    source, target = sides
    return (
        Rule(
            str(source).lower(),
            str(target),
            rule.swap,
            tuple(sorted(set(rule.domains))),
            tuple(sorted(set(rule.except_domains))),
            rule.paths,
            rule.except_paths,
        ),
        flaws,
    )


def opposite(rule: Rule) -> Rule:
    """Return what leads back from what a rule in its normal form makes; of a host name the case is lost."""
    return rule._replace(source=rule.target.lower(), target=rule.source)


def directions_of(number: int, rule: Rule) -> Iterator[Direction]:
    """Yield the one or two directions of a rule in its normal form."""
    scope = scope_of(rule)
    yield Direction(number, "from", _pair(rule), scope)
    if rule.swap:
        yield Direction(number, "swap", _pair(opposite(rule)), scope)


def one_way(rules: Iterable[Rule]) -> set[Rule]:
    """Return the same as rules of one direction each."""
    both = [way for rule in rules for way in ((rule, opposite(rule)) if rule.swap else (rule,))]
    return {rule._replace(swap=False) for rule in both}


def lower_case(rule: Rule) -> Rule:
    """Return the rule as it compares with one that has led there and back."""
    return rule._replace(target=rule.target.lower())


def scope_of(rule: Rule) -> Scope:
    """Return where a rule applies."""
    return Scope(rule.domains, rule.except_domains, rule.paths, rule.except_paths)


def order_of(rule: Rule) -> tuple[object, ...]:
    """Return what rules in their normal form are sorted by: as a person would look for them."""
    side = parse_side(rule.source)
    return (0, *side, rule) if isinstance(side, Network) else (1, rule)


def _sides(number: int, rule: Rule) -> tuple[tuple[Network | Name, Network | Name] | None, list[Flaw]]:
    parsed: list[Network | Name] = []
    flaws = []
    for key, text in (("from", rule.source), ("to", rule.target)):
        try:
            parsed.append(parse_side(text))
        except ValueError as error:
            flaws.append(Flaw(number, key, f"{quoted(text)} {error}"))
    if flaws:
        return None, flaws
    source, target = parsed
    wrong = _mismatch(source, target)
    if wrong:
        return None, [Flaw(number, "to", f"{quoted(rule.target)} {wrong}")]
    return (source, target), []


def _mismatch(source: Network | Name, target: Network | Name) -> str:
    """Return why `source` cannot become `target`, reading on after the target; "" where it can."""
    if _kind(source) != _kind(target):
        return f"is {_kind(target)}, but from is {_kind(source)}: write both of one kind"
    if isinstance(source, Network) and isinstance(target, Network) and source.length != target.length:
        return (
            f"has a prefix of {target.length} bits, but from has one of {source.length}: "
            "write networks of one size, so that each address has its counterpart"
        )
    if str(source).lower() == str(target).lower():
        return "is what from says already: write another, or remove the rule"
    return ""


def _kind(side: Network | Name) -> str:
    return "a host name" if isinstance(side, Name) else f"IPv{side.version}"


def _pair(rule: Rule) -> NetworkPair | HostPair:
    source, target = parse_side(rule.source), parse_side(rule.target)
    if isinstance(source, Network) and isinstance(target, Network):
        return NetworkPair(source.version, source.value, target.value, source.length)
    return HostPair(str(source).encode("ascii"), str(target).encode("ascii"))


def _scope_flaws(number: int, rule: Rule) -> Iterator[Flaw]:
    for key, names in (("domains", rule.domains), ("except_domains", rule.except_domains)):
        for name, times in Counter(names).items():
            if times > 1:
                yield Flaw(number, key, f"{quoted(name)} is named {times} times: write it once")
    if rule.domains:
        for name in sorted({*rule.domains} & {*rule.except_domains}):
            yield Flaw(number, "except_domains", f"{quoted(name)} is one of domains too: remove it from one of them")
    if not rule.paths:
        yield Flaw(number, "paths", 'is empty, so the rule would apply nowhere: write ["**"], or remove the line')
    yield from _pattern_flaws(number, "paths", rule.paths)
    yield from _pattern_flaws(number, "except_paths", rule.except_paths)


def _pattern_flaws(number: int, key: str, lines: Sequence[str]) -> Iterator[Flaw]:
    if tuple(lines) == EVERYWHERE or not lines:
        return
    # Imported late: most rules are for every file, and pathspec takes its time.
    from syncer.patterns import PatternLines

    for line in lines:
        if len(line) > _LONGEST_PATTERN:
            yield Flaw(
                number, key, f"{quoted(line)} has more than {_LONGEST_PATTERN} characters: write a shorter pattern"
            )
            continue
        try:
            is_pattern = bool(PatternLines([line]).patterns)
        except ConfigurationError:
            is_pattern = False
        if not is_pattern:
            text = 'is not a pattern in gitignore syntax: write for example "*.conf" or "/cache/**"'
            yield Flaw(number, key, f"{quoted(line)} {text}")
