"""What the rooms around apply give it and get from it; no I/O."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from syncer.model import Known, Problem
from syncer.state.base import BaseRow


class BaseReader(Protocol):
    """What was last applied in the domain."""

    def get(self, path: bytes) -> Known | None:
        """Return what was applied at `path`."""

    def paths_with_digest(self, digest: bytes) -> list[bytes]:
        """Return where a content was applied."""

    def names_of_link(self, link: int) -> list[Known]:
        """Return what was applied under this link number (not 0)."""


class Reach(Protocol):
    """Which paths may be touched."""

    def is_protected(self, path: bytes) -> bool:
        """Tell whether `path` is syncer's own."""

    def may_descend(self, path: bytes) -> bool:
        """Tell whether anything at or below `path` may be written or deleted: it is not excluded."""


Paths = frozenset[bytes]


class Applied(NamedTuple):
    """What a transaction did, for the base: rows to write and to forget, counts, and what did not work."""

    upserts: list[BaseRow]
    deletions: list[bytes]
    changed: int
    bytes: int
    problems: list[Problem]
    generation: int = 0
    """That its commit makes, or that stands unchanged."""
    dropped: Paths = frozenset()
    """Paths at which what stood there could not be replaced."""
    fills_stage: bool = True
    """Something lies in its stage: what it displaced, or what it did not place."""
