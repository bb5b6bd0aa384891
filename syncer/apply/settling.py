"""Metadata of what stands at its place already: files that only change owner, mode or times, and directories."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from syncer.apply.access import Access
from syncer.apply.build import FLUSHED_ONE_BY_ONE
from syncer.apply.metadata import set_link_metadata, set_metadata
from syncer.apply.plan import Action, Found, Step
from syncer.apply.survey import found_of, identity_of
from syncer.errors import ApplyError, BeneathRootError
from syncer.files import Disk, DiskError, Root, raw_attributes, raw_attributes_at
from syncer.model import DiskIdentity, Entry, Kind, name_of, parent_of, shown


class Former(NamedTuple):
    """The metadata that a path had before this transaction touched it; attributes as the kernel told them."""

    path: bytes
    found: Found
    attributes: Mapping[bytes, bytes]
    file: tuple[int, int]
    """Device and inode of what was touched."""


class Settling:
    """Sets metadata beneath a root, remembers how it was, and what must be flushed for it."""

    def __init__(self, root: Root, disk: Disk, access: Access) -> None:
        """Work below `root`, through `disk`."""
        self.problems: dict[bytes, str] = {}
        self.identities: dict[bytes, DiskIdentity] = {}
        self.changed_directories: set[bytes] = set()
        self.needs_whole_flush = False
        self.files: list[tuple[bytes, int]] = []
        """Files kept open for their flush."""
        self._root = root
        self._disk = disk
        self._access = access
        self._formers: list[Former] = []

    def adjust(self, step: Step) -> None:
        """Change owner, mode or mtime of a file or a link that is there already."""
        path = step.path
        parent = self._root.directory(parent_of(path))
        if step.entry.kind is Kind.SYMLINK:
            link = os.stat(name_of(path), dir_fd=parent, follow_symlinks=False)
            self._remember(step, link, raw_attributes_at(parent, name_of(path)) or {})
            here, reason = set_link_metadata(self._disk, parent, name_of(path), step)
            self.needs_whole_flush = True
        else:
            here, reason = self._adjust_file(step, parent)
        if reason:
            self.problems[path] = reason
        self.identities[path] = identity_of(here)

    def settle(self, step: Step) -> None:
        """Give an existing directory its owner, mode and mtime."""
        path = step.path
        descriptor = self._access.directory(path)
        before = os.fstat(descriptor)
        self._remember(step, before, raw_attributes(descriptor) if step.action is not Action.PLACE else {})
        here, reason = set_metadata(self._disk, descriptor, before, step, before.st_atime_ns)
        if reason:
            self.problems[path] = reason
        self._access.opened_up.pop(path, None)
        self.identities[path] = identity_of(here)
        if here.st_ctime_ns != before.st_ctime_ns:
            self.changed_directories.add(path)

    def keep_mode(self, path: bytes, mode: int) -> None:
        """Give a directory a mode back."""
        self._disk.set_mode(self._root.directory(path), mode, path)
        self.changed_directories.add(path)

    def keep_times(self, path: bytes, atime_ns: int, mtime_ns: int) -> DiskIdentity:
        """Give a directory its mtime back that changes in it have moved (nanoseconds)."""
        descriptor = self._root.directory(path)
        if os.fstat(descriptor).st_mtime_ns != mtime_ns:
            self._disk.set_times(descriptor, atime_ns, mtime_ns, path)
            self.changed_directories.add(path)
        return identity_of(os.fstat(descriptor))

    def note_identity(self, path: bytes) -> None:
        """Note what the disk says of a path that was just placed; ApplyError where someone removed it."""
        here = self._root.lstat(path)
        if here is None:
            raise ApplyError(
                f"{shown(path)!a} vanished right after it was placed: someone else changes failover's tree; "
                "it is applied again"
            )
        self.identities[path] = identity_of(here)

    def undo(self) -> None:
        """Give back the metadata that was changed, the last one first; DiskError where the disk refuses.

        RACE: what somebody put in the place of what was touched, maybe a second name of a file outside the root, is
        left as it is.
        """
        for former in reversed(self._formers):
            path, found = former.path, former.found
            entry = Entry(
                path, found.kind, found.mode, found.uid, found.gid, "", "", found.identity.mtime_ns, 0, b"", b""
            )
            step = Step(Action.ADJUST, path, entry, found, found.uid, found.gid, former.attributes)
            self._root.forget(path)
            try:
                if found.kind is Kind.SYMLINK:
                    self._give_back_link(former, step)
                else:
                    self._give_back(former, step)
            except (FileNotFoundError, BeneathRootError):
                continue

    def _give_back_link(self, former: Former, step: Step) -> None:
        parent, name = self._root.directory(parent_of(former.path)), name_of(former.path)
        here = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (here.st_dev, here.st_ino) == former.file:
            set_link_metadata(self._disk, parent, name, step)

    def _give_back(self, former: Former, step: Step) -> None:
        descriptor = self._root.open_file(former.path)
        try:
            here = os.fstat(descriptor)
            if (here.st_dev, here.st_ino) == former.file:
                set_metadata(self._disk, descriptor, here, step, former.found.atime_ns)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the files that were kept open for the flush."""
        for _, descriptor in self.files:
            os.close(descriptor)
        self.files.clear()

    def _remember(self, step: Step, here: os.stat_result, attributes: Mapping[bytes, bytes | None]) -> None:
        """Note how it was, for `undo`; what was just placed goes back into the stage as it is."""
        if step.found is not None and step.action in (Action.ADJUST, Action.RECORD):
            readable = {name: value for name, value in attributes.items() if value is not None}
            found = step.found if step.found.identity.inode == here.st_ino else found_of(here)
            self._formers.append(Former(step.path, found, readable, (here.st_dev, here.st_ino)))

    def _adjust_file(self, step: Step, parent: int) -> tuple[os.stat_result, str]:
        path = step.path
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(name_of(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | flags, dir_fd=parent)
        except PermissionError as error:
            descriptor = self._open_up_file(path, parent, error)
        except OSError as error:
            raise DiskError("open", path, error) from error
        try:
            here = os.fstat(descriptor)
            _require_sole_file(here, path)
            self._remember(step, here, raw_attributes(descriptor))
            result = set_metadata(self._disk, descriptor, here, step, here.st_atime_ns)
        except BaseException:
            os.close(descriptor)
            raise
        if len(self.files) <= FLUSHED_ONE_BY_ONE:
            self.files.append((path, descriptor))
        else:
            self.needs_whole_flush = True
            os.close(descriptor)
        return result

    def _open_up_file(self, path: bytes, parent: int, refused: OSError) -> int:
        """Open a file that its owner, the agent's user, may not read."""
        descriptor = os.open(name_of(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            here = os.fstat(descriptor)
            _require_sole_file(here, path)
            if here.st_uid != os.geteuid():
                raise DiskError("open", path, refused)
            self._disk.set_mode_of_unreadable(descriptor, stat.S_IMODE(here.st_mode) | stat.S_IRUSR, path)
        finally:
            os.close(descriptor)
        try:
            return os.open(name_of(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            raise DiskError("open", path, error) from error


def _require_sole_file(here: os.stat_result, path: bytes) -> None:
    """RACE: what was surveyed may be another thing by now; a second name could lie outside the root."""
    if not stat.S_ISREG(here.st_mode) or here.st_nlink > 1:
        raise DiskError("open", path, OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
