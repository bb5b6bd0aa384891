"""The three sides of a comparison, each read from the stores of the node that has it; and what was never sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Change, Cursor, Entry, Kind
from syncer.procedures.comparison import Compared, Other, common
from syncer.procedures.home_plan import DomainPlan, Take
from syncer.replicate.home_ways import NEEDS_PERSON, Choice, HomeWays
from syncer.state.base import Base


class Unsent(NamedTuple):
    """What a node that was production has and never sent to the one that took over; ages are of its own clock."""

    changes: int
    """Paths, deleted ones among them."""
    bytes: int
    """Of the files among them."""
    oldest: float | None
    """When the oldest was captured, in unix seconds; None where there is none."""
    by_content: bool
    """The index was built anew since: all that stands is counted, and only comparing contents tells what was sent."""


def sent_up_to(index: IndexStore, domain: str, cursor: Cursor | None) -> int | None:
    """Return the seq up to which the other node has this index; None where the index cannot tell any more.

    `cursor` is where the other node stands: its index is another, or older, where it was rebuilt or a copy put back.
    """
    return cursor.seq if cursor is not None and index.is_resumable(domain, cursor) else None


def unsent(snapshot: IndexSnapshot, up_to: int | None) -> Unsent:
    """Sum up what came after `up_to`, None: all that is there."""
    seq = up_to or 0
    return Unsent(
        snapshot.count_since(seq), snapshot.bytes_since(seq), snapshot.oldest_since(seq), by_content=up_to is None
    )


def unsent_changes(snapshot: IndexSnapshot, up_to: int | None) -> Iterator[Change]:
    """Yield what came after `up_to`, deletions among it, in order; None: all that is there, to be compared."""
    for change in snapshot.changes_since(up_to or 0):
        if up_to is not None or change.entry is not None:
            yield change


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
