"""Which paths have changed behind a head of the index: since a freeze, or since a handover."""

from __future__ import annotations

from heapq import nsmallest
from typing import NamedTuple

from syncer.errors import IndexStoreError
from syncer.index.store import IndexStore
from syncer.model import Cursor, Head


class Changed(NamedTuple):
    """How many paths have changed, and the first of them."""

    total: int
    first: tuple[bytes, ...]


def slipped_in(index: IndexStore, domain: str, head: Head) -> list[bytes]:
    """Return every path that has changed behind `head`, deletions among them, the first change first; blocking.

    After a handover at `head`, once what happened before is captured, these are the paths that nobody was sent.
    Raises IndexStoreError where the index does not go back to `head`.
    """
    with index.snapshot(domain) as snapshot:
        _require_known(index, domain, head)
        return [change.path for change in sorted(snapshot.changes_since(head.seq), key=lambda change: change.seq)]


def changed_since(index: IndexStore, domain: str, head: Head, most: int) -> Changed:
    """Return how many paths have changed behind `head`, and the first `most`; raises as `slipped_in`. Blocking."""
    with index.snapshot(domain) as snapshot:
        _require_known(index, domain, head)
        first = nsmallest(most, snapshot.changes_since(head.seq), key=lambda change: change.seq)
        return Changed(snapshot.count_since(head.seq), tuple(change.path for change in first))


def _require_known(index: IndexStore, domain: str, head: Head) -> None:
    if not index.is_resumable(domain, Cursor(*head)):
        raise IndexStoreError(
            f"what has changed in {domain} since then is not known: its index was made anew; compare both sides with "
            "`syncer verify`"
        )
