"""Copies a tree as it stands at one moment: bytes, links, owners, modes, attributes and times."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from syncer.capture.ignore import STAGING_NAME
from syncer.drill.place import remove_tree
from syncer.errors import SyncerError

ATTEMPTS = 3
"""How often a tree is copied that somebody changes meanwhile."""
AT_ONCE = 1 << 20
"""Bytes that are read at once; of a file that is larger the kernel copies what is left."""
EVERY = 200
"""Paths between two looks at the disk, at whether to stop, and two words of progress."""
ROOM_LEFT = 64 << 20
"""Bytes that are left free: node.db is on the same disk."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Tell = Callable[[int, int], None]
"""Takes how many paths and how many bytes are done."""


class DrillError(SyncerError):
    """A copy for a drill cannot be made."""


class DrillEndedError(SyncerError):
    """Whoever asked for the drill does not wait for it any more."""


class Copied(NamedTuple):
    """What was copied."""

    files: int
    bytes: int
    skipped: tuple[str, ...]
    """Paths of what is neither file, link nor directory, and of what could not be read."""
    is_one_state: bool
    """Nothing changed there while it was copied."""


def copy_tree(source: Path, target: Path, avoid: Path, tell: Tell, stopping: threading.Event) -> Copied:
    """Copy what stands at `source` into `target`, which is made; syncer's staging and `avoid` are left out. Blocking.

    Where something changes meanwhile it is copied anew, ATTEMPTS times at most. Raises DrillError where the disk has
    no room or cannot be read, DrillEndedError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        copy = _Copy(source, target, avoid, tell, stopping)
        try:
            copied = copy.run()
        except OSError as error:
            raise DrillError(f"{source} cannot be copied for the drill ({error.strerror or error})") from error
        if copied.is_one_state or attempt == ATTEMPTS:
            return copied
        remove_tree(target)
    raise AssertionError("the last attempt returns")


class _Copy:
    """One attempt."""

    def __init__(self, source: Path, target: Path, avoid: Path, tell: Tell, stopping: threading.Event) -> None:
        self._source, self._target = source, target
        found = os.stat(avoid)
        self._avoid = found.st_dev, found.st_ino
        self._tell = tell
        self._stopping = stopping
        self._names: dict[tuple[int, int], bytes] = {}
        """Files with several names: the first of them."""
        self._paths = self._files = self._bytes = 0
        self._skipped: list[str] = []
        self._seen = blake3()

    def run(self) -> Copied:
        source = os.open(self._source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._target.mkdir(mode=0o700)
            target = os.open(self._target, _DIRECTORY)
            try:
                self._directory(source, target, b"")
            finally:
                os.close(target)
            # Whatever changed before a file was copied is in the copy; whatever changed since shows here.
            after = blake3()
            for path, here in self._walk(source, b""):
                after.update(_identity(path, here))
            is_one_state = after.digest() == self._seen.digest()
        finally:
            os.close(source)
        return Copied(self._files, self._bytes, tuple(self._skipped), is_one_state)

    def _directory(self, source: int, target: int, path: bytes) -> None:
        for name, here in self._entries(source):
            below = path + b"/" + name if path else name
            self._seen.update(_identity(below, here))
            self._count()
            if stat.S_ISDIR(here.st_mode):
                self._below(source, target, name, below)
            elif stat.S_ISLNK(here.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                _set_link(target, name, here)
            elif stat.S_ISREG(here.st_mode):
                self._file(source, target, name, below, here)
            else:
                self._skipped.append(os.fsdecode(below))
        _set(source, target, os.fstat(source))

    def _below(self, source: int, target: int, name: bytes, path: bytes) -> None:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=source)
        except OSError:
            # Gone, or another kind by now: the second look tells. Unreadable: only where the agent is not root.
            self._skipped.append(os.fsdecode(path))
            return
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self._directory(inner, made, path)
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _file(self, source: int, target: int, name: bytes, path: bytes, here: os.stat_result) -> None:
        first = self._names.get((here.st_dev, here.st_ino)) if here.st_nlink > 1 else None
        if first is not None:
            os.link(os.path.join(os.fsencode(self._target), first), name, dst_dir_fd=target, follow_symlinks=False)
            self._files += 1
            return
        try:
            reading = os.open(name, _READ, dir_fd=source)
        except OSError:
            self._skipped.append(os.fsdecode(path))
            return
        try:
            writing = os.open(name, _WRITE, 0o600, dir_fd=target)
            try:
                self._bytes += _copy_content(reading, writing)
                _set(reading, writing, os.fstat(reading))
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        self._files += 1
        if here.st_nlink > 1:
            self._names[here.st_dev, here.st_ino] = path

    def _entries(self, directory: int) -> Iterator[tuple[bytes, os.stat_result]]:
        for name in sorted(map(os.fsencode, os.listdir(directory))):
            if name == STAGING_NAME:
                continue
            try:
                here = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if (here.st_dev, here.st_ino) != self._avoid:
                yield name, here

    def _walk(self, directory: int, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        for name, here in self._entries(directory):
            below = path + b"/" + name if path else name
            yield below, here
            if not stat.S_ISDIR(here.st_mode):
                continue
            try:
                inner = os.open(name, _DIRECTORY, dir_fd=directory)
            except OSError:
                continue
            try:
                yield from self._walk(inner, below)
            finally:
                os.close(inner)

    def _count(self) -> None:
        self._paths += 1
        if self._paths % EVERY:
            return
        if self._stopping.is_set():
            raise DrillEndedError("the drill was given up: all of it was removed")
        room = shutil.disk_usage(self._target).free
        if room < ROOM_LEFT:
            raise DrillError(
                f"{self._target.parent} has no room for a copy of {self._source}: {room >> 20} MiB are left, and "
                f"{ROOM_LEFT >> 20} MiB must stay free; a drill needs twice the size of the largest domain"
            )
        self._tell(self._paths, self._bytes)


def _identity(path: bytes, here: os.stat_result) -> bytes:
    # A directory's own times move when syncer tends its staging area; what is in it is looked at by itself.
    times = 0 if stat.S_ISDIR(here.st_mode) else here.st_ctime_ns
    return b"%d %b %d %d %d %d\n" % (len(path), path, here.st_ino, here.st_mode, times, here.st_size)


def _copy_content(reading: int, writing: int) -> int:
    data = os.read(reading, AT_ONCE)
    size = len(data)
    _write_all(writing, data)
    if size < AT_ONCE:
        return size
    while True:
        try:
            done = os.copy_file_range(reading, writing, 1 << 30)
        except OSError:
            # Between these file systems the kernel cannot: then it goes through this process.
            done = _write_all(writing, os.read(reading, AT_ONCE))
        if not done:
            return size
        size += done


def _write_all(writing: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(writing, view) :]
    return len(data)


def _set(source: int, target: int, here: os.stat_result) -> None:
    """Give a copied file or directory what it has beside its bytes."""
    if os.geteuid() == 0:
        os.fchown(target, here.st_uid, here.st_gid)
    mode = stat.S_IMODE(here.st_mode)
    # Not root: nobody but this process looks at the copy, and it must be able to.
    os.fchmod(target, mode if os.geteuid() == 0 else mode | (0o700 if stat.S_ISDIR(here.st_mode) else 0o600))
    if os.geteuid() == 0:
        for name in os.listxattr(source):
            if not name.startswith("trusted.overlay."):
                os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(here.st_atime_ns, here.st_mtime_ns))


def _set_link(directory: int, name: bytes, here: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(name, here.st_uid, here.st_gid, dir_fd=directory, follow_symlinks=False)
    os.utime(name, ns=(here.st_atime_ns, here.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
