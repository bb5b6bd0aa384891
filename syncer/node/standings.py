"""Keeps current what is known of each target: how far it has come, for the next start, and how many paths it lacks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from syncer.model import Cursor
from syncer.replicate.sender import Sender
from syncer.replicate.stream import Watched
from syncer.state.cursors import TargetProgress, record_progress
from syncer.state.store import StateStore

if TYPE_CHECKING:
    from syncer.node.production import ProductionSide

COUNT_PAUSE = 50.0
"""Counting what a stream lacks pauses for so many times as long as it took: it costs at most 2 % of a core."""

Place = tuple[int, Cursor | None]
"""Where a stream's head and its target stand."""


class Standings:
    """What was recorded and counted of each stream; used by one thread at a time."""

    def __init__(self, store: StateStore) -> None:
        """Record in `store`."""
        self._store = store
        self._places: dict[tuple[str, str], Place] = {}
        self._recorded: dict[tuple[str, str], Cursor] = {}
        self._counted: dict[tuple[str, str], Place] = {}
        self._count_at: dict[tuple[str, str], float] = {}

    def is_news(self, watched: Watched) -> bool:
        """Tell whether there may be something to record of a stream that lacks nothing; cheap."""
        key = (watched.target, watched.domain)
        moved = self._places.get(key) != (watched.head_seq, watched.cursor)
        return moved or (watched.cursor is not None and self._recorded.get(key) != watched.cursor)

    def tend(self, sender: Sender, watched: Watched, production: ProductionSide | None, now: float) -> int | None:
        """Record how far a quiet stream has come, or count what a late one lacks; blocking.

        Returns the count where it is news. Raises StateError, IndexStoreError.
        """
        key, place = (watched.target, watched.domain), (watched.head_seq, watched.cursor)
        is_quiet, self._places[key] = self._places.get(key) == place, place
        if watched.lag:
            return self._count(key, place, sender, production, now)
        if is_quiet and watched.cursor is not None and self._recorded.get(key) != watched.cursor:
            # While much arrives it is recorded now and then only: the last of it would be missing after a restart.
            view = sender.view()
            record_progress(
                self._store,
                TargetProgress(*key, watched.cursor, view.last_success, "", view.last_full, sender.stream.rules.hash),
            )
            self._recorded[key] = watched.cursor
        return None

    def _count(
        self, key: tuple[str, str], place: Place, sender: Sender, production: ProductionSide | None, now: float
    ) -> int | None:
        if production is None or self._counted.get(key) == place or now < self._count_at.get(key, 0.0):
            return None
        began = time.monotonic()
        changes = production.exposure(sender.view()).changes
        self._counted[key] = place
        self._count_at[key] = now + COUNT_PAUSE * (time.monotonic() - began)
        return changes


def record_all(store: StateStore, senders: Iterable[Sender]) -> None:
    """Record how far each stream has come, which goes no further; blocking. Raises StateError."""
    for sender in senders:
        view = sender.view()
        if view.progress.cursor is not None and view.progress.trusted:
            told = (view.progress.cursor, view.last_success, "", view.last_full, sender.stream.rules.hash)
            record_progress(store, TargetProgress(view.target, view.domain, *told))
