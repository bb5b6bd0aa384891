"""What a node that sends nothing has changed since its targets received last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from syncer.index.store import IndexStore
from syncer.state.cursors import read_progress
from syncer.state.store import StateStore


def unsent(store: StateStore, index: IndexStore, targets: Iterable[str], domain: str) -> int | None:
    """Count what none of `targets` is known to have of a domain; None where none ever had any of it.

    Blocking. Raises StateError, IndexStoreError.
    """
    rows = [row for target in targets for row in read_progress(store, target) if row.domain == domain]
    known = [row.cursor for row in rows if row.cursor is not None and index.is_resumable(domain, row.cursor)]
    if not known:
        return None
    with contextlib.closing(index.snapshot(domain)) as snapshot:
        return snapshot.count_since(max(cursor.seq for cursor in known))
