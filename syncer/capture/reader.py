"""Reads and hashes a file so that what is hashed is one state of it, never halves of two."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from syncer.capture.contents import LARGEST_CONTENT, ContentCache
from syncer.files import Attributes, Names, read_attributes, read_attributes_at

PIECE_BYTES = 1024 * 1024
_PAUSES = (0.0, 0.001, 0.005)
"""Seconds before each attempt: most writers are done within these."""

# O_NONBLOCK: where a FIFO took the file's place meanwhile, opening it must not wait for a writer.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UnstableError(Exception):
    """The file changed under each attempt to read it."""


class Reads:
    """The system calls that only read; a test replaces some of them to make faults.

    Names are str as os.fsdecode gives them, each relative to an open directory.
    """

    @staticmethod
    def open(name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        """Open a name in an opened directory, or the root by its path."""
        return os.open(name, flags, dir_fd=dir_fd)

    @staticmethod
    def close(descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    @staticmethod
    def status(descriptor: int) -> os.stat_result:
        """Return what fstat says."""
        return os.fstat(descriptor)

    # Not wrapped, as it is called for each path of each scan; always with follow_symlinks=False.
    lstat = staticmethod(os.stat)

    @staticmethod
    def names(descriptor: int) -> list[str]:
        """Return the names in an opened directory."""
        return os.listdir(descriptor)

    def expect(self, descriptor: int, names: list[str], belongs: Callable[[str, os.stat_result], bool]) -> None:
        """Take it that of these names in an opened directory those are read next that belong to the scope."""

    @staticmethod
    def read_link(name: str, *, dir_fd: int) -> str:
        """Return where a symlink points."""
        return os.readlink(name, dir_fd=dir_fd)

    @staticmethod
    def attributes(descriptor: int, names: Names) -> Attributes:
        """Return the extended attributes of what is opened."""
        return read_attributes(descriptor, names)

    @staticmethod
    def attributes_of_link(name: str, names: Names, *, dir_fd: int) -> Attributes:
        """Return the extended attributes of a symlink itself."""
        return read_attributes_at(dir_fd, name, names)

    @staticmethod
    def read(descriptor: int, size: int) -> bytes:
        """Return up to `size` bytes."""
        return os.read(descriptor, size)

    @staticmethod
    def read_into(descriptor: int, buffer: memoryview) -> int:
        """Fill `buffer` and return how many bytes came."""
        return os.readv(descriptor, [buffer])


class Reading(NamedTuple):
    """One state of a file."""

    status: os.stat_result
    digest: bytes
    read_at: int
    """Wall clock (ns) before the first byte was read."""
    attributes: Attributes


def read_stable(
    directory: int,
    name: str,
    status: os.stat_result,
    contents: ContentCache | None,
    reads: Reads,
    names: Names,
) -> Reading:
    """Read and hash the regular file `name`, whose lstat was `status`; small contents go to `contents`.

    Memory stays below PIECE_BYTES however large the file is. Raises UnstableError where it never stood
    still, and OSError.
    """
    for pause in _PAUSES:
        if pause:
            time.sleep(pause)
            status = reads.lstat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                break
        reading = _attempt(directory, name, status, contents, reads, names)
        if reading is not None:
            return reading
    raise UnstableError("it changes faster than it can be read")


def _attempt(
    directory: int,
    name: str,
    before: os.stat_result,
    contents: ContentCache | None,
    reads: Reads,
    names: Names,
) -> Reading | None:
    """Return one reading, or None where the file is not the same before and after."""
    size = before.st_size
    now = time.time_ns()
    descriptor = reads.open(name, FILE_FLAGS, dir_fd=directory)
    try:
        if size <= LARGEST_CONTENT:
            # One byte more than there should be, so that growth shows.
            data = reads.read(descriptor, size + 1)
            read = len(data)
            digest = blake3(data).digest()
        else:
            data = None
            read, digest = _hash_in_pieces(descriptor, size, reads)
        # Before the last look: a change of them moves the ctime.
        attributes = reads.attributes(descriptor, names)
        after = reads.status(descriptor)
    finally:
        reads.close(descriptor)
    if read != size or not _same(before, after):
        return None
    if data is not None and contents is not None:
        contents.put(digest, data)
    return Reading(after, digest, now, attributes)


def _hash_in_pieces(descriptor: int, size: int, reads: Reads) -> tuple[int, bytes]:
    buffer = memoryview(bytearray(PIECE_BYTES))
    hasher = blake3()
    read = 0
    # A file that grows as fast as it is read would never end.
    while read <= size:
        count = reads.read_into(descriptor, buffer)
        if not count:
            break
        hasher.update(buffer[:count])
        read += count
    return read, hasher.digest()


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_size == after.st_size
        and before.st_ino == after.st_ino
        and before.st_dev == after.st_dev
        and before.st_mode == after.st_mode
    )
