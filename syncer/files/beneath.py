"""Paths resolved beneath a root: never through a symlink, never out of it, whoever races us."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections import OrderedDict
from pathlib import Path
from types import TracebackType

from syncer.errors import BeneathRootError
from syncer.model import name_of, parent_of, shown

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LEFT_THE_ROOT = {errno.ELOOP, errno.EXDEV}
DIRECTORIES_KEPT_OPEN = 256

_libc = ctypes.CDLL(None, use_errno=True)


def open_with_openat2(directory: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` beneath an open directory with openat2(2); OSError as from open(2), ENOSYS where missing."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, _RESOLVE)
    while True:
        found = int(_libc.syscall(_OPENAT2, directory, ctypes.c_char_p(path or b"."), how, len(how)))
        if found >= 0:
            return found
        number = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel could not prove that we stayed beneath.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)


def open_by_walking(directory: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` beneath an open directory component by component, for kernels without openat2(2)."""
    *parents, last = path.split(b"/") if path else [b"."]
    current = os.dup(directory)
    try:
        for name in parents:
            following = os.open(name, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = following
        return os.open(last, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=current)
    finally:
        os.close(current)


def _choose() -> bool:
    try:
        descriptor = os.open("/", _DIRECTORY)
        try:
            os.close(open_with_openat2(descriptor, b"", _DIRECTORY))
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return False
        raise
    return True


HAS_OPENAT2 = _choose()


class Root:
    """An open root directory, with the directories below it that are in use kept open."""

    def __init__(self, path: Path | bytes, *, openat2: bool = HAS_OPENAT2) -> None:
        """Open `path`, which may itself be reached through symlinks: the operator chose it. Raises OSError."""
        self.path = os.fsencode(path)
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open = open_with_openat2 if openat2 else open_by_walking
        self._directories: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor."""
        self.forget()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def forget(self) -> None:
        """Close the directories kept open: they may have been renamed or removed."""
        while self._directories:
            os.close(self._directories.popitem()[1])

    def directory(self, path: bytes) -> int:
        """Return a descriptor of the directory at `path`; it stays this object's. Raises as `open`."""
        if not path:
            return self.descriptor
        found = self._directories.get(path)
        if found is not None:
            self._directories.move_to_end(path)
            return found
        found = self.open(path, _DIRECTORY)
        self._directories[path] = found
        if len(self._directories) > DIRECTORIES_KEPT_OPEN:
            os.close(self._directories.popitem(last=False)[1])
        return found

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """Open `path`; BeneathRootError where the way leads through a symlink or outside, else OSError."""
        try:
            return self._open(self.descriptor, path, flags, mode)
        except OSError as error:
            if error.errno in _LEFT_THE_ROOT:
                raise BeneathRootError(
                    f"{shown(path)} leads through a symlink or out of {shown(self.path)}: nothing was touched there"
                ) from error
            raise

    def open_file(self, path: bytes) -> int:
        """Open a file for reading, without waiting where it is a FIFO and without touching its atime if allowed."""
        return self.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Return what stands at `path`, or None; NotADirectoryError where a parent is none."""
        if not path:
            return os.fstat(self.descriptor)
        try:
            return os.stat(name_of(path), dir_fd=self.directory(parent_of(path)), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read_link(self, path: bytes) -> bytes:
        """Return where the symlink at `path` points."""
        return os.fsencode(os.readlink(name_of(path), dir_fd=self.directory(parent_of(path))))

    def names(self, path: bytes) -> list[bytes]:
        """Return the names in the directory at `path`."""
        return [os.fsencode(name) for name in os.listdir(self.directory(path))]
