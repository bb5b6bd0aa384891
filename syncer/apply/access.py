"""Lets an agent that is not root work in directories whose owner (itself) may not write or read there.

Root needs none of this. What is opened up here gets its mode back at the end, or when the work is given up.
"""

from __future__ import annotations

import errno
import os
import stat

from syncer.errors import BeneathRootError
from syncer.files import Disk, DiskError, Root
from syncer.model import name_of, parent_of

_FULL_ACCESS = 0o700
_PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Access:
    """Opens directories beneath a root, and remembers the modes it had to change."""

    def __init__(self, root: Root, disk: Disk) -> None:
        """Open below `root`; modes are changed through `disk`."""
        self._root = root
        self._disk = disk
        self._user = os.geteuid()
        self.opened_up: dict[bytes, int] = {}
        """Path → mode before."""

    def directory(self, path: bytes) -> int:
        """Return a descriptor as Root.directory does, also where the owner has no right to read."""
        try:
            return self._root.directory(path)
        except PermissionError:
            if self._user == 0:
                raise
        for ancestor in _from_the_top(path):
            self._open_up(ancestor)
        return self._root.directory(path)

    def make_writable(self, path: bytes) -> None:
        """Let the agent change names in the directory at `path`, where only its mode forbids that."""
        if self._user != 0:
            self._open_up(path)

    def restore(self) -> None:
        """Give every directory its mode back, deepest first; what is gone meanwhile needs none."""
        for path in sorted(self.opened_up, reverse=True):
            try:
                self.restore_one(path)
            except (FileNotFoundError, BeneathRootError):
                continue

    def restore_one(self, path: bytes) -> None:
        """Give one directory its mode back, where it was changed; raises as Root.directory does."""
        mode = self.opened_up.pop(path, None)
        if mode is not None:
            self._disk.set_mode(self._root.directory(path), mode, path)

    def was_left_open(self, mode: int, wanted: int) -> bool:
        """Tell whether `mode` is what `_open_up` makes of `wanted`: an earlier attempt died then."""
        return self._user != 0 and mode == wanted | _FULL_ACCESS

    def _open_up(self, path: bytes) -> None:
        try:
            parent = self._root.directory(parent_of(path))
            descriptor = os.open(name_of(path) or b".", _PATH_FLAGS, dir_fd=parent)
        except OSError as error:
            # Someone else's directory: the operation that needs it says so.
            if error.errno in (errno.EACCES, errno.ENOENT):
                return
            raise
        try:
            here = os.fstat(descriptor)
            mode = stat.S_IMODE(here.st_mode)
            if here.st_uid == self._user and stat.S_ISDIR(here.st_mode) and mode & _FULL_ACCESS != _FULL_ACCESS:
                # CRASH: the mode comes back from the base when the same changes are applied again.
                self._disk.set_mode_of_unreadable(descriptor, mode | _FULL_ACCESS, path)
                self.opened_up.setdefault(path, mode)
        except DiskError as error:
            if error.number not in (errno.EPERM, errno.EACCES, errno.EROFS):
                raise
        finally:
            os.close(descriptor)


def _from_the_top(path: bytes) -> list[bytes]:
    """Return the root and every directory down to `path`."""
    ancestors = [path]
    while path:
        path = parent_of(path)
        ancestors.append(path)
    return ancestors[::-1]
