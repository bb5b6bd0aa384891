"""Where the contents that production sends come from, as the one who sends them asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

MESSAGE_LIMIT = 512 * 1024
"""Bytes of content in one message; keepalive needs small ones on slow links, throughput gains no more from larger."""


class ContentChangedError(Exception):
    """A content is no longer what the index says; the transaction must be built anew from a newer state."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


class ContentSource(Protocol):
    """Where contents come from: memory, or the disk of production."""

    def cached(self, digest: bytes) -> bytes | None:
        """Return a content that is still in memory."""

    def refresh(self) -> None:
        """Look for the root anew: it may have been replaced since the last transaction."""

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        """Yield the content at `path` in pieces; ContentChangedError where it is not `digest` any more."""
