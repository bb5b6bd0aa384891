"""Turns [[failover.substitute]] into rules, and their flaws into errors with the key of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from syncer.config.wording import nearest, said, shown_key, target_key
from syncer.substitution.rules import Rule, RulesError, RuleSet

if TYPE_CHECKING:
    from syncer.config.schema import FailoverTable, SubstituteTable


def rules_of(table: FailoverTable) -> RuleSet:
    """Return the rules of a target whose configuration has no errors."""
    return RuleSet.of(_rule(rule) for rule in table.substitute)


def rule_errors(document: Mapping[str, object], names: Sequence[str]) -> Iterator[str]:
    """Yield one sentence for each flaw of the rules; `names` are the domains of the configuration.

    The raw tables are read, so that another error of a target hides no flaw of its rules.
    """
    targets = document.get("failover")
    for number, target in enumerate(targets if isinstance(targets, list) else (), 1):
        tables = target.get("substitute") if isinstance(target, dict) else None
        if isinstance(tables, list):
            yield from _target_errors(target_key(number, target), tables, names)


def _target_errors(where: str, tables: Sequence[object], names: Sequence[str]) -> Iterator[str]:
    found = {number: table for number, raw in enumerate(tables, 1) if (table := _right_by_itself(raw)) is not None}
    for number, table in found.items():
        for key, listed in (("domains", table.domains), ("except_domains", table.except_domains)):
            for position, name in enumerate(listed):
                if name not in names:
                    place = shown_key(where, f"substitute[{number}]", key, position)
                    known = nearest(name, names) if names else ": add its table, or remove it here"
                    yield f"{place}: {said(name)} is not a configured domain{known}"
    yield from _flaws(where, found)
    for number, raw in enumerate(tables, 1):
        # Whether it fits to the others cannot be said: the unknown key may have been meant to limit it.
        table = _right_but_for_unknown_keys(raw) if number not in found else None
        if table is not None:
            yield from _flaws(where, {number: table})


def _flaws(where: str, tables: Mapping[int, SubstituteTable]) -> Iterator[str]:
    """Yield what is wrong with rules, by themselves and beside each other; they are called by their numbers."""
    numbers = list(tables)
    try:
        RuleSet.of(_rule(table) for table in tables.values())
    except RulesError as error:
        for flaw in error.flaws:
            place = shown_key(where, f"substitute[{numbers[flaw.rule]}]", *filter(None, (flaw.key,)))
            yield f"{place}: {flaw.text}"


def _right_but_for_unknown_keys(raw: object) -> SubstituteTable | None:
    from syncer.config.schema import SubstituteTable
    from syncer.config.tables import keys_of

    if not isinstance(raw, dict):
        return None
    known = keys_of(SubstituteTable)
    return _right_by_itself({key: value for key, value in raw.items() if key in known})


def _right_by_itself(raw: object) -> SubstituteTable | None:
    from pydantic import ValidationError

    from syncer.config.schema import SubstituteTable

    try:
        return SubstituteTable.model_validate(raw)
    except ValidationError:
        # Said already, with the target's other errors.
        return None


def _rule(table: SubstituteTable) -> Rule:
    return Rule(
        table.source,
        table.target,
        table.swap,
        tuple(table.domains),
        tuple(table.except_domains),
        tuple(table.paths),
        tuple(table.except_paths),
    )
