"""Finds the private directories that a domain already has, beside its root and on every mount below it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from syncer.apply.area import DIRECTORY_FLAGS, NAME, Area, area_name
from syncer.apply.stage import mount_of
from syncer.files import Disk, DiskError

_NOT_THERE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP))


class Areas:
    """The areas of one domain; those of the last call are closed by the next, so that mounts can go."""

    def __init__(self, root: Path, domain: str, node_id: str, disk: Disk) -> None:
        """Nothing is opened yet."""
        self._root = root
        self._disk = disk
        self._own = area_name(domain, node_id)
        self._opened: list[Area] = []

    def current(self) -> list[Area]:
        """Return the areas that are there now; raises DiskError where one cannot be opened."""
        self.close()
        real = os.path.realpath(os.fsencode(self._root))
        for place in (os.path.dirname(real), real):
            if not self._opened and self._is_of_root(place, real):
                self._open(place, b"")
        for mount in _mounts_below(real):
            self._open(mount, mount[len(real.rstrip(b"/")) + 1 :])
        return self._opened

    def close(self) -> None:
        """Close the areas of the last call."""
        for area in self._opened:
            area.close()
        self._opened = []

    def _is_of_root(self, place: bytes, real: bytes) -> bool:
        try:
            descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (place, real)]
        except OSError as error:
            raise DiskError("open_stage", place, error) from error
        try:
            return mount_of(descriptors[0]) == mount_of(descriptors[1])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _open(self, place: bytes, top: bytes) -> None:
        try:
            shared = os.open(os.path.join(place, NAME), DIRECTORY_FLAGS)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return
            raise DiskError("open_stage", place, error) from error
        try:
            descriptor = os.open(self._own, DIRECTORY_FLAGS, dir_fd=shared)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return
            raise DiskError("open_stage", place, error) from error
        finally:
            os.close(shared)
        # Somebody else's directory of this name is none of ours.
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            return
        self._opened.append(Area(descriptor, top, self._disk))


def _mounts_below(real: bytes) -> list[bytes]:
    """Return the mount points below a directory (proc_pid_mountinfo(5)); blanks in them are octal escapes."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            points = [line.split(b" ")[4] for line in file]
    except FileNotFoundError:
        return []
    decoded = {point.decode("unicode_escape").encode("latin-1") if b"\\" in point else point for point in points}
    prefix = real.rstrip(b"/") + b"/"
    return sorted(point for point in decoded if point.startswith(prefix))
