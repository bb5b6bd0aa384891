"""Brings contents into the staging area: from the peer, verified piece by piece, or from what is here already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import blake3

from syncer.apply.values import BaseReader
from syncer.errors import ApplyError, BeneathRootError, PeerProtocolError, Reason
from syncer.files import Disk, Root
from syncer.model import Entry, shown

PIECE = 1024 * 1024
SMALL = 1024 * 1024
"""Bytes: a local content up to this size is verified in memory and written like one from the peer."""


class Writing:
    """A content that arrives in pieces."""

    def __init__(self, digest: bytes, size: int, descriptor: int) -> None:
        """Expect `size` bytes with `digest` in an open staged file."""
        self.digest = digest
        self.descriptor = descriptor
        self.offset = 0
        self._size = size
        self._hasher = blake3.blake3()

    def add(self, disk: Disk, data: bytes, offset: int) -> None:
        """Append a piece; PeerProtocolError where it does not continue the last one."""
        if offset != self.offset or offset + len(data) > self._size:
            raise PeerProtocolError("the peer sent a piece of a content out of order or beyond its size")
        self._hasher.update(data)
        disk.write(self.descriptor, data)
        self.offset += len(data)

    def verify(self) -> None:
        """Raise ApplyError(CONTENT_MISMATCH) unless everything is there and is what it claims to be."""
        if self.offset != self._size or self._hasher.digest() != self.digest:
            raise mismatch(self.digest)


def mismatch(digest: bytes) -> ApplyError:
    """Return the error of a content that is not what it was sent as."""
    return ApplyError(
        f"a content arrived damaged (digest {digest.hex()[:16]}…): nothing was changed, it is sent again",
        Reason.CONTENT_MISMATCH,
    )


def verified(digest: bytes, data: bytes, size: int) -> None:
    """Raise ApplyError(CONTENT_MISMATCH) unless `data` has that size and digest."""
    if len(data) != size or blake3.blake3(data).digest() != digest:
        raise mismatch(digest)


class LocalContents:
    """Finds a content below the root, by what was applied there, and reads it to be sure."""

    def __init__(self, root: Root, base: BaseReader) -> None:
        """Look below `root` where `base` says that a content was applied."""
        self._root = root
        self._base = base

    def find(self, entry: Entry) -> tuple[bytes, int] | None:
        """Return a path that holds the entry's content at this moment, and its open descriptor; else None."""
        for path in self._base.paths_with_digest(entry.digest):
            descriptor = self._open(path)
            if descriptor is None:
                continue
            if self._holds(descriptor, entry):
                return path, descriptor
            os.close(descriptor)
        return None

    def _open(self, path: bytes) -> int | None:
        try:
            return self._root.open_file(path)
        except (OSError, BeneathRootError):
            # The base is a memory; where the disk disagrees, the peer sends the content.
            return None

    @staticmethod
    def _holds(descriptor: int, entry: Entry) -> bool:
        if os.fstat(descriptor).st_size != entry.size:
            return False
        hasher = blake3.blake3()
        for piece in pieces(descriptor):
            hasher.update(piece)
        return hasher.digest() == entry.digest


def pieces(descriptor: int) -> Iterator[bytes]:
    """Yield an open file from its start, in pieces."""
    offset = 0
    while piece := os.pread(descriptor, PIECE, offset):
        offset += len(piece)
        yield piece


def explained(error: OSError, doing: str) -> ApplyError:
    """Return what an OSError means for a transaction."""
    import errno

    where = error.filename if isinstance(error.filename, bytes) else os.fsencode(str(error.filename or ""))
    what = f"{doing} failed on failover: {error.strerror}" + (f" ({shown(where)})" if where else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ApplyError(f"{what}; free space or raise the quota, it is tried again by itself", Reason.DISK_FULL)
    return ApplyError(f"{what}; nothing of the change is lost, it is tried again", Reason.IO)


Discard = Callable[[], None]
