"""Contents as they go home: restored, or rendered by the inverse rules, as they are sent."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.index.snapshot import IndexSnapshot
from syncer.model import Entry
from syncer.replicate.content import MESSAGE_LIMIT, ContentChangedError, ContentSource
from syncer.replicate.home_ways import HomeWays, Restored, Rewritten, Way
from syncer.substitution.rewrite import Renderer


class HomeSource:
    """The contents of one domain, read from this node's disk."""

    def __init__(self, ways: HomeWays, source: ContentSource, snapshot: IndexSnapshot) -> None:
        """Take what `source` has, of which `snapshot` tells the digests here."""
        self._ways = ways
        self._source = source
        self._snapshot = snapshot

    def refresh(self) -> None:
        """Look for the root anew."""
        self._source.refresh()

    def cached(self, digest: bytes) -> bytes | None:
        """Return a content that is still in memory."""
        return self._source.cached(digest)

    def read(self, path: bytes, digest: bytes, size: int) -> Iterator[bytes]:
        """Yield the content at `path` as it goes home, in pieces; ContentChangedError as the source raises it."""
        here = self._snapshot.known_at(path)
        if here is None:
            raise ContentChangedError(path)
        if here.entry.digest == digest:
            yield from self._source.read(path, digest, size)
            return
        row = self._ways.applied(path)
        way = self._ways.way_of(here.entry, row.entry if row else None, self._snapshot, self._source)
        sent = 0
        ready = bytearray()
        for piece in self._pieces(way, here.entry):
            ready += piece
            # Something is held back, as the source does: until the digest is known to be right.
            while len(ready) > MESSAGE_LIMIT:
                yield bytes(ready[:MESSAGE_LIMIT])
                del ready[:MESSAGE_LIMIT]
                sent += MESSAGE_LIMIT
        if sent + len(ready) != size:
            raise ContentChangedError(path)
        for start in range(0, len(ready), MESSAGE_LIMIT):
            yield bytes(ready[start : start + MESSAGE_LIMIT])

    def _pieces(self, way: Way, entry: Entry) -> Iterator[bytes]:
        stands = self._source.read(entry.path, entry.digest, entry.size)
        if isinstance(way, Restored):
            yield from self._ways.pieces(way, entry.path, stands)
        elif isinstance(way, Rewritten):
            renderer = Renderer(way.mapping)
            for piece in stands:
                yield renderer.feed(piece)
            yield renderer.finish()[0]
        else:
            raise ContentChangedError(entry.path)
