"""Trees as values that are edited step by step, each edit moving the mtime of its directory as on a real disk."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Self

import blake3

from syncer import attributes
from syncer.model import Entry, Kind, is_beneath, parent_of
from syncer.origin import Origin
from tests.unit.apply import trees as plain
from tests.unit.apply.trees import changes_between

__all__ = ["TICK_NS", "Tree", "changes_between", "difference", "read_tree", "without"]

TICK_NS = 1_000_000_007
"""Nanoseconds from one edit to the next: no two paths share an mtime by chance."""


class Tree:
    """Entries by path and contents by digest."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.contents: dict[bytes, bytes] = {}
        self._now = 10**18
        self._links = 0
        self._put(b"", Kind.DIRECTORY, 0o755)

    def copy(self) -> Tree:
        """Return a tree to edit on from here."""
        other = Tree()
        other.entries = dict(self.entries)
        other.contents = dict(self.contents)
        other._now = self._now + 1000 * TICK_NS
        other._links = self._links
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
        return self._change(path, self.entries[path]._replace(mode=mode))

    def owner(self, path: bytes, uid: int) -> Self:
        """Change the owner only."""
        return self._change(path, self.entries[path]._replace(uid=uid, gid=uid))

    def touch(self, path: bytes) -> Self:
        """Change the mtime only."""
        self._now += TICK_NS
        return self._change(path, self.entries[path]._replace(mtime_ns=self._now))

    def attribute(self, path: bytes, name: bytes, value: bytes | None) -> Self:
        """Set an extended attribute, or remove one."""
        entry = self.entries[path]
        found = attributes.decode(entry.attributes)
        found.pop(name, None)
        if value is not None:
            found[name] = value
        return self._change(path, entry._replace(attributes=attributes.encode(found)))

    def origin(self, path: bytes, undo: bytes) -> Self:
        """Say that production has other bytes of a file than stand here."""
        entry = self.entries[path]
        origin = Origin(b"r" * 32, blake3.blake3(undo + entry.digest).digest(), entry.size + 1, undo)
        return self._change(path, entry._replace(origin=origin.encode()))

    def name(self, path: bytes, other: bytes) -> Self:
        """Give a file another name, in the place of what stands there."""
        entry = self.entries[path]
        if entry.kind is not Kind.FILE or path == other:
            raise KeyError(path)
        if other in self.entries:
            self.remove(other)
        if not entry.link:
            self._links += 1
            entry = entry._replace(link=self._links)
        self.entries[path] = entry
        self.entries[other] = entry._replace(path=other)
        return self.touch(parent_of(other))

    def remove(self, path: bytes) -> Self:
        """Remove a path with all below it."""
        for gone in [found for found in self.entries if is_beneath(found, path)]:
            del self.entries[gone]
        self._forget_single_names()
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
        # A file that is written anew is a file of its own.
        self._forget_single_names()
        return self

    def _change(self, path: bytes, entry: Entry) -> Self:
        """Change a path, and with it every other name of its file."""
        for name, found in self.entries.items():
            if name == path or (entry.link and found.link == entry.link):
                self.entries[name] = entry._replace(path=name)
        return self

    def _forget_single_names(self) -> None:
        for path, entry in self.entries.items():
            if entry.link and not any(e.link == entry.link for other, e in self.entries.items() if other != path):
                self.entries[path] = entry._replace(link=0)


def read_tree(root: Path) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    """Return every entry below `root`, with attributes and an inode number as the link of names, and all contents."""
    entries, contents = plain.read_tree(root)
    for path, entry in entries.items():
        where = os.path.join(os.fsencode(root), path)
        names = [name for name in map(os.fsencode, os.listxattr(where, follow_symlinks=False))
                 if attributes.is_carried(name)]  # fmt: skip  # one list
        found = os.lstat(where)
        link = found.st_ino if entry.kind is Kind.FILE and found.st_nlink > 1 else 0
        if names or link:
            values = {name: os.getxattr(where, name, follow_symlinks=False) for name in names}
            entries[path] = entry._replace(attributes=attributes.encode(values), link=link)
    return entries, contents


def _with_plain_links(tree: dict[bytes, Entry]) -> dict[bytes, Entry]:
    """Number the files with several names by their first one, so that two trees can be compared."""
    groups: defaultdict[int, list[bytes]] = defaultdict(list)
    for path, entry in tree.items():
        if entry.link:
            groups[entry.link].append(path)
    plain_tree = dict(tree)
    for paths in groups.values():
        first = int.from_bytes(blake3.blake3(min(paths)).digest()[:6]) if len(paths) > 1 else 0
        for path in paths:
            plain_tree[path] = tree[path]._replace(link=first)
    return plain_tree


def difference(found: dict[bytes, Entry], wanted: dict[bytes, Entry]) -> str:
    """Say what differs between two trees, "" where nothing does; short enough for a list of many cases.

    What production has instead of a file's bytes no disk can tell: origins are left out.
    """
    said = []
    found, wanted = _with_plain_links(found), _with_plain_links(wanted)
    for path in sorted(found.keys() | wanted.keys()):
        here, there = found.get(path), wanted.get(path)
        if here is not None and there is not None:
            here, there = here._replace(origin=b""), there._replace(origin=b"")
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
