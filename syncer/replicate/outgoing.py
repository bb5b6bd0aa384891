"""One transaction of production as messages: one state of the index, in parts, and the contents wanted of it.

Blocking; called on a worker thread, one call at a time. Memory stays bounded however large the tree is:
entries are read from the index as they are sent, contents from the disk in pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from syncer.model import Change, Entry, Kind
from syncer.replicate.content import MESSAGE_LIMIT, ContentChangedError, ContentSource
from syncer.replicate.messages import Begin, Content, Contents, Part
from syncer.replicate.rendered_tree import Tree

CHANGES_IN_ONE_PART = 2000
INLINE_LIMIT = 256 * 1024
"""Bytes: a partial transaction with no more content than this carries all of it at once, unasked."""
ATTRIBUTES_LIMIT = 256 * 1024
"""Bytes of extended attributes and undo records in one part, the last path's beyond it; contents may come beside."""
PATH_LIMIT = 4095
"""Bytes of a path (PATH_MAX less the NUL)."""


class Outgoing:
    """Builds the messages of one transaction."""

    def __init__(
        self,
        number: int,
        begin: Begin,
        tree: Tree,
        source: ContentSource,
        unstable: frozenset[bytes],
    ) -> None:
        """Take one state of the index; `unstable` paths go as UNKNOWN, so that they hold up nothing else."""
        self.number = number
        self.begin = begin
        self.changes = 0
        self.bytes = 0
        self._tree = tree
        self._source = source
        self._unstable = unstable
        self._first = True
        self._inline = not begin.full and tree.bytes_since(_seq(begin)) <= INLINE_LIMIT
        self._changes: Iterator[Change] = iter(())
        self._walk: Iterator[Entry] = iter(())
        source.refresh()
        if not begin.full:
            self._changes = tree.changes_since(_seq(begin))

    def opening(self) -> Part:
        """Return the first part: for a full one only its begin, since equal trees need no entries."""
        if self.begin.full:
            return Part(self.number, self.begin, (), (), end=False)
        return self.next_part()

    def send_entries(self) -> None:
        """The target differs: the parts that follow carry every entry."""
        self._first = False
        self._changes = (Change(0, entry.path, entry) for entry in self._tree.entries())
        self._walk = self._tree.entries()

    def next_part(self) -> Part:
        """Return the next part of the entries; the last one has `end`."""
        found, end = self._some_changes()
        # A path longer than any path may be is a problem of production's; no target could hold or accept it.
        taken = [self._masked(change) for change in found if len(change.path) <= PATH_LIMIT]
        self.changes += len(taken)
        inline = tuple(self._inline_contents(taken)) if self._inline else ()
        begin = self.begin if self._first else None
        self._first = False
        return Part(self.number, begin, tuple(taken), inline, end)

    def _some_changes(self) -> tuple[list[Change], bool]:
        """Return as many changes as one message holds, and whether no more follow."""
        found: list[Change] = []
        # Few paths have attributes, but those may be large.
        attributes = 0
        for change in islice(self._changes, CHANGES_IN_ONE_PART):
            found.append(change)
            if change.entry is not None and (change.entry.attributes or change.entry.origin):
                attributes += len(change.entry.attributes) + len(change.entry.origin)
                if attributes > ATTRIBUTES_LIMIT:
                    return found, False
        return found, len(found) < CHANGES_IN_ONE_PART

    def contents(self, digests: Iterable[bytes], *, last: bool) -> Iterator[Contents]:
        """Yield the wanted contents in order, small ones together, large ones in pieces.

        Raises ContentChangedError where production's disk no longer holds one of them.
        """
        batch: list[Content] = []
        size = 0
        for digest in digests:
            for content in self._content(digest):
                if batch and size + len(content.data) > MESSAGE_LIMIT:
                    yield Contents(self.number, tuple(batch), last=False)
                    batch, size = [], 0
                batch.append(content)
                size += len(content.data)
                self.bytes += len(content.data)
        if batch or last:
            yield Contents(self.number, tuple(batch), last)

    def close(self) -> None:
        """Let go of the state of the index."""
        self._changes = iter(())
        self._walk = iter(())
        self._source.refresh()

    def _masked(self, change: Change) -> Change:
        entry = change.entry
        if entry is None or change.path not in self._unstable or entry.kind is not Kind.FILE:
            return change
        note = "changes faster than it can be read"
        masked = entry._replace(kind=Kind.UNKNOWN, size=0, digest=b"", note=note, attributes=b"", link=0, origin=b"")
        return change._replace(entry=masked)

    def _inline_contents(self, changes: Iterable[Change]) -> Iterator[Content]:
        seq = _seq(self.begin)
        seen: set[bytes] = set()
        for change in changes:
            entry = change.entry
            if entry is None or entry.kind is not Kind.FILE or not entry.size or entry.digest in seen:
                continue
            seen.add(entry.digest)
            if self._tree.holds(entry, seq):
                continue
            data = self._whole(entry)
            if data is not None:
                self.bytes += len(data)
                yield Content(entry.digest, data)

    def _whole(self, entry: Entry) -> bytes | None:
        """Return a small content, or None where it changed since: then it is wanted, and that is dealt with."""
        data = self._source.cached(entry.digest)
        if data is not None:
            return data
        try:
            return b"".join(self._source.read(entry.path, entry.digest, entry.size))
        except ContentChangedError:
            return None

    def _content(self, digest: bytes) -> Iterator[Content]:
        data = self._source.cached(digest)
        if data is not None:
            yield Content(digest, data)
            return
        changed: ContentChangedError | None = None
        for path, size in self._places(digest):
            offset = 0
            try:
                for piece in self._source.read(path, digest, size):
                    yield Content(digest, piece, offset, more=offset + len(piece) < size)
                    offset += len(piece)
                return
            except ContentChangedError as error:
                changed = error
                # Pieces that left already cannot be taken back; only an untouched content may try another path.
                if offset:
                    raise
        raise changed or ContentChangedError(b"")

    def _places(self, digest: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield where a content stands. Contents are wanted in the order of the entries: walk along first."""
        for entry in self._walk:
            if entry.digest == digest:
                yield entry.path, entry.size
                break
        yield from self._tree.places(digest)


def _seq(begin: Begin) -> int:
    return begin.start.seq if begin.start is not None else 0
