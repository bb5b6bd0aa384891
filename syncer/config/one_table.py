"""Checks one table by itself, and keeps what is right of it for further checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from syncer.config.schema import Table
from syncer.config.tables import TABLES, keys_of
from syncer.config.wording import said, shown_key, worded

AnyTable = TypeVar("AnyTable", bound=Table)


def checked_table(
    model: type[AnyTable], raw: object, where: tuple[str, ...], table: str, errors: list[str]
) -> AnyTable | None:
    """Return the table, or None and what is wrong with it added to `errors`; `where` leads to it."""
    found, wrong = _validated(model, raw, where, table, errors)
    return None if wrong else found


def table_so_far(
    model: type[AnyTable], raw: object, where: tuple[str, ...], table: str, errors: list[str]
) -> tuple[AnyTable | None, frozenset[str]]:
    """Return the table as far as it is right, and the keys that are not, as "key" or "table.key".

    What is wrong with them is added to `errors`; the rest can be checked on, so that one error hides no other. Wrong
    keys have their defaults, or, where they have none, made-up values. None: nothing of it can be used.
    """
    found, wrong = _validated(model, raw, where, table, errors)
    if not wrong or not isinstance(raw, dict):
        return found, frozenset()
    try:
        found = model.model_validate(_without(raw, wrong, table))
    except ValidationError:
        return None, frozenset()
    return found, frozenset(".".join(path) for path in wrong)


def _validated(
    model: type[AnyTable], raw: object, where: tuple[str, ...], table: str, errors: list[str]
) -> tuple[AnyTable | None, set[tuple[str, ...]]]:
    """Return the table, or the ways to its wrong keys, with their errors added."""
    if not isinstance(raw, dict):
        errors.append(f"{shown_key(*where)}: is {said(raw)}: write it as a table, with a line for each key")
        return None, set()
    try:
        return model.model_validate(raw), set()
    except ValidationError as error:
        errors.extend(worded(error, where, table))
        return None, {_key_path(details["loc"]) for details in error.errors(include_url=False)}


def _key_path(location: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys that lead to an error, up to the list that it is in."""
    path: list[str] = []
    for part in location:
        if isinstance(part, int):
            break
        path.append(part)
    return tuple(path)


def _without(raw: dict[str, Any], wrong: Iterable[tuple[str, ...]], table: str) -> dict[str, Any]:
    """Return a copy of `raw` without the keys that are wrong; those that must be there have their example."""
    copy = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for path in wrong:
        holder = copy
        for part in path[:-1]:
            holder = holder[part]
        holder.pop(path[-1], None)
        known = keys_of(TABLES[".".join((table, *path[:-1]))]).get(path[-1])
        if known is not None and known.is_required() and known.examples:
            holder[path[-1]] = known.examples[0]
    return copy
