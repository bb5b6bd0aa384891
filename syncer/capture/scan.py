"""Compares a tree on disk with what is known of it and tells the differences; the scan is the truth.

Everything is reached through descriptors of opened directories, never through a symlink, so that no race
leads out of the root.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from syncer.capture.contents import ContentCache
from syncer.capture.findings import Finding, Findings, KnownTree
from syncer.capture.ignore import STAGING_NAME, Scope
from syncer.capture.inspection import Inspector, raise_transient, unknown, unreadable
from syncer.capture.owners import Owners
from syncer.capture.partial import PartialScan
from syncer.capture.reader import DIRECTORY_FLAGS, Reads, UnstableError
from syncer.errors import UnavailableRootError
from syncer.model import Kind, Known

DEEPEST = 200
"""Directories below each other; each one costs a descriptor while those below it are scanned."""
LONGEST_PATH = 4095
_RACES = 3
"""Attempts at a path that is another kind of thing each time it is looked at."""
__all__ = ["Finding", "Findings", "KnownTree", "Scanner"]
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def _ignore(*_: object) -> None:
    """Nobody asked to be told."""


class Scanner:
    """Scans one root; not thread-safe. Memory holds one directory for each level of the tree, no more."""

    def __init__(
        self,
        root: Path,
        scope: Scope,
        known: KnownTree,
        *,
        enter: Callable[[bytes, int], None] = _ignore,
        forget: Callable[[bytes], None] = _ignore,
        unstable: Callable[[bytes, str], None] = _ignore,
        contents: ContentCache | None = None,
        reads: Reads | None = None,
    ) -> None:
        """Take a root and what is known of it.

        `enter(path, descriptor)` is called before a directory is listed, so that a watch set there misses
        nothing; `forget(path)` for what is known but does not belong to the scope any more; `unstable(path,
        reason)` for what changed under each attempt to read it, whose known state stays as it is.
        """
        self.root = root
        self.identity: tuple[int, int] | None = None
        self._scope = scope
        self._known = known
        self._enter = enter
        self._forget = forget
        self._unstable = unstable
        self._reads = reads or Reads()
        self._owners = Owners()
        self._inspector = Inspector(self._owners, contents, self._reads)
        self._filtered = scope.has_excludes or not scope.everything or scope.has_protected
        self._limited = not scope.everything

    def full(self) -> Iterator[Finding]:
        """Yield every difference between disk and known; raises UnavailableRootError.

        Findings count only once the iterator has ended: a root that vanished meanwhile raises at the end.
        """
        self.identity = None
        with self._opened_root() as descriptor:
            yield from self.listed(b"", descriptor, self._known.get(b""))

    def paths(
        self, dirty: Collection[bytes], *, fresh: Collection[bytes] = (), reread: Collection[bytes] = ()
    ) -> Iterator[Finding]:
        """Yield the differences at `dirty` paths, without walking through directories that stay.

        `fresh` are directories that came into being there or were moved there: they are scanned with all
        below. `reread` files are read even where their identity is as known, and told in any case. Raises
        UnavailableRootError.
        """
        with self._opened_root() as descriptor:
            yield from PartialScan(self, descriptor, self._scope, self._known, self._reads).run(dirty, fresh, reread)

    @contextmanager
    def _opened_root(self) -> Iterator[int]:
        """Open the root for one scan; before and after, it must be the directory of the last full scan."""
        self._owners.refresh()
        try:
            descriptor = self._reads.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unavailable(error.strerror) from error
        try:
            identity = _identity(self._reads.status(descriptor))
            if identity != (self.identity or identity):
                raise self._unavailable("another directory took its place")
            self.identity = identity
            self._inspector.root_device = identity[0]
            yield descriptor
            self.require_same_root()
        finally:
            self._reads.close(descriptor)

    def require_same_root(self) -> None:
        """Raise UnavailableRootError where the root's path does not lead to the scanned directory any more."""
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise self._unavailable(error.strerror) from error
        # CRASH: an unmounted root shows an empty directory; what was found there must not become deletions.
        if _identity(status) != self.identity:
            raise self._unavailable("another directory took its place during the scan")

    def listed(self, path: bytes, descriptor: int, old: Known | None) -> Findings:
        """Scan the opened directory `path` with all below."""
        self._enter(path, descriptor)
        # Before the listing: a change during it must leave an mtime that differs from the recorded one.
        status = self._reads.status(descriptor)
        known = self._known.children(path)
        try:
            names = self._reads.names(descriptor)
        except OSError as error:
            if not path:
                raise self._unavailable(error.strerror) from error
            return (yield from self.told(unreadable(path, status, error), old))
        kept = (yield from self._children(path, descriptor, known, names)) or not self._limited
        if kept or self._scope.wants(path, is_directory=True):
            return (yield from self.told(self._inspector.directory(path, descriptor, status), old))
        if old is not None:
            yield from self.gone(path, old)
        return False

    def _children(self, directory: bytes, descriptor: int, known: Mapping[bytes, Known], names: list[str]) -> Findings:
        """Scan what lies in an opened directory; this loop is what a scan costs."""
        lstat = self._reads.lstat
        unchanged = self._inspector.is_unchanged
        prefix = directory + b"/" if directory else b""
        kept = False
        left = dict(known)
        self._reads.expect(descriptor, names, partial(self._is_next, prefix))
        for name in names:
            raw = name.encode(_ENCODING, _ERRORS)
            if raw == STAGING_NAME:
                continue
            old = left.pop(raw, None)
            try:
                status = lstat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                status = None
            except OSError as error:
                kept = (yield from self.unseen(prefix + raw, error, old)) or kept
                continue
            path = prefix + raw
            if status is None or (self._filtered and not self.belongs(path, status.st_mode)):
                if old is not None:
                    left[raw] = old
                continue
            if old is not None and unchanged(old, status):
                kept = True
                continue
            kept = (yield from self.child(path, name, descriptor, status, old)) or kept
        for old in left.values():
            yield from self.left(old)
        return kept

    def child(
        self,
        path: bytes,
        name: str,
        parent: int,
        status: os.stat_result,
        old: Known | None,
        *,
        reread: bool = False,
    ) -> Findings:
        """Look at one path that is new or may have changed, with all below where it is a directory."""
        for _ in range(_RACES):
            try:
                if stat.S_ISDIR(status.st_mode):
                    return (yield from self._directory(path, name, parent, status, old))
                found = self._inspector.other(parent, name, path, status)
                return (yield from self.told(found, old, status.st_nlink, always=reread))
            except FileNotFoundError:
                # Gone since it was listed.
                if old is not None:
                    yield from self.gone(path, old)
                return False
            except NotADirectoryError:
                # RACE: another kind took its place between lstat and open.
                try:
                    status = self._reads.lstat(name, dir_fd=parent, follow_symlinks=False)
                except FileNotFoundError:
                    continue
            except UnstableError as error:
                self._unstable(path, str(error))
                return old is not None
        self._unstable(path, "it changes faster than it can be read")
        return old is not None

    def _directory(self, path: bytes, name: str, parent: int, status: os.stat_result, old: Known | None) -> Findings:
        if path.count(b"/") >= DEEPEST or len(path) > LONGEST_PATH:
            note = f"lies deeper than {DEEPEST} directories, or its path is longer than {LONGEST_PATH} bytes"
            return (yield from self.told(unknown(path, status, note), old))
        try:
            descriptor = self._reads.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise_transient(error)
            return (yield from self.told(unreadable(path, status, error), old))
        try:
            return (yield from self.listed(path, descriptor, old))
        finally:
            self._reads.close(descriptor)

    def told(self, found: Known, old: Known | None, links: int = 1, *, always: bool = False) -> Findings:
        """Yield `found` where it differs from `old`, and what lay below a directory that is none any more."""
        path, kind = found.entry.path, found.entry.kind
        was_directory = old is not None and old.entry.kind is Kind.DIRECTORY
        # Below what cannot be read nothing is gone: the index hides it until it can be read again.
        if was_directory and kind is not Kind.DIRECTORY and kind is not Kind.UNKNOWN:
            yield from self._gone_below(path)
        # A racy one is told until it is clean: whoever takes it must look again.
        if always or found != old or found.racy:
            yield Finding(path, found, links, old)
        return True

    def gone(self, path: bytes, old: Known) -> Iterator[Finding]:
        """Yield that a path is gone, with everything known below."""
        yield Finding(path, None, 0, old)
        if old.entry.kind is Kind.DIRECTORY:
            yield from self._gone_below(path)

    def _forget_tree(self, old: Known) -> None:
        self._forget(old.entry.path)
        if old.entry.kind is Kind.DIRECTORY:
            for child in self._known.children(old.entry.path).values():
                self._forget_tree(child)

    def directory_itself(self, path: bytes, descriptor: int, status: os.stat_result, old: Known | None) -> Findings:
        """Look at an opened directory's own row only."""
        return (yield from self.told(self._inspector.directory(path, descriptor, status), old))

    def is_unchanged(self, old: Known, status: os.stat_result) -> bool:
        """Tell whether `status` shows exactly what is known."""
        return self._inspector.is_unchanged(old, status)

    def _gone_below(self, directory: bytes) -> Iterator[Finding]:
        for old in self._known.children(directory).values():
            yield from self.gone(old.entry.path, old)

    def left(self, old: Known) -> Iterator[Finding]:
        """Tell of something known in whose place nothing stands that belongs to the scope.

        It is gone, unless it does not belong to the scope itself any more: then it is forgotten.
        """
        if self._scope_holds(old.entry.path, old.entry.kind is Kind.DIRECTORY):
            yield from self.gone(old.entry.path, old)
        else:
            self._forget_tree(old)

    def unseen(self, path: bytes, error: OSError, old: Known | None) -> Findings:
        """Tell of a name that is listed but that lstat cannot look at."""
        if self._filtered and not self._scope.wants(path, is_directory=False):
            return False
        return (yield from self.told(unreadable(path, None, error), old))

    def _is_next(self, prefix: bytes, name: str, status: os.stat_result) -> bool:
        raw = name.encode(_ENCODING, _ERRORS)
        return raw != STAGING_NAME and (not self._filtered or self.belongs(prefix + raw, status.st_mode))

    def belongs(self, path: bytes, mode: int) -> bool:
        """Tell whether something of this mode at `path` is to be looked at."""
        return self._scope_holds(path, stat.S_ISDIR(mode))

    def _scope_holds(self, path: bytes, is_directory: bool) -> bool:
        if is_directory:
            return self._scope.may_descend(path)
        return self._scope.wants(path, is_directory=False)

    def _unavailable(self, reason: str | None) -> UnavailableRootError:
        return UnavailableRootError(
            f"the root {self.root} cannot be read ({reason}): mount or create it; nothing is deleted meanwhile"
        )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
