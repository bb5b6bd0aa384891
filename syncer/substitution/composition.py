"""Rules that lead from one rendering of a source to another rendering of it, where that can be proved (pure)."""

from __future__ import annotations

from syncer.substitution.normal import one_way, scope_of
from syncer.substitution.rule import Rule, RulesError
from syncer.substitution.rules import EMPTY, RuleSet


def composed(here: RuleSet, there: RuleSet) -> tuple[RuleSet, str]:
    """Return what makes of the text that `here` rendered what `there` renders of the same source; of one domain.

    Else why there is no such set that could be proved. The text must have been rendered by `here` alone: where an
    undo record goes with it, only sets that do the same come to the same.
    """
    if here.hash == there.hash:
        return EMPTY, ""
    if not here.rules:
        return there, ""
    if not there.rules:
        return _proved([*here.inverse().rules])
    ours, theirs = (_by_source(rules) for rules in (here, there))
    if set(ours) != set(theirs):
        first = sorted(set(ours) ^ set(theirs))[0]
        return EMPTY, f"only one of both is rendered by a rule for {first[0]} with the same paths"
    pairs = [(rule.target, theirs[key]) for key, rule in ours.items()]
    return _proved([other._replace(source=image.lower()) for image, other in pairs if image != other.target])


def _by_source(rules: RuleSet) -> dict[tuple[str, object], Rule]:
    """Return each direction of the rules by what it replaces, and where."""
    return {(rule.source.lower(), scope_of(rule)): rule for rule in one_way(rules.rules)}


def _proved(rules: list[Rule]) -> tuple[RuleSet, str]:
    try:
        return RuleSet.of(rules), ""
    except RulesError as error:
        return EMPTY, f"rules that lead from one to the other contradict each other ({error})"
