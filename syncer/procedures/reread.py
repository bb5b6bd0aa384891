"""Reads every byte of a domain on production again, and says where the disk is not what the index says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path

from syncer.capture.doubt import DoubtedTree, FreshReads, StoppedError
from syncer.capture.ignore import Scope
from syncer.capture.indexed_tree import IndexedTree
from syncer.capture.scan import Scanner
from syncer.index.store import IndexStore
from syncer.replicate.drifted import what_happened

MOST_FINDINGS = 10_000
"""Paths that one verification tells of."""


class Rereading:
    """One verification of production's side of one domain; blocking, on any one thread."""

    def __init__(
        self,
        domain: str,
        root: Path,
        scope: Scope,
        index: IndexStore,
        rate: int,
        stopping: threading.Event,
    ) -> None:
        """Read at most `rate` bytes a second, 0: as fast as it goes; end with StoppedError once `stopping` is set."""
        self.paths = 0
        """Paths read so far; for any thread."""
        self._root = root
        self._scope = scope
        self._tree = IndexedTree(index, domain)
        self._reads = FreshReads(rate, stopping)
        self._stopping = stopping

    @property
    def bytes_read(self) -> int:
        """Return how many bytes were read so far."""
        return self._reads.bytes

    def suspects(self, on_path: Callable[[], None] = lambda: None) -> dict[bytes, str]:
        """Read everything; return what seems to differ. Raises UnavailableRootError, StoppedError."""
        found: dict[bytes, str] = {}
        # A doubted tree makes the scanner read, and tell of, every path; memory holds only what differs.
        for finding in Scanner(self._root, self._scope, DoubtedTree(self._tree), reads=self._reads).full():
            self.paths += 1
            on_path()
            if self._stopping.is_set():
                raise StoppedError("the verification was ended before it was complete; run it again")
            what = what_happened(self._tree.get(finding.path), finding.found)
            if what and len(found) < MOST_FINDINGS:
                found[finding.path] = what
        return found

    def still(self, paths: Collection[bytes]) -> dict[bytes, str]:
        """Read these paths once more; return what still differs from the index. Raises UnavailableRootError."""
        if not paths:
            return {}
        findings = Scanner(self._root, self._scope, self._tree, reads=self._reads).paths(paths, reread=paths)
        named = {item.path: what_happened(self._tree.get(item.path), item.found) for item in findings}
        return {path: what for path, what in named.items() if what}
