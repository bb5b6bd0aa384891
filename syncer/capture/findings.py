"""What a scan tells, and what it asks of the store that remembers the tree."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple, Protocol

from syncer.model import Known


class KnownTree(Protocol):
    """What a store remembers of one domain."""

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → Known of what lies directly in `directory`, never the root itself."""

    def get(self, path: bytes) -> Known | None:
        """Return what is known of one path."""


class Finding(NamedTuple):
    """A path that is not as it is known."""

    path: bytes
    found: Known | None
    """None: gone. Kind UNKNOWN: something is there, its note says why it cannot be captured."""
    links: int
    """Names that a file has on its file system."""
    old: Known | None = None
    """What was known of it."""


Findings = Generator[Finding, None, bool]
"""Yields differences; returns whether anything wanted stands there."""
