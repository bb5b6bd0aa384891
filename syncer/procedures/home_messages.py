"""What both nodes say to each other when one of them comes home, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from syncer.model import Cursor, Head
from syncer.procedures.comparison import Other


class OthersRequest(NamedTuple):
    """The question what a node has of a domain."""

    domain: str
    last: Cursor | None
    """Up to where the asker has received it from the one that is asked; None: never."""


class OthersHead(NamedTuple):
    """Which state of the index is told."""

    head: Head
    by_content: bool
    """The index cannot tell what is above `last`: everything counts as changed."""
    entries: int
    """How many entries there are, at most."""


class OthersPart(NamedTuple):
    """One piece of it; `head` only in the first, `end` only in the last. One without entries is a sign of life."""

    head: OthersHead | None = None
    others: tuple[Other, ...] = ()
    end: bool = False


class Wishes(NamedTuple):
    """What is to be compared, and how it is to be decided; as it came, to be checked by whoever decides."""

    wishes: Mapping[str, Any]


class PlanLines(NamedTuple):
    """Some lines of a plan as a file; `end` only with the last."""

    lines: tuple[str, ...]
    end: bool = False


class BeginWish(NamedTuple):
    """Lead a procedure with the one that asks."""

    kind: str
    parameters: Mapping[str, Any]


class Begun(NamedTuple):
    """It was begun."""

    procedure: str
