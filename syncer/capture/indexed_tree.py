"""The index of one domain in the form in which a scanner asks for what is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from syncer.model import Known


class KnownPaths(Protocol):
    """What is indexed, of any domain."""

    def children(self, domain: str, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → what is indexed, of one directory."""

    def get(self, domain: str, path: bytes) -> Known | None:
        """Return what is indexed at `path`."""


class IndexedTree:
    """One domain of an index."""

    def __init__(self, index: KnownPaths, domain: str) -> None:
        """Ask `index`; nothing is read yet."""
        self._index = index
        self._domain = domain

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → what is indexed, of one directory."""
        return self._index.children(self._domain, directory)

    def get(self, path: bytes) -> Known | None:
        """Return what is indexed at `path`."""
        return self._index.get(self._domain, path)
