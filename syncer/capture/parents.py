"""Directories that are only kept because something wanted lies in them (include patterns)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from syncer.capture.findings import Finding, KnownTree
from syncer.capture.ignore import Scope
from syncer.model import parent_of


class Parents:
    """Follows the findings of a partial scan and tells which parents come along now, and which leave."""

    def __init__(self, scope: Scope, known: KnownTree) -> None:
        self._scope = scope
        self._known = known
        self._present: dict[bytes, bool] = {}
        self._children: defaultdict[bytes, set[bytes]] = defaultdict(set)

    def note(self, finding: Finding) -> None:
        """Take a finding of the scan into account."""
        path = finding.path
        self._present[path] = finding.found is not None
        if path:
            self._children[parent_of(path)].add(path)

    def kept(self, look: Callable[[bytes], Iterator[Finding]]) -> Iterator[Finding]:
        """Yield the directories that are not known yet but hold something now; `look` reads each one."""
        missing: set[bytes] = set()
        for path, is_present in self._present.items():
            above = parent_of(path)
            while is_present and above and above not in missing and not self._is_known(above):
                missing.add(above)
                above = parent_of(above)
        for directory in sorted(missing):
            for finding in look(directory):
                self.note(finding)
                yield finding

    def left(self) -> Iterator[Finding]:
        """Yield the directories, deepest first, in which nothing wanted is left."""
        emptied = {parent_of(path) for path, is_present in self._present.items() if path and not is_present}
        while emptied:
            directory = max(emptied, key=lambda path: path.count(b"/"))
            emptied.remove(directory)
            if not directory or self._scope.wants(directory, is_directory=True):
                continue
            if self._is_known(directory) and not self._holds_anything(directory):
                self.note(gone := Finding(directory, None, 0))
                yield gone
                emptied.add(parent_of(directory))

    def _is_known(self, directory: bytes) -> bool:
        found = self._present.get(directory)
        return found if found is not None else self._known.get(directory) is not None

    def _holds_anything(self, directory: bytes) -> bool:
        noted = self._children.get(directory, set())
        if any(self._present[path] for path in noted):
            return True
        return any(known.entry.path not in noted for known in self._known.children(directory).values())
