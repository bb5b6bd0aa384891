"""Checks one table by itself."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from syncer.config.schema import Table
from syncer.config.wording import said, shown_key, worded

AnyTable = TypeVar("AnyTable", bound=Table)


def checked_table(
    model: type[AnyTable], raw: object, where: tuple[str, ...], table: str, errors: list[str]
) -> AnyTable | None:
    """Return the table, or None and what is wrong with it added to `errors`; `where` leads to it."""
    if not isinstance(raw, dict):
        errors.append(f"{shown_key(*where)}: is {said(raw)}: write it as a table, with a line for each key")
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors.extend(worded(error, where, table))
        return None
