"""Reads everything again, whatever the file system says of it, at a pace that leaves the disk to others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from syncer.capture.findings import KnownTree
from syncer.capture.pace import TokenBucket
from syncer.capture.read_ahead import Belongs, ReadAhead
from syncer.capture.reader import Reads
from syncer.errors import SyncerError
from syncer.model import Known

LONGEST_PAUSE = 0.5
"""Seconds slept at once, so that a stop is soon heard."""


class StoppedError(SyncerError):
    """Nobody waits any more for what was being read."""


class DoubtedTree:
    """A known tree of which no file is believed to be as it was without reading it."""

    def __init__(self, tree: KnownTree) -> None:
        self._tree = tree

    def children(self, directory: bytes) -> Mapping[bytes, Known]:
        """Return name → what is known, marked to be read again."""
        return {name: known._replace(racy=True) for name, known in self._tree.children(directory).items()}

    def get(self, path: bytes) -> Known | None:
        """Return what is known of one path, marked to be read again."""
        known = self._tree.get(path)
        return None if known is None else known._replace(racy=True)


class FreshReads(Reads):
    """Reads from the disk rather than from the kernel's memory of it, at most so many bytes a second."""

    def __init__(self, bytes_per_second: int, stopping: threading.Event) -> None:
        """Read at that rate, 0: as fast as it goes; StoppedError is raised once `stopping` is set."""
        self.bytes = 0
        self._bucket = TokenBucket(bytes_per_second) if bytes_per_second else None
        self._stopping = stopping
        # At a rate, a disk that others need is not to be given many things at a time.
        self._ahead = None if bytes_per_second else ReadAhead()

    def expect(self, descriptor: int, names: list[str], belongs: Belongs) -> None:
        """Have what comes next read from the disk meanwhile, where no rate is set."""
        if self._ahead is not None:
            self._ahead.expect(descriptor, names, belongs)

    def close(self, descriptor: int) -> None:  # type: ignore[override]
        """Close a descriptor."""
        if self._ahead is not None:
            self._ahead.forget(descriptor)
        super().close(descriptor)

    # Reads has static methods; its callers cannot tell them from bound ones.
    def open(  # type: ignore[override]
        self, name: str | Path, flags: int, *, dir_fd: int | None = None
    ) -> int:
        """Open a name, and have the kernel forget what it remembers of its content."""
        descriptor = super().open(name, flags, dir_fd=dir_fd)
        if flags & os.O_DIRECTORY:
            return descriptor
        if self._ahead is not None:
            self._ahead.begin(dir_fd, str(name))
        if self._ahead is None or not self._ahead.has_begun(descriptor):
            try:
                # Else a page that is still in memory would hide what has become of it on the disk.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            except OSError:
                # Some file systems do not know it: then what they give is what every reader gets.
                return descriptor
        return descriptor

    def read(self, descriptor: int, size: int) -> bytes:  # type: ignore[override]
        """Return up to `size` bytes, at the rate; raises StoppedError."""
        data = super().read(descriptor, size)
        self._spend(len(data))
        return data

    def read_into(self, descriptor: int, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` and return how many bytes came, at the rate; raises StoppedError."""
        count = super().read_into(descriptor, buffer)
        self._spend(count)
        return count

    def _spend(self, size: int) -> None:
        self.bytes += size
        wait = self._bucket.spend(size, time.monotonic()) if self._bucket is not None else 0.0
        while wait > 0 and not self._stopping.wait(min(wait, LONGEST_PAUSE)):
            wait -= LONGEST_PAUSE
        if self._stopping.is_set():
            raise StoppedError("the verification was ended before it was complete; run it again")
