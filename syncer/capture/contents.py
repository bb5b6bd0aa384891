"""Small contents that were just read for hashing, kept so that sending them needs no second read."""

from __future__ import annotations

import threading
from collections import OrderedDict

LARGEST_CONTENT = 64 * 1024
"""Bytes; a larger content is read again in pieces when it is sent."""


class ContentCache:
    """A bounded memory of contents by digest, the least recently used go first; thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._contents: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep `data`, whose blake3 is `digest`, unless it is larger than LARGEST_CONTENT."""
        if len(data) > LARGEST_CONTENT:
            return
        with self._lock:
            if digest in self._contents:
                self._contents.move_to_end(digest)
                return
            self._contents[digest] = data
            self._size += len(data)
            while self._size > self._limit:
                _, dropped = self._contents.popitem(last=False)
                self._size -= len(dropped)

    def get(self, digest: bytes) -> bytes | None:
        """Return the content, or None where it was not kept."""
        with self._lock:
            data = self._contents.get(digest)
            if data is not None:
                self._contents.move_to_end(digest)
            return data
