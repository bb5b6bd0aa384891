"""The three sides of a comparison, each read from the stores of the node that has it; and its plan carried out."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.index.snapshot import IndexSnapshot
from syncer.model import Entry, Kind
from syncer.procedures.comparison import Compared, Other, common
from syncer.procedures.home_plan import DomainPlan, Take
from syncer.replicate.home_ways import NEEDS_PERSON, Choice, HomeWays
from syncer.state.base import Base


def others(snapshot: IndexSnapshot, up_to: int | None) -> Iterator[Other]:
    """Yield the side of the node that was production; what its index cannot tell apart is all taken for changed."""
    for seq, _, entry in snapshot.changes_since(0):
        if entry is not None:
            yield Other(entry, up_to is None or seq > up_to)


def last_common(base: Base, domain: str) -> Iterator[Entry]:
    """Yield the last common state: what was applied here, as the other node had it."""
    return (common(known.entry) for known in base.rows(domain))


def is_undecided(entry: Entry) -> bool:
    """Tell of an entry as it goes home whether it is left out until a person decides."""
    return entry.kind is Kind.UNKNOWN and entry.note == NEEDS_PERSON


def carry_out(plan: DomainPlan, compared: Compared, ways: HomeWays) -> None:
    """Have a domain go home as the plan says, which was made of `compared`: from the next transaction on.

    What is taken of the other node stays there as it is, and comes here once that node sends again.
    """
    theirs = {item.difference.path for item in plan.items if item.take is Take.THERE}
    rewritten = {item.difference.path for item in plan.items if item.take is Take.HERE and item.difference.needs_person}
    ways.directories = {path: entry for path, entry in compared.directories.items() if path in theirs}
    ways.decided = {**dict.fromkeys(theirs, Choice.KEEP_THEIRS), **dict.fromkeys(rewritten, Choice.REWRITTEN)}
