"""Scans only the paths that hints named: what a change costs must not depend on the size of the tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from syncer.capture.findings import Finding, Findings, KnownTree
from syncer.capture.ignore import Scope
from syncer.capture.parents import Parents
from syncer.capture.reader import DIRECTORY_FLAGS, Reads
from syncer.model import Kind, Known, join, name_of, parent_of

if TYPE_CHECKING:
    from syncer.capture.scan import Scanner


class PartialScan:
    """One scan of some paths below an opened root."""

    def __init__(self, scanner: Scanner, root: int, scope: Scope, known: KnownTree, reads: Reads) -> None:
        self._scanner = scanner
        self._root = root
        self._scope = scope
        self._known = known
        self._reads = reads
        self._covered: set[bytes] = set()
        self._fresh: Collection[bytes] = ()
        self._reread: Collection[bytes] = ()

    def run(self, dirty: Collection[bytes], fresh: Collection[bytes], reread: Collection[bytes]) -> Iterator[Finding]:
        """Yield what differs at these paths; see Scanner.paths."""
        self._fresh, self._reread = fresh, reread
        # By parent: one descriptor serves all names in it, and an ancestor still comes before what is below.
        keys = sorted((parent_of(path), path) for path in {*dirty, *fresh, *reread})
        findings = self._all(keys)
        if self._scope.everything:
            yield from findings
            return
        parents = Parents(self._scope, self._known)
        for finding in findings:
            parents.note(finding)
            yield finding
        yield from parents.kept(self._look_at_directory)
        yield from parents.left()

    def _all(self, keys: list[tuple[bytes, bytes]]) -> Iterator[Finding]:
        for parent, group in groupby(keys, key=lambda key: key[0]):
            paths = [path for _, path in group]
            if paths[0] == b"":
                yield from self._root_itself()
                paths = paths[1:]
            if not paths or self._is_covered(parent):
                continue
            if not self._scope.may_descend(parent):
                yield from self._left(paths)
                continue
            first_unknown = self._first_unknown(parent)
            if first_unknown is not None:
                yield from self._from_its_parent(first_unknown)
                continue
            yield from self._in_parent(parent, paths)

    def _in_parent(self, parent: bytes, paths: list[bytes]) -> Iterator[Finding]:
        opened, blocked = self._open(parent)
        if blocked is not None:
            yield from self._from_its_parent(blocked)
            return
        try:
            for path in paths:
                if not self._covered or not self._is_covered(path):
                    yield from self._one(path, opened)
        finally:
            self._reads.close(opened)

    def _from_its_parent(self, path: bytes) -> Iterator[Finding]:
        """Scan a directory with all below, since what was named lies somewhere in it."""
        if self._is_covered(path):
            return
        if not path:
            self._covered.add(b"")
            yield from self._scanner.listed(b"", self._root, self._known.get(b""))
            return
        opened, blocked = self._open(parent_of(path))
        if blocked is not None:
            yield from self._from_its_parent(blocked)
            return
        try:
            yield from self._one(path, opened, with_all_below=True)
        finally:
            self._reads.close(opened)

    def _one(self, path: bytes, parent: int, *, with_all_below: bool = False) -> Iterator[Finding]:
        scanner = self._scanner
        name = os.fsdecode(name_of(path))
        old = self._known.get(path)
        try:
            status = self._reads.lstat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            if old is not None:
                yield from scanner.gone(path, old)
            self._covered.add(path)
            return
        except OSError as error:
            yield from scanner.unseen(path, error, old)
            self._covered.add(path)
            return
        if not scanner.belongs(path, status.st_mode):
            yield from self._left([path])
        elif not stat.S_ISDIR(status.st_mode):
            if old is None or path in self._reread or not scanner.is_unchanged(old, status):
                yield from scanner.child(path, name, parent, status, old, reread=path in self._reread)
        elif not with_all_below and path not in self._fresh and self._stays(path, status, old):
            if old is not None:
                yield from self._directory_itself(path, name, parent, status, old)
        else:
            self._covered.add(path)
            yield from scanner.child(path, name, parent, status, old)

    def _directory_itself(self, path: bytes, name: str, parent: int, status: os.stat_result, old: Known) -> Findings:
        try:
            descriptor = self._reads.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError:
            # Its mode or its access list may have changed: it is looked at with all below.
            self._covered.add(path)
            return (yield from self._scanner.child(path, name, parent, status, old))
        try:
            return (yield from self._scanner.directory_itself(path, descriptor, status, old))
        finally:
            self._reads.close(descriptor)

    def _stays(self, path: bytes, status: os.stat_result, old: Known | None) -> bool:
        """Tell whether a directory is the one that is known, so that its own row is all there is to look at."""
        if old is None:
            # Its parent may have been touched by anything; a directory that is new was named as fresh.
            return not self._scope.everything and not self._scope.wants(path, is_directory=True)
        if old.entry.kind is not Kind.DIRECTORY:
            return False
        identity = old.identity
        return (identity.inode, identity.device) == (status.st_ino, status.st_dev)

    def _root_itself(self) -> Iterator[Finding]:
        old = self._known.get(b"")
        if b"" in self._fresh or old is None:
            yield from self._from_its_parent(b"")
        else:
            yield from self._scanner.directory_itself(b"", self._root, self._reads.status(self._root), old)

    def _look_at_directory(self, path: bytes) -> Iterator[Finding]:
        """Yield the row of a directory that comes along because something in it is wanted."""
        opened, blocked = self._open(path)
        if blocked is None:
            try:
                yield from self._scanner.directory_itself(path, opened, self._reads.status(opened), None)
            finally:
                self._reads.close(opened)

    def _open(self, path: bytes) -> tuple[int, bytes | None]:
        """Return a descriptor of the directory `path`, or (-1, the first component that cannot be entered)."""
        descriptor = os.dup(self._root)
        here = b""
        for name in path.split(b"/") if path else ():
            here = join(here, name)
            try:
                following = self._reads.open(os.fsdecode(name), DIRECTORY_FLAGS, dir_fd=descriptor)
            except OSError:
                # What it is now is found out where it is looked at itself.
                return -1, here
            finally:
                self._reads.close(descriptor)
            descriptor = following
        return descriptor, None

    def _first_unknown(self, directory: bytes) -> bytes | None:
        """Return the topmost directory on the way that is not known as one, or None where all are."""
        known = self._known.get(directory)
        if known is not None and known.entry.kind is Kind.DIRECTORY:
            return None
        if not self._scope.everything and directory:
            # Directories that are not wanted for themselves are often unknown, and named when they are new.
            return None
        names = directory.split(b"/") if directory else []
        for length in range(len(names) + 1):
            here = b"/".join(names[:length])
            known = self._known.get(here)
            if known is None or known.entry.kind is not Kind.DIRECTORY:
                return here
        return None

    def _left(self, paths: list[bytes]) -> Iterator[Finding]:
        for path in paths:
            old = self._known.get(path)
            if old is not None:
                yield from self._scanner.left(old)

    def _is_covered(self, path: bytes) -> bool:
        """Tell whether `path` was scanned already, with a directory that it lies in."""
        if not self._covered:
            return False
        while path:
            if path in self._covered:
                return True
            path = parent_of(path)
        return b"" in self._covered
