"""Turns what pydantic found into sentences for the operator: key, what is wrong, the cure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from syncer.config.schema import Table
from syncer.config.tables import TABLES, keys_of, known_keys

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+|(?:failover|triggers)\[[^\]]*\]|substitute\[[0-9]+\]", re.ASCII)
_EXPECTED = {
    "string_type": "text in quotes",
    "bool_type": "true or false, without quotes",
    "list_type": 'a list, such as ["a", "b"]',
    "tuple_type": 'a list, such as ["a", "b"]',
    "int_type": "a whole number, without quotes",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_TABLE_LISTS = ("substitute",)
_SECRET = {"url", "notify"}
_LONGEST = 60
"""Characters of a value that are repeated in an error."""


def shown_key(*parts: str | int) -> str:
    """Return `parts` as TOML writes a dotted key, with the position in a list in brackets."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else said(part)
            text += f".{name}" if text else name
    return text


def target_key(number: int, raw: object) -> str:
    """Return what a table [[failover]] is called in errors: its name where it has one, else its number from 1."""
    name = raw.get("name") if isinstance(raw, dict) else None
    return f"failover[{name if isinstance(name, str) and name else number}]"


def said(value: object) -> str:
    """Return `value` as TOML would write it, short enough for a sentence, without control characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = "".join(letter if letter.isprintable() else "?" for letter in value)
        return f'"{plain[: _LONGEST - 1]}…"' if len(plain) > _LONGEST else f'"{plain}"'
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return str(value)


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown `key`: the nearest known one, or all of them."""
    names = list(known)
    close = get_close_matches(key, names, n=1)
    return f": did you mean {close[0]}?" if close else f": known here are {', '.join(names)}"


def worded(error: ValidationError, where: tuple[str, ...], table: str) -> Iterator[str]:
    """Yield one sentence for each error that `error` holds; `where` leads to the table, `table` names it."""
    for details in error.errors(include_url=False):
        location = details["loc"]
        yield f"{shown_key(*where, *_counted(location))}: {_sentence(details, table)}"


def _counted(location: Sequence[str | int]) -> Iterator[str | int]:
    """Yield `location` with the tables of a list counted from 1, as [[failover]] are; items of a list from 0."""
    for before, part in zip(("", *location), location, strict=False):
        yield part + 1 if isinstance(part, int) and before in _TABLE_LISTS else part


def _sentence(details: ErrorDetails, table: str) -> str:
    location = details["loc"]
    kind = details["type"]
    inner = ".".join((table, *(part for part in location[:-1] if isinstance(part, str))))
    key = str(location[-1])
    if kind == "extra_forbidden":
        return f"is an unknown key{_elsewhere(key, inner) or nearest(key, keys_of(TABLES[inner]))}"
    if kind == "missing":
        return f"is missing: add a line such as {key} = {_example(TABLES[inner], key)}"
    if kind == "too_short":
        return f"is an empty list: write at least one item, such as {key} = {_example(TABLES[inner], key)}"
    # What may hold a secret is not repeated.
    value = "the value" if _SECRET & set(location) else said(details["input"])
    if kind == "value_error":
        return f"{value} {details['ctx']['error']}"
    if kind == "literal_error":
        choices = details["ctx"]["expected"].replace("'", '"')
        return f"is {value}: write one of {choices}"
    if kind == "greater_than_equal":
        return f"is {value}: write at least {details['ctx']['ge']}"
    if kind == "less_than_equal":
        return f"is {value}: write at most {details['ctx']['le']}"
    expected = _EXPECTED.get(kind)
    return f"is {value}: write {expected}" if expected else f"is {value}: {details['msg']}"


def _elsewhere(key: str, table: str) -> str:
    homes = [known.rpartition(".")[0] for known in known_keys() if known.rpartition(".")[2] == key]
    if not homes:
        return ""
    titles = {
        "domains": "[domains.NAME]",
        "failover": "[[failover]]",
        "triggers": "[[triggers]]",
        "triggers.email": "email = { … } of [[triggers]]",
        "triggers.webhook": "webhook = { … } of [[triggers]]",
        "failover.on_failure": "on_failure = { … } of [[failover]]",
        "failover.substitute": "[[failover.substitute]]",
    }
    return f" here: it belongs into {titles.get(homes[0], f'[{homes[0]}]')}"


def _example(table: type[Table], key: str) -> str:
    """Return the example of a key as TOML writes it."""
    examples = cast("list[object] | None", keys_of(table)[key].examples)
    example = examples[0] if examples else "…"
    return f"[{', '.join(said(item) for item in example)}]" if isinstance(example, list) else said(example)
