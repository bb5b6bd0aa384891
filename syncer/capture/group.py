"""What one group has found so far, laid over what is known, so that a second look compares with the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from syncer.capture.findings import Finding, KnownTree
from syncer.model import Kind, Known, name_of, parent_of


class Recorded(NamedTuple):
    """A group as the index takes it."""

    upserts: Sequence[Known]
    deletions: Sequence[bytes]
    forgotten: Sequence[bytes]


class Group:
    """A KnownTree that shows the group's findings where there are any."""

    def __init__(self, tree: KnownTree) -> None:
        self._tree = tree
        self._found: dict[bytes, Known | None] = {}
        self._by_parent: defaultdict[bytes, dict[bytes, Known | None]] = defaultdict(dict)
        self._forgotten: set[bytes] = set()
        self._by_inode: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._found) + len(self._forgotten)

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → Known of what lies directly in `directory`."""
        known = self._tree.children(directory)
        if directory not in self._by_parent:
            return known
        merged: dict[bytes, Known | None] = {**known, **self._by_parent[directory]}
        return {name: entry for name, entry in merged.items() if entry is not None}

    def get(self, path: bytes) -> Known | None:
        """Return what is known of one path."""
        if path in self._found:
            return self._found[path]
        if path in self._forgotten:
            return None
        return self._tree.get(path)

    def record(self, finding: Finding) -> None:
        """Put one finding over what is known."""
        path, found = finding.path, finding.found
        if found is not None and found.entry.link:
            self._by_inode[found.identity.device, found.identity.inode].add(path)
        self._found[path] = found
        self._forgotten.discard(path)
        if path:
            self._by_parent[parent_of(path)][name_of(path)] = found

    def names_of(self, device: int, inode: int) -> Collection[bytes]:
        """Return paths at which the group found a file with several names; it may have gone from there since."""
        return self._by_inode.get((device, inode), ())

    def forget(self, path: bytes) -> None:
        """Take a path out, as if it had never been known."""
        self._found.pop(path, None)
        self._forgotten.add(path)
        self._by_parent[parent_of(path)][name_of(path)] = None

    def without(self, paths: Sequence[bytes]) -> Recorded:
        """Return what is to be recorded, less `paths`."""
        left_out = set(paths)
        return Recorded(
            [known for path, known in self._found.items() if known is not None and path not in left_out],
            [path for path, known in self._found.items() if known is None],
            list(self._forgotten),
        )

    def gone_directories(self) -> list[bytes]:
        """Return the paths at which no directory stands any more."""
        return [path for path, known in self._found.items() if known is None or known.entry.kind is not Kind.DIRECTORY]

    def directory_times(self) -> list[bytes] | None:
        """Return the directories of which only the mtime moved, or None where anything else changed too."""
        moved = []
        if self._forgotten:
            return None
        for path, known in self._found.items():
            before = self._tree.get(path) if known is not None else None
            if known is None or before is None:
                return None
            if known.entry == before.entry:
                continue
            if known.entry.kind is not Kind.DIRECTORY:
                return None
            if known.entry != before.entry._replace(mtime_ns=known.entry.mtime_ns):
                return None
            moved.append(path)
        return moved
