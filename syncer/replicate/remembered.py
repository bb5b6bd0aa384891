"""What was read of a receiver's own disk a moment ago, so that comparing it once more reads nothing again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from syncer.capture.findings import Finding, KnownTree
from syncer.model import Known, name_of, parent_of

MOST_PATHS = 50_000
"""Of one domain; where there are more they are read again rather than held in memory."""


class Remembered:
    """Paths that the base does not know, as they were read; a file is believed while its identity is the same."""

    def __init__(self, tree: KnownTree, found: Iterable[Known]) -> None:
        """Put what was `found` beneath the base `tree`, which counts where it knows a path itself."""
        self._tree = tree
        self._rows: dict[bytes, Known] = {}
        self._children: defaultdict[bytes, dict[bytes, Known]] = defaultdict(dict)
        for known in found:
            # Read so soon after a change that a later one may not show: it is read again.
            if not known.racy:
                path = known.entry.path
                self._rows[path] = known
                if path:
                    self._children[parent_of(path)][name_of(path)] = known

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → what is known, of one directory."""
        applied = self._tree.children(directory)
        return {**self._children[directory], **applied} if directory in self._children else applied

    def get(self, path: bytes) -> Known | None:
        """Return what is known of one path."""
        return self._tree.get(path) or self._rows.get(path)

    def forget(self, path: bytes) -> None:
        """Take it that a path does not belong to what is compared any more."""
        self._rows.pop(path, None)

    def edits(self, findings: Iterable[Finding]) -> dict[bytes, Known | None]:
        """Return how the disk differs from the base, by what a scanner of this tree tells; it is used up by that."""
        told = {finding.path: finding.found for finding in findings}
        stands = _unapplied((known for path, known in self._rows.items() if path not in told), self._tree)
        # Gone, and never applied: there is nothing that it differs from.
        differs = {path: one for path, one in told.items() if one is not None or self._tree.get(path) is not None}
        return {known.entry.path: known for known in stands} | differs


def worth_keeping(found: Mapping[bytes, Known | None], tree: KnownTree) -> tuple[Known, ...]:
    """Return what a later comparison may believe, of how the disk differs from the base; nothing where it is much."""
    if len(found) > MOST_PATHS:
        return ()
    return tuple(_unapplied((known for known in found.values() if known is not None), tree))


def _unapplied(found: Iterable[Known], tree: KnownTree) -> Iterator[Known]:
    """Yield what the base does not know; it is asked once for each directory."""
    applied: dict[bytes, Collection[bytes]] = {}
    for known in found:
        path = known.entry.path
        directory = parent_of(path)
        if path and directory not in applied:
            applied[directory] = tree.children(directory).keys()
        if name_of(path) not in applied[directory] if path else tree.get(b"") is None:
            yield known
