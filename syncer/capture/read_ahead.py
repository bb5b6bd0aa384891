"""Has the kernel read the next files of a directory while this one is looked at: a disk does many things at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from syncer.capture.reader import FILE_FLAGS

FILES_AHEAD = 32
BYTES_AHEAD = 256 * 1024
"""Of each of them; what follows in a large file the kernel reads ahead by itself."""

Belongs = Callable[[str, os.stat_result], bool]
"""Tells of a name in the directory whether it is going to be read. What is not may not even be opened: closing it
would end the locks that this process holds on a store of its own."""

Ahead = tuple[int, int]
"""Device and inode of a file of which the kernel has begun to read."""


class _Listed(NamedTuple):
    names: list[str]
    belongs: Belongs


class ReadAhead:
    """What is about to be read, of each opened directory; on one thread."""

    def __init__(self) -> None:
        self._listed: dict[int, _Listed] = {}
        self._next: dict[int, int] = {}
        self._begun: set[Ahead] = set()

    def expect(self, directory: int, names: list[str], belongs: Belongs) -> None:
        """Take it that these names are read next in an opened directory, in this order."""
        self._listed[directory], self._next[directory] = _Listed(names, belongs), 0

    def forget(self, directory: int) -> None:
        """Expect nothing any more in what is being closed: another one gets its number."""
        self._next.pop(directory, None)
        if self._listed.pop(directory, None) is not None and not self._listed:
            # What was gone, or another file, by the time that it was its turn.
            self._begun.clear()

    def begin(self, directory: int | None, name: str) -> None:
        """Have the kernel forget what it remembers of the files after `name`, and read them from the disk."""
        listed = self._listed.get(directory) if directory is not None else None
        if listed is None or directory is None:
            return
        try:
            here = listed.names.index(name, max(self._next[directory] - FILES_AHEAD - 1, 0))
        except ValueError:
            return
        until = min(here + 1 + FILES_AHEAD, len(listed.names))
        for number in range(max(self._next[directory], here + 1), until):
            self._begin(directory, listed.names[number], listed.belongs)
        self._next[directory] = max(self._next[directory], until)

    def has_begun(self, descriptor: int) -> bool:
        """Tell, once, whether what the kernel remembers of an opened file was read from the disk for it just now."""
        if not self._begun:
            return False
        status = os.fstat(descriptor)
        place = status.st_dev, status.st_ino
        if place not in self._begun:
            return False
        self._begun.remove(place)
        return True

    def _begin(self, directory: int, name: str, belongs: Belongs) -> None:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or not status.st_size or not belongs(name, status):
                return
            descriptor = os.open(name, FILE_FLAGS, dir_fd=directory)
        except OSError:
            # Whoever reads it is told why it cannot be.
            return
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(descriptor, 0, min(status.st_size, BYTES_AHEAD), os.POSIX_FADV_WILLNEED)
            opened = os.fstat(descriptor)
            self._begun.add((opened.st_dev, opened.st_ino))
        except OSError:
            # A file system that does not know it: it is read when it is its turn.
            return
        finally:
            os.close(descriptor)
