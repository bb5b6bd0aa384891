"""One domain's way from scan to index, without threads and timers: looks, gathers a group, records it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from syncer.capture.contents import ContentCache
from syncer.capture.deferred import RACY_SECONDS, UNSTABLE_SECONDS, Deferred
from syncer.capture.findings import Finding
from syncer.capture.group import Group
from syncer.capture.ignore import Scope
from syncer.capture.indexed_tree import IndexedTree
from syncer.capture.reader import Reads
from syncer.capture.scan import Scanner
from syncer.model import Head, Kind, Known, Problem

FINDINGS_AT_ONCE = 50_000
"""A larger group is recorded in parts, torn, so that memory stays bounded."""
TOMBSTONES_KEPT = 100_000
PROBLEMS_SHOWN = 1000
DIRECTORY_TIME_SECONDS = 1.0
"""A change of nothing but directories' mtimes is recorded at most this often."""


class CaptureIndex(Protocol):
    """What capture asks of the index."""

    def head(self, domain: str) -> Head:
        """Return where the domain stands."""

    def children(self, domain: str, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → Known of one directory."""

    def get(self, domain: str, path: bytes) -> Known | None:
        """Return what is known of one path."""

    def count(self, domain: str) -> int:
        """Return how many paths are known."""

    def paths_of_inode(self, domain: str, device: int, inode: int) -> list[bytes]:
        """Return all names of a file."""

    def unknowns(self, domain: str, limit: int) -> list[tuple[bytes, str]]:
        """Return paths that could not be captured, with the reason."""

    def prune_tombstones(self, domain: str, keep: int) -> None:
        """Forget all but the newest deletions."""

    def commit_group(
        self,
        domain: str,
        upserts: Sequence[Known],
        deletions: Sequence[bytes],
        forgotten: Sequence[bytes],
        *,
        torn: bool,
        resend: Collection[bytes],
    ) -> Head:
        """Record one group in one transaction."""


def _allow(*, deletes: bool) -> None:
    """Nobody watches the mounts."""


class BeforeCommit(Protocol):
    """Who must know of a group before it is committed."""

    def __call__(self, *, deletes: bool) -> None:
        """Look at what the group rests on; `deletes`: it holds deletions."""


class TreeCapture:
    """Holds the open group of one domain; everything on one thread."""

    def __init__(
        self,
        domain: str,
        root: Path,
        scope: Scope,
        index: CaptureIndex,
        *,
        enter: Callable[[bytes, int], None],
        contents: ContentCache | None,
        reads: Reads | None = None,
        before_commit: BeforeCommit = _allow,
    ) -> None:
        """Capture `root` into `index`; `enter` is called before each directory is listed."""
        self._before_commit = before_commit
        self.deferred = Deferred()
        # The index may still carry the mark of a process that was killed.
        self.is_torn = True
        self._domain = domain
        self._index = index
        self._tree = IndexedTree(index, domain)
        self._group = Group(self._tree)
        self._scanner = Scanner(
            root,
            scope,
            self,
            enter=enter,
            forget=self._forget,
            unstable=self._note_unstable,
            contents=contents,
            reads=reads,
        )
        self._unstable: dict[bytes, str] = {}
        self._owed: set[bytes] = set()
        self._resend: set[bytes] = set()
        self._linked: set[tuple[int, int]] = set()
        self._times_due = 0.0

    @property
    def root_identity(self) -> tuple[int, int] | None:
        """Return (device, inode) of the root that was scanned last; None before the first scan."""
        return self._scanner.identity

    @property
    def has_findings(self) -> bool:
        """Tell whether the open group holds anything."""
        return len(self._group) > 0

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return what is known in `directory`, the open group's findings among it."""
        return self._group.children(directory)

    def get(self, path: bytes) -> Known | None:
        """Return what is known of one path, the open group's findings before the index."""
        return self._group.get(path)

    def look_at_everything(self) -> None:
        """Scan the whole tree into the group; raises UnavailableRootError, and then the group is void."""
        self._unstable.clear()
        for finding in self._scanner.full():
            self._group.record(finding)
            if len(self._group) >= FINDINGS_AT_ONCE:
                # CRASH: what was found in a root that was unmounted meanwhile must not be recorded.
                self._scanner.require_same_root()
                self.record(torn=True, force=True)

    def look_at(self, dirty: Collection[bytes], fresh: Collection[bytes], reread: Collection[bytes]) -> None:
        """Scan some paths into the group, and the other names of hard links among them.

        Paths of `reread` are owed a fresh seq, now or once they stand still. Raises UnavailableRootError.
        """
        self._owed.update(reread)
        self.deferred.drop(dirty)
        self._linked.clear()
        while dirty or fresh:
            owed = self._owed.intersection(dirty)
            for path in dirty if self._unstable else ():
                self._unstable.pop(path, None)
            others: set[bytes] = set()
            for finding in self._scanner.paths(dirty, fresh=fresh, reread=owed):
                self._group.record(finding)
                others.update(self._other_names(finding))
            done = {path for path in owed if path not in self._unstable}
            self._resend |= done
            self._owed -= done
            dirty, fresh = others, ()

    def record(self, *, torn: bool, force: bool) -> Head:
        """Commit the group and begin the next one; returns the head after it.

        A change of directories' mtimes alone waits, unless `force`, until a second has passed since the last.
        """
        now = time.monotonic()
        group, self._group = self._group, Group(self._tree)
        resend, self._resend = self._resend, set()
        self._linked.clear()
        late: list[bytes] = []
        times = None if resend else group.directory_times()
        if times:
            if now < self._times_due and not force:
                late = times
                self.deferred.add(times, self._times_due)
            else:
                self._times_due = now + DIRECTORY_TIME_SECONDS
        upserts, deletions, forgotten = group.without(late)
        self.deferred.add(_racy(upserts), now + RACY_SECONDS)
        if not (upserts or deletions or forgotten) and torn == self.is_torn:
            return self._index.head(self._domain)
        self.is_torn = torn
        self._before_commit(deletes=bool(deletions))
        return self._index.commit_group(self._domain, upserts, deletions, forgotten, torn=torn, resend=resend)

    def gone_directories(self) -> list[bytes]:
        """Return the paths at which the group found that no directory stands any more."""
        return self._group.gone_directories()

    def discard(self) -> None:
        """Drop the group: what it found cannot be believed."""
        self._group = Group(self._tree)
        self._resend.clear()
        self._linked.clear()

    def prune(self) -> None:
        """Bound the memory of deletions."""
        self._index.prune_tombstones(self._domain, TOMBSTONES_KEPT)

    def problems(self) -> tuple[Problem, ...]:
        """Return what could not be captured, up to PROBLEMS_SHOWN."""
        found = dict(self._index.unknowns(self._domain, PROBLEMS_SHOWN))
        found.update(self._unstable)
        return tuple(Problem(self._domain, path, found[path]) for path in sorted(found))

    def _forget(self, path: bytes) -> None:
        self._group.forget(path)

    def _note_unstable(self, path: bytes, reason: str) -> None:
        self._unstable[path] = reason
        self.deferred.add((path,), time.monotonic() + UNSTABLE_SECONDS)

    def _other_names(self, finding: Finding) -> Iterator[bytes]:
        """Yield the other names of a file with hard links: an event names only one of them.

        The file that had this name before, too: it may have one name only now.
        """
        found, old = finding.found, finding.old
        inodes = []
        if finding.links > 1 and found is not None and found.entry.kind is Kind.FILE:
            inodes.append((found.identity.device, found.identity.inode))
        if old is not None and old.entry.link:
            inodes.append((old.identity.device, old.identity.inode))
        for inode in inodes:
            if inode not in self._linked:
                self._linked.add(inode)
                for path in {*self._index.paths_of_inode(self._domain, *inode), *self._group.names_of(*inode)}:
                    if path != finding.path:
                        yield path


def _racy(upserts: Iterable[Known]) -> list[bytes]:
    return [known.entry.path for known in upserts if known.racy]
