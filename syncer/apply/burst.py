"""The visible part of a transaction: everything staged becomes real, the rest goes, metadata comes last."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from syncer.apply.metadata import Owners, may_set_owner
from syncer.apply.plan import GONE, Plan, Staged, identity_of, kind_of
from syncer.apply.stage import Stage, remove_tree
from syncer.apply.values import Applied, BaseReader
from syncer.files import Disk, Root
from syncer.model import DiskIdentity, Entry, Kind, Problem, name_of, parent_of
from syncer.state.base import BaseRow

FLUSHED_ONE_BY_ONE = 16
"""Directories and changed files up to which each is flushed by itself; beyond, the file system is."""


class Burst:
    """Carries a plan out, once everything it needs is staged and durable."""

    def __init__(
        self,
        domain: str,
        root: Root,
        plan: Plan,
        base: BaseReader,
        disk: Disk,
        owners: Owners,
        areas: Mapping[bytes, Stage],
    ) -> None:
        """Work below `root`; `areas` says where each top of the plan is staged."""
        self._domain = domain
        self._root = root
        self._plan = plan
        self._base = base
        self._disk = disk
        self._owners = owners
        self._areas = areas
        self._touched: dict[bytes, int] = {}
        # Directories whose names change, with the mtime that they had before.
        self._changed_files: list[bytes] = []
        self._problems: list[Problem] = []
        self._kept: set[bytes] = set()
        self._changed = 0

    def run(self, identities: Mapping[bytes, DiskIdentity]) -> Applied:
        """Do it; returns what the base must know. Raises OSError where the disk refuses."""
        self._finish_staged_directories()
        for path in self._plan.conflicts:
            self._touch(parent_of(path))
            remove_tree(self._root, path, self._disk)
        self._root.forget()
        for item in self._plan.staged:
            if item.top:
                self._rename(item)
        self._delete()
        for entry in self._plan.metadata:
            self._set_metadata(entry)
        self._set_directory_times()
        self._flush()
        upserts = [self._row(item.entry, identities, item) for item in self._plan.staged]
        upserts += [self._row(entry, {}, None) for entry in self._plan.metadata]
        deletions = [path for path in (*self._plan.deletions, *self._plan.forgotten)]
        self._changed += len(self._plan.staged)
        return Applied(upserts, deletions, self._changed, 0, self._problems)

    def _touch(self, directory: bytes) -> None:
        if directory not in self._touched:
            self._touched[directory] = os.fstat(self._root.directory(directory)).st_mtime_ns

    def _finish_staged_directories(self) -> None:
        """New directories get owner, mode and mtime while they are still out of sight, children first."""
        for item in reversed(self._plan.staged):
            if item.entry.kind is Kind.DIRECTORY:
                area = self._areas[item.place.partition(b"/")[0]]
                self._finish_directory(item.entry, area.area.directory(item.place))

    def _finish_directory(self, entry: Entry, descriptor: int) -> None:
        uid, gid = self._owners.of(entry)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            self._own(entry, descriptor, uid, gid)
        self._disk.set_mode(descriptor, entry.mode)
        self._disk.set_times(descriptor, entry.mtime_ns)

    def _own(self, entry: Entry, descriptor: int, uid: int, gid: int) -> None:
        if may_set_owner(uid, gid):
            self._disk.set_owner(descriptor, uid, gid)
        else:
            self._report_owner(entry)

    def _report_owner(self, entry: Entry) -> None:
        owner = f"{entry.owner or entry.uid}:{entry.group or entry.gid}"
        self._problems.append(
            Problem(
                self._domain,
                entry.path,
                f"owner {owner} cannot be set on failover: the agent does not run as root there",
            )
        )

    def _rename(self, item: Staged) -> None:
        area = self._areas[item.place].area
        path = item.entry.path
        parent = parent_of(path)
        self._touch(parent)
        self._disk.rename(area.descriptor, item.place, self._root.directory(parent), name_of(path))

    def _delete(self) -> None:
        for path in self._plan.deletions:
            try:
                self._touch(parent_of(path))
                self._remove(self._root.directory(parent_of(path)), path)
            except GONE:
                continue  # gone with something above it

    def _remove(self, directory: int, path: bytes) -> None:
        name = name_of(path)
        try:
            self._disk.unlink(directory, name)
        except IsADirectoryError:
            try:
                self._disk.remove_directory(directory, name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    raise
                # What is left is not synchronized: the folder that holds it stays.
                self._kept.add(path)
                return
        self._changed += 1

    def _set_metadata(self, entry: Entry) -> None:
        """Change what differs of something that stays; directories get their mtime later."""
        path = entry.path
        found = self._root.lstat(path)
        if found is None or kind_of(found) is not entry.kind:
            return  # RACE: replaced on failover meanwhile; the next comparison sees it
        changed = False
        uid, gid = self._owners.of(entry)
        parent = self._root.directory(parent_of(path)) if path else self._root.descriptor
        name = name_of(path) or b"."
        if (found.st_uid, found.st_gid) != (uid, gid):
            if may_set_owner(uid, gid):
                self._disk.set_owner_of(parent, name, uid, gid)
                changed = True
            else:
                self._report_owner(entry)
        # chown(2) clears setuid and setgid, so the mode comes after, also where it was right before.
        if entry.kind is not Kind.SYMLINK and (changed or found.st_mode & 0o7777 != entry.mode):
            self._set_mode(entry, found)
            changed = True
        if entry.kind is Kind.DIRECTORY:
            if found.st_mtime_ns != entry.mtime_ns:
                changed = True
                self._touch(path)
        elif found.st_mtime_ns != entry.mtime_ns:
            self._disk.set_times_of(parent, name, entry.mtime_ns)
            changed = True
        if changed:
            self._changed += 1
            self._changed_files.append(path)

    def _set_mode(self, entry: Entry, found: os.stat_result) -> None:
        located = self._root.open(entry.path, os.O_PATH | os.O_NOFOLLOW) if entry.path else self._root.descriptor
        try:
            if os.fstat(located).st_ino == found.st_ino:
                self._disk.set_mode_of(located, entry.mode, name_of(entry.path))
        finally:
            if entry.path:
                os.close(located)

    def _set_directory_times(self) -> None:
        """Everything done before has changed mtimes of directories: set them, deepest first."""
        wanted = {entry.path: entry for entry in self._plan.metadata if entry.kind is Kind.DIRECTORY}
        tops = {item.entry.path: item.entry for item in self._plan.staged if item.top}
        for path, top in tops.items():
            if top.kind is Kind.DIRECTORY:
                wanted[path] = top
                self._touch(path)
        for path in sorted(self._touched, key=lambda path: path.count(b"/") if path else -1, reverse=True):
            entry = wanted.get(path) or self._known(path)
            mtime_ns = self._touched[path] if entry is None else entry.mtime_ns
            try:
                self._disk.set_times(self._root.directory(path), mtime_ns, name_of(path))
            except GONE:
                continue  # deleted in this transaction

    def _known(self, path: bytes) -> Entry | None:
        known = self._base.get(path)
        return known.entry if known is not None and known.entry.kind is Kind.DIRECTORY else None

    def _flush(self) -> None:
        """Make names and metadata durable, one by one where they are few."""
        directories = list(self._touched)
        files = [path for path in self._changed_files if path not in self._touched]
        if len(directories) + len(files) > FLUSHED_ONE_BY_ONE:
            for descriptor in self._one_descriptor_a_device():
                self._disk.flush_file_system(descriptor)
            return
        for path in directories:
            try:
                self._disk.flush_directory(self._root.directory(path), name_of(path))
            except GONE:
                continue  # deleted in this transaction; its parent is flushed
        if files:
            # A changed inode is flushed through its file system: it may be a symlink, or not readable for us.
            self._disk.flush_file_system(self._root.descriptor)

    def _one_descriptor_a_device(self) -> list[int]:
        found = {os.fstat(self._root.descriptor).st_dev: self._root.descriptor}
        for stage in self._areas.values():
            found.setdefault(os.fstat(stage.area.descriptor).st_dev, stage.area.descriptor)
        return list(found.values())

    def _row(self, entry: Entry, identities: Mapping[bytes, DiskIdentity], item: Staged | None) -> BaseRow:
        """Return the base's row; below a staged directory a file's identity has not changed since staging."""
        if item is not None and not item.top and entry.kind is Kind.FILE and entry.path in identities:
            return BaseRow(entry, identities[entry.path])
        found = self._root.lstat(entry.path)
        if found is None:
            # RACE: removed on failover meanwhile; an identity that nothing has makes the next comparison see it.
            return BaseRow(entry, DiskIdentity(0, 0, 0, 0, 0))
        return BaseRow(entry, identity_of(found))
