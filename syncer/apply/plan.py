"""What a transaction will do to the disk, decided from the changes and from what stands there now.

Nothing is changed here. Three kinds of work come out: things to stage and rename into place (a new directory
with everything below it is one such thing), things whose metadata alone changes, and things to delete.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from syncer.apply.values import BaseReader, Reach
from syncer.errors import ApplyError, BeneathRootError, PeerProtocolError, Reason
from syncer.files import Root
from syncer.model import Change, DiskIdentity, Entry, Kind, Problem, join, name_of, parent_of, shown

GONE = (FileNotFoundError, NotADirectoryError, BeneathRootError)
"""What a path raises whose way there is no longer made of directories: nothing of ours is below."""

_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK}


class Staged(NamedTuple):
    """One entry to build in the staging area, at `place` below it; `top` says that it is renamed by itself."""

    entry: Entry
    place: bytes
    top: bool


@dataclass(slots=True)
class Plan:
    """The work of one transaction, each list in the order in which it is done."""

    conflicts: list[bytes] = field(default_factory=list)
    """What stands where something of another kind comes, to be removed with all below it."""
    staged: list[Staged] = field(default_factory=list)
    metadata: list[Entry] = field(default_factory=list)
    deletions: list[bytes] = field(default_factory=list)
    forgotten: list[bytes] = field(default_factory=list)
    """Deletions of which nothing stands here any more, or that are out of reach."""
    problems: list[Problem] = field(default_factory=list)
    skipped: set[bytes] = field(default_factory=set)


def identity_of(found: os.stat_result) -> DiskIdentity:
    """Return what identifies a state of a path on disk."""
    return DiskIdentity(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def kind_of(found: os.stat_result) -> Kind:
    """Return the kind of what stands there; UNKNOWN for sockets, devices and FIFOs."""
    return _KINDS.get(stat.S_IFMT(found.st_mode), Kind.UNKNOWN)


def check_changes(changes: Sequence[Change]) -> None:
    """Refuse a transaction that contradicts itself: a path twice, or a child of what is no directory."""
    kinds: dict[bytes, Entry | None] = {}
    for change in changes:
        if change.path in kinds:
            raise PeerProtocolError(f"the peer sent {shown(change.path)!a} twice in one transaction")
        kinds[change.path] = change.entry
    for path, entry in kinds.items():
        if entry is None or not path:
            continue
        parent = parent_of(path)
        if parent in kinds:
            above = kinds[parent]
            if above is None or above.kind is not Kind.DIRECTORY:
                raise PeerProtocolError(f"the peer sent {shown(path)!a} below something that is no directory")


class Planner:
    """Builds the plan of one transaction."""

    def __init__(self, domain: str, root: Root, base: BaseReader, reach: Reach) -> None:
        """Look at the disk below `root`."""
        self._domain = domain
        self._root = root
        self._base = base
        self._reach = reach
        self._plan = Plan()
        self._places: dict[bytes, bytes] = {}
        self._deleted: set[bytes] = set()

    def plan(self, changes: Sequence[Change]) -> Plan:
        """Return the work that `changes` (checked) ask for."""
        ordered = sorted(changes, key=lambda change: (parent_of(change.path), change.path))
        self._deleted = {change.path for change in ordered if change.entry is None}
        for change in ordered:
            if self._is_skipped(change.path):
                continue
            if change.entry is None:
                self._delete(change.path)
            else:
                self._write(change.entry)
        # Deepest first, so that a directory is empty when its turn comes.
        self._plan.deletions.sort(key=lambda path: path.count(b"/"), reverse=True)
        return self._plan

    def _is_skipped(self, path: bytes) -> bool:
        skipped = self._plan.skipped
        if skipped and (path in skipped or parent_of(path) in skipped):
            skipped.add(path)
            return True
        if self._reach.is_protected(path):
            self._skip(path, "is syncer's own file on failover: it is never overwritten")
            return True
        return False

    def _skip(self, path: bytes, reason: str) -> None:
        self._plan.skipped.add(path)
        self._plan.problems.append(Problem(self._domain, path, reason))

    def _delete(self, path: bytes) -> None:
        if self._reach.may_descend(path) and self._stands(path) is not None:
            self._plan.deletions.append(path)
        else:
            self._plan.forgotten.append(path)

    def _stands(self, path: bytes) -> os.stat_result | None:
        try:
            return self._root.lstat(path)
        except GONE:
            return None

    def _write(self, entry: Entry) -> None:
        path = entry.path
        if not self._reach.may_descend(path):
            self._skip(path, "is excluded in failover's configuration: it is not written there")
            return
        place = self._places.get(parent_of(path)) if path else None
        if place is not None:
            self._stage(entry, join(place, name_of(path)), top=False)
            return
        try:
            found = self._root.lstat(path)
        except GONE as error:
            raise ApplyError(
                f"the directory of {shown(path)} is missing on failover: the domain must be filled anew",
                Reason.CURSOR_MISMATCH,
            ) from error
        if found is None:
            self._stage_top(entry)
        elif kind_of(found) is not entry.kind:
            self._replace(entry, found)
        elif self._same_content(entry, found):
            self._plan.metadata.append(entry)
        else:
            self._stage_top(entry)

    def _same_content(self, entry: Entry, found: os.stat_result) -> bool:
        if entry.kind is Kind.DIRECTORY:
            return True
        if entry.kind is Kind.SYMLINK:
            return self._root.read_link(entry.path) == entry.link_target
        known = self._base.get(entry.path)
        return known is not None and known.entry.digest == entry.digest and known.identity == identity_of(found)

    def _replace(self, entry: Entry, found: os.stat_result) -> None:
        """Something of another kind stands there; a directory goes only with nothing foreign in it."""
        if kind_of(found) is Kind.DIRECTORY:
            foreign = self._foreign_below(entry.path)
            if foreign is not None:
                self._skip(
                    entry.path,
                    f"cannot replace the directory on failover, because it holds {shown(foreign)}, which is not "
                    "synchronized: move that away",
                )
                return
        self._plan.conflicts.append(entry.path)
        self._stage_top(entry)

    def _foreign_below(self, directory: bytes) -> bytes | None:
        for name in self._root.names(directory):
            path = join(directory, name)
            if self._reach.is_protected(path) or not self._reach.may_descend(path):
                return path
            found = self._root.lstat(path)
            if found is not None and kind_of(found) is Kind.DIRECTORY:
                below = self._foreign_below(path)
                if below is not None:
                    return below
        return None

    def _stage_top(self, entry: Entry) -> None:
        self._stage(entry, b"%d" % len(self._plan.staged), top=True)

    def _stage(self, entry: Entry, place: bytes, *, top: bool) -> None:
        self._plan.staged.append(Staged(entry, place, top))
        if entry.kind is Kind.DIRECTORY:
            self._places[entry.path] = place
