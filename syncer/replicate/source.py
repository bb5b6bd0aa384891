"""Where contents come from on production: the cache of what was just hashed, else the disk, verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import blake3

from syncer.capture.contents import ContentCache
from syncer.errors import BeneathRootError
from syncer.files import Root
from syncer.replicate.outgoing import MESSAGE_LIMIT, ContentChangedError


class DiskSource:
    """Reads the contents of one domain beneath its root."""

    def __init__(self, root: Path, cache: ContentCache) -> None:
        """Read below `root`; it may be missing now and back later."""
        self._root = root
        self._cache = cache

    def cached(self, digest: bytes) -> bytes | None:
        """Return a content that is still in memory."""
        return self._cache.get(digest)

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        """Yield the content at `path` in pieces of at most MESSAGE_LIMIT bytes.

        The last piece is held back until the digest is known to be right. Raises ContentChangedError where
        the path is gone, unreadable, or holds other bytes.
        """
        try:
            with Root(self._root) as root:
                descriptor = root.open_file(path)
        except (OSError, BeneathRootError) as error:
            raise ContentChangedError(path) from error
        try:
            yield from _verified(descriptor, path, digest, size)
        except OSError as error:
            raise ContentChangedError(path) from error
        finally:
            os.close(descriptor)


def _verified(descriptor: int, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
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
