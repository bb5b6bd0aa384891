"""Keeps what is said of a root's mounts in step with what was scanned under them.

A scan sees what an unmounted file system no longer covers as deleted. So before a group is committed, mounts are
looked at again: where anything moved, their shape is withdrawn, and nothing is sent. Only a full scan that began
and ended under one shape gives it back, after what it found was committed. All calls come from one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from syncer.capture.root_shape import Glance
from syncer.model import RootShape


class Look(Protocol):
    """Tells the shape of a root."""

    def look(self) -> Glance:
        """Return the shape of now, and whether any mount moved since the last look."""


class MountGuard:
    """Withdraws and gives the shape of one root."""

    def __init__(self, watch: Look, announce: Callable[[RootShape | None], None]) -> None:
        """Call `announce` with the shape under which the index was scanned, with None while there is no such."""
        self._watch = watch
        self._announce = announce
        self._announced: RootShape | None = None
        self._during: RootShape | None = None
        self._spoiled = False

    @property
    def wants_scan(self) -> bool:
        """Tell whether only a full scan can give the shape back."""
        return self._spoiled

    def look(self) -> bool:
        """Look between two scans; True where a full scan is due."""
        if self._during is not None and self._watch.look().shape != self._during:
            self._withdraw()
        return self._spoiled

    def begin_scan(self) -> None:
        """A full scan begins."""
        self._during = self._watch.look().shape
        if self._announced is not None and self._announced != self._during:
            self._withdraw()
        self._spoiled = False

    def before_commit(self, *, deletes: bool) -> None:
        """A group is about to be committed; what it found may come from a mount that went or came meanwhile.

        A file system that went and is back shows only as a move of some mount: then deletions count for nothing.
        """
        shape, moved = self._watch.look()
        # RACE: withdrawn before the commit, so that whoever sends its head sees it first.
        if shape != self._during or (moved and deletes):
            self._withdraw()

    def end_scan(self) -> None:
        """What a full scan found is committed."""
        # RACE: given back after the commit: the head before it holds deletions that were none.
        if not self._spoiled and self._announced != self._during:
            self._announced = self._during
            self._announce(self._during)

    def _withdraw(self) -> None:
        self._spoiled = True
        if self._announced is not None:
            self._announced = None
            self._announce(None)
