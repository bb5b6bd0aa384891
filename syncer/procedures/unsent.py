"""What a node has that another does not: all that has changed behind a mark of its index.

The mark is a seq: of a freeze, of a handover, or where the other node stands by its cursor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import NamedTuple

from syncer.errors import IndexStoreError
from syncer.index.snapshot import IndexSnapshot
from syncer.index.store import IndexStore
from syncer.model import Change, Cursor, Head
from syncer.state.cursors import read_progress
from syncer.state.store import StateStore


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


class Changed(NamedTuple):
    """How many paths have changed, and the first of them."""

    total: int
    first: tuple[bytes, ...]


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


def count_unsent(store: StateStore, index: IndexStore, targets: Iterable[str], domain: str) -> int | None:
    """Count what none of `targets` is known to have of a domain; None where none ever had any of it.

    Blocking. Raises StateError, IndexStoreError.
    """
    rows = [row for target in targets for row in read_progress(store, target) if row.domain == domain]
    known = [seq for row in rows if (seq := sent_up_to(index, domain, row.cursor)) is not None]
    if not known:
        return None
    with contextlib.closing(index.snapshot(domain)) as snapshot:
        return snapshot.count_since(max(known))


def slipped_in(index: IndexStore, domain: str, head: Head) -> list[bytes]:
    """Return every path that has changed behind `head`, deletions among them, the first change first; blocking.

    After a handover at `head`, once what happened before is captured, these are the paths that nobody was sent.
    Raises IndexStoreError where the index does not go back to `head`.
    """
    with index.snapshot(domain) as snapshot:
        _require_known(index, domain, head)
        return [change.path for change in sorted(unsent_changes(snapshot, head.seq), key=lambda change: change.seq)]


def changed_since(index: IndexStore, domain: str, head: Head, most: int) -> Changed:
    """Return how many paths have changed behind `head`, and the first `most`; raises as `slipped_in`. Blocking."""
    with index.snapshot(domain) as snapshot:
        _require_known(index, domain, head)
        first = nsmallest(most, snapshot.changes_since(head.seq), key=lambda change: change.seq)
        return Changed(snapshot.count_since(head.seq), tuple(change.path for change in first))


def _require_known(index: IndexStore, domain: str, head: Head) -> None:
    if sent_up_to(index, domain, Cursor(*head)) is None:
        raise IndexStoreError(
            f"what has changed in {domain} since then is not known: its index was made anew; compare both sides with "
            "`syncer verify`"
        )
