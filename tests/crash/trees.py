"""Trees as values that are edited step by step, each edit moving the mtime of its directory as on a real disk."""

from __future__ import annotations

import os
from typing import Self

import blake3

from syncer.model import Entry, Kind, is_beneath, parent_of
from tests.unit.apply.trees import changes_between, read_tree

__all__ = ["TICK_NS", "Tree", "changes_between", "read_tree"]

TICK_NS = 1_000_000_007
"""Nanoseconds from one edit to the next: no two paths share an mtime by chance."""


class Tree:
    """Entries by path and contents by digest."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.contents: dict[bytes, bytes] = {}
        self._now = 10**18
        self._put(b"", Kind.DIRECTORY, 0o755)

    def copy(self) -> Tree:
        """Return a tree to edit on from here."""
        other = Tree()
        other.entries = dict(self.entries)
        other.contents = dict(self.contents)
        other._now = self._now + 1000 * TICK_NS
        return other

    def file(self, path: bytes, data: bytes, mode: int = 0o644, uid: int | None = None) -> Self:
        """Write a file, new or in place."""
        return self._put(path, Kind.FILE, mode, data=data, uid=uid)

    def directory(self, path: bytes, mode: int = 0o755) -> Self:
        """Make a directory, or change the mode of one."""
        return self._put(path, Kind.DIRECTORY, mode)

    def link(self, path: bytes, target: bytes) -> Self:
        """Make a symbolic link, or point one elsewhere."""
        return self._put(path, Kind.SYMLINK, 0, target=target)

    def mode(self, path: bytes, mode: int) -> Self:
        """Change permission bits only."""
        self.entries[path] = self.entries[path]._replace(mode=mode)
        return self

    def owner(self, path: bytes, uid: int) -> Self:
        """Change the owner only."""
        self.entries[path] = self.entries[path]._replace(uid=uid, gid=uid)
        return self

    def touch(self, path: bytes) -> Self:
        """Change the mtime only."""
        self._now += TICK_NS
        self.entries[path] = self.entries[path]._replace(mtime_ns=self._now)
        return self

    def remove(self, path: bytes) -> Self:
        """Remove a path with all below it."""
        for gone in [found for found in self.entries if is_beneath(found, path)]:
            del self.entries[gone]
        return self.touch(parent_of(path))

    def move(self, old: bytes, new: bytes) -> Self:
        """Rename a path with all below it; what moves keeps its mtimes."""
        moved = {path: entry for path, entry in self.entries.items() if is_beneath(path, old)}
        self.remove(old)
        for path, entry in moved.items():
            there = new + path[len(old) :]
            self.entries[there] = entry._replace(path=there)
        return self.touch(parent_of(new))

    def _put(
        self, path: bytes, kind: Kind, mode: int, *, data: bytes = b"", target: bytes = b"", uid: int | None = None
    ) -> Self:
        here = self.entries.get(path)
        if here is not None and here.kind is not kind:
            self.remove(path)
        if path and (here is None or here.kind is not kind):
            self.touch(parent_of(path))
        self._now += TICK_NS
        digest = blake3.blake3(data).digest() if kind is Kind.FILE else b""
        if digest:
            self.contents[digest] = data
        owner = os.geteuid() if uid is None else uid
        group = os.getegid() if uid is None else uid
        self.entries[path] = Entry(
            path, kind, mode, owner, group, "", "", self._now, len(data), digest, target
        )  # fmt: skip  # one entry
        return self


def difference(found: dict[bytes, Entry], wanted: dict[bytes, Entry]) -> str:
    """Say what differs between two trees, "" where nothing does; short enough for a list of many cases."""
    said = []
    for path in sorted(found.keys() | wanted.keys()):
        here, there = found.get(path), wanted.get(path)
        if here == there:
            continue
        if here is None or there is None:
            said.append(f"{path!r} {'missing' if here is None else 'too much'}")
        else:
            fields = [name for name, one, other in zip(Entry._fields, here, there, strict=True) if one != other]
            said.append(f"{path!r} {'+'.join(fields)}")
    return ", ".join(said[:6])


def without(tree: dict[bytes, Entry], tops: set[bytes]) -> dict[bytes, Entry]:
    """Return a tree less what lies at or below some paths."""
    return {
        path: entry
        for path, entry in tree.items()
        # Everything lies below the root: a problem with it is one with the root alone.
        if path not in tops and not any(is_beneath(path, top) for top in tops if top)
    }
