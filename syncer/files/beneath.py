"""Resolves relative paths beneath an opened root, following no link and leaving it never."""

from __future__ import annotations

import errno
import os
from enum import Enum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from syncer.errors import BeneathRootError
from syncer.files.syscalls import DIRECTORY_FLAGS, open_directory_beneath
from syncer.model import is_beneath, name_of, parent_of, shown

KEPT_DESCRIPTORS = 64
"""Directories kept open: paths come ordered by directory, so few are in use at a time."""

_LEFT = frozenset((errno.ELOOP, errno.EXDEV, errno.ENOTDIR))
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Resolution(Enum):
    """How paths are resolved."""

    OPENAT2 = "openat2"
    WALK = "walk"
    """Component by component with O_NOFOLLOW: where the kernel is old or a seccomp filter forbids openat2."""


@cache
def best_resolution() -> Resolution:
    """Return the best way that this kernel lets us go; it cannot change while the process lives."""
    here = os.open("/", DIRECTORY_FLAGS)
    try:
        os.close(open_directory_beneath(here, b".", across_mounts=True))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG):
            raise
        return Resolution.WALK
    finally:
        os.close(here)
    return Resolution.OPENAT2


class Root:
    """An opened directory beneath which paths are resolved; use from one thread at a time.

    A path is bytes, relative, b"" is the root itself. The root's own path may lead through links: it
    comes from the local configuration.
    """

    def __init__(self, path: Path | int, *, resolution: Resolution | None = None, kept: int = KEPT_DESCRIPTORS) -> None:
        """Open `path`, or take over an opened directory descriptor; OSError where it is no directory."""
        if isinstance(path, int):
            self.descriptor = path
        else:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.resolution = resolution or best_resolution()
        self._kept = kept
        self._opened: dict[bytes, int] = {}
        self._other_mounts: set[bytes] = set()
        self._last_path = b""
        self._last = self.descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor; may be called again."""
        self.forget(b"")
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = self._last = -1

    def directory(self, path: bytes) -> int:
        """Return a readable descriptor of the directory at `path`, owned by this Root.

        It is valid until the next call of any method. Raises BeneathRootError where a link or a
        non-directory is on the way, OSError where nothing is there or permission lacks.
        """
        if path == self._last_path:
            return self._last
        if not path:
            return self.descriptor
        descriptor = self._opened.pop(path, -1)
        if descriptor < 0:
            descriptor = self._open(path)
            if len(self._opened) >= self._kept:
                os.close(self._opened.pop(next(iter(self._opened))))
        # Put last: the first in order is the one not used for longest.
        self._opened[path] = descriptor
        self._last_path, self._last = path, descriptor
        return descriptor

    def is_on_other_mount(self, path: bytes) -> bool:
        """Tell whether the directory at `path` lies on another mount than the root; opens it where needed."""
        self.directory(path)
        return path in self._other_mounts

    def open_file(self, path: bytes) -> int:
        """Open what is at `path` for reading and return a descriptor that the caller closes.

        Never blocks (a FIFO opens at once). Raises BeneathRootError where a link is at or before `path`,
        OSError where nothing is there or permission lacks.
        """
        directory = self.directory(parent_of(path))
        try:
            return os.open(name_of(path) or b".", _FILE_FLAGS, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _left(path, error) from error
            raise

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Return what is at `path` itself, or None where nothing is; raises as `directory` does."""
        if not path:
            return os.fstat(self.descriptor)
        try:
            return os.stat(name_of(path), dir_fd=self.directory(parent_of(path)), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def entries(self, path: bytes) -> list[tuple[bytes, bool]]:
        """Return (name, is a directory) of everything in the directory at `path`; raises as `directory`."""
        with os.scandir(self.directory(path)) as found:
            return [(os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in found]

    def forget(self, path: bytes) -> None:
        """Close kept descriptors at or below `path`: needed when a directory was renamed or removed."""
        for opened in [opened for opened in self._opened if is_beneath(opened, path)]:
            os.close(self._opened.pop(opened))
        self._other_mounts = {other for other in self._other_mounts if not is_beneath(other, path)}
        self._last_path, self._last = b"", self.descriptor

    def _open(self, path: bytes) -> int:
        opener = self._open_at_once if self.resolution is Resolution.OPENAT2 else self._walk
        try:
            return opener(path)
        except OSError as error:
            if error.errno in _LEFT:
                raise _left(path, error) from error
            raise

    def _open_at_once(self, path: bytes) -> int:
        try:
            return open_directory_beneath(self.descriptor, path, across_mounts=False)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        descriptor = open_directory_beneath(self.descriptor, path, across_mounts=True)
        self._other_mounts.add(path)
        return descriptor

    def _walk(self, path: bytes) -> int:
        names = path.split(b"/")
        if not {b"", b".", b".."}.isdisjoint(names):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        current = os.dup(self.descriptor)
        try:
            for name in names:
                following = os.open(name, DIRECTORY_FLAGS, dir_fd=current)
                os.close(current)
                current = following
            # Bind mounts of the same file system are not seen this way; renames into them fail with EXDEV.
            if os.fstat(current).st_dev != os.fstat(self.descriptor).st_dev:
                self._other_mounts.add(path)
        except OSError:
            os.close(current)
            raise
        return current


def _left(path: bytes, error: OSError) -> BeneathRootError:
    return BeneathRootError(
        f"{shown(path)!a} leads through a link or a file ({os.strerror(error.errno or 0)}): "
        "remove what stands in its way, or synchronize fully with `syncer snapshot`"
    )
