"""Where contents come from on production: the cache of what was just hashed, else the disk, verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import blake3

from syncer.capture.contents import ContentCache
from syncer.errors import ApplyError
from syncer.files import Root
from syncer.replicate.content import MESSAGE_LIMIT, ContentChangedError


class DiskSource:
    """Reads the contents of one domain beneath its root; used by one thread at a time."""

    def __init__(self, root: Path, cache: ContentCache) -> None:
        """Read below `root`; it may be missing now and back later."""
        self._path = root
        self._cache = cache
        self._root: Root | None = None

    def refresh(self) -> None:
        """Open the root anew at the next read: it may have been replaced since the last transaction."""
        if self._root is not None:
            self._root.close()
            self._root = None

    def cached(self, digest: bytes) -> bytes | None:
        """Return a content that is still in memory."""
        return self._cache.get(digest)

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        """Yield the content at `path` in pieces of at most MESSAGE_LIMIT bytes.

        The last piece is held back until the digest is known to be right. Raises ContentChangedError where
        the path is gone, unreadable, or holds other bytes.
        """
        try:
            if self._root is None:
                self._root = Root(self._path)
            descriptor = self._root.open_file(path)
        except (OSError, ApplyError) as error:
            raise ContentChangedError(path) from error
        try:
            yield from _verified(descriptor, path, digest, size)
        except OSError as error:
            raise ContentChangedError(path) from error
        finally:
            os.close(descriptor)


def _verified(descriptor: int, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
    if size <= MESSAGE_LIMIT:
        data = os.read(descriptor, size + 1)
        if len(data) != size or blake3.blake3(data).digest() != digest:
            raise ContentChangedError(path)
        yield data
        return
    hasher = blake3.blake3()
    left = size
    while True:
        piece = os.read(descriptor, min(MESSAGE_LIMIT, left) or 1)
        hasher.update(piece)
        left -= len(piece)
        if left < 0 or (left > 0 and not piece):
            raise ContentChangedError(path)
        if left == 0:
            if hasher.digest() != digest or os.read(descriptor, 1):
                raise ContentChangedError(path)
            yield piece
            return
        yield piece
