"""One state of the index of a node that was failover, as the node that its base came from is to have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from blake3 import blake3

from syncer.index.renderings import Rendered
from syncer.index.snapshot import IndexRow, IndexSnapshot
from syncer.model import Change, Entry, Kind, Known
from syncer.origin import Origin, source_digest
from syncer.replicate.compare import STAYS, order_of
from syncer.replicate.content import ContentSource
from syncer.replicate.home_owners import HomeOwners
from syncer.replicate.home_source import HomeSource
from syncer.replicate.home_ways import AS_IT_IS, HomeWays, LeftOut, Restored, Rewritten, Way
from syncer.replicate.rendered_tree import RENDERED_AT_ONCE, left_out
from syncer.replicate.rendering import Asked, Flaw
from syncer.summary import summarize

MERGED_FROM = 500
"""Changes from which on the base is read beside them as a whole rather than asked for each."""


class Standing(NamedTuple):
    """A path here: what changed (entry None: it is gone), and the row of the base (None: nothing was applied)."""

    change: Change
    here: Known | None
    row: Known | None


class _Content(NamedTuple):
    digest: bytes
    size: int
    origin: bytes


class HomeRendering:
    """How one domain goes home to one target, and which of its files do not."""

    def __init__(self, ways: HomeWays, owners: HomeOwners) -> None:
        self.ways = ways
        self.owners = owners
        self.flaws: dict[bytes, str] = {}
        """Paths that are left out for this target, and why; one assignment at a time, for any thread."""

    def tree(self, snapshot: IndexSnapshot, source: ContentSource, unstable: frozenset[bytes]) -> HomeTree:
        """Return a state of the index as it goes home."""
        return HomeTree(self, snapshot, source, unstable)

    def source(self, source: ContentSource, snapshot: IndexSnapshot) -> HomeSource:
        """Return where its contents come from."""
        return HomeSource(self.ways, source, snapshot)

    def key(self) -> bytes:
        """Return 32 bytes that are equal where the same state of the index goes home as the same."""
        hasher = blake3(b"home\n" + self.ways.rules.hash + self.ways.base.mark(self.ways.domain))
        for path, choice in sorted(self.ways.decided.items()):
            hasher.update(b"%d %b %b\n" % (len(path), path, choice.value.encode()))
        hasher.update(summarize(self.ways.directories[path] for path in sorted(self.ways.directories)))
        return hasher.digest()


class HomeTree:
    """A state of the index, as it goes home."""

    def __init__(
        self, target: HomeRendering, snapshot: IndexSnapshot, source: ContentSource, unstable: frozenset[bytes]
    ) -> None:
        """`unstable` paths are not read: they go as UNKNOWN."""
        self.head = snapshot.head
        self.torn = snapshot.torn
        self._target = target
        self._ways = target.ways
        self._snapshot = snapshot
        self._source = source
        self._unstable = unstable

    def entries(self) -> Iterator[Entry]:
        """Yield the entries as the target is to have them; raises ContentChangedError."""
        flawed: dict[bytes, str] = {}
        self._target.owners.refresh()
        rest = self._all()
        while batch := list(islice(rest, RENDERED_AT_ONCE)):
            changes = self._home([one for one in batch if isinstance(one, Standing)], flawed)
            for one in batch:
                entry = next(changes).entry if isinstance(one, Standing) else one
                assert entry is not None, "what stands goes home as something"
                yield entry
        self._target.flaws = flawed
        self._ways.shared.tidy()

    def changes_since(self, seq: int) -> Iterator[Change]:
        """Yield the changes as the target is to have them; raises ContentChangedError."""
        flawed: dict[bytes, str] = {}
        seen = set()
        self._target.owners.refresh()
        for change in self._home(self._changed(seq), flawed):
            if self._target.flaws:
                seen.add(change.path)
            yield change
        kept = {path: why for path, why in self._target.flaws.items() if path not in seen}
        self._target.flaws = {**kept, **flawed}

    def bytes_since(self, seq: int) -> int:
        """Return how many bytes changed, as they stand here."""
        return self._snapshot.bytes_since(seq)

    def count(self) -> int:
        """Return how many paths go home; what stays there and is not here is named, too."""
        return self._snapshot.count() + sum(self._snapshot.known_at(path) is None for path in self._staying())

    def summary(self) -> bytes:
        """Return the digest over all entries; raises ContentChangedError."""
        if self._unstable:
            return b""  # equal to none: what cannot be read now is not known to be equal
        return self._snapshot.summary(self._target.key(), self.entries)

    def holds(self, entry: Entry, up_to_seq: int) -> bool:
        """Tell whether the target has the content: from a file that had the same bytes here."""
        return self._snapshot.holds_digest(source_digest(entry.digest, entry.origin), up_to_seq)

    def places(self, digest: bytes) -> list[tuple[bytes, int]]:
        """Return the files that go home as this content; raises ContentChangedError."""
        base, domain, shared = self._ways.base, self._ways.domain, self._ways.shared
        rows = [self._ways.applied(path) for path in base.paths_with_source(domain, digest)]
        own = dict.fromkeys([digest, *(row.entry.digest for row in rows if row), *shared.sources_of(digest)])
        found = []
        for path in dict.fromkeys(path for one in own for path in self._snapshot.paths_with_digest(one)):
            here, row = self._snapshot.known_at(path), self._ways.applied(path)
            if here is None:
                continue
            [change] = self._home([Standing(Change(0, path, here.entry), here, row)], {})
            if change.entry is not None and change.entry.digest == digest:
                found.append((path, change.entry.size))
        return found

    def _all(self) -> Iterator[Standing | Entry]:
        """Yield all that stands here, and what stays on the other node and is not here.

        What takes no thought is an entry already.
        """
        untouched = self._ways.untouched
        staying = iter(sorted(self._staying(), key=order_of))
        stays = next(staying, None)
        for path, here, row in beside(self._snapshot.rows(), self._ways.base.rows(self._ways.domain)):
            while stays is not None and order_of(stays) <= order_of(path):
                if stays != path or here is None:
                    yield Standing(Change(0, stays, None), None, row if stays == path else None)
                stays = next(staying, None)
            if here is None:
                continue
            if row is not None and path not in self._unstable and here.is_at(row.entry.digest, row.identity):
                entry = untouched(row.entry)
                if entry is not None:
                    yield entry
                    continue
            known = here.known()
            yield Standing(Change(0, path, known.entry), known, row)
        while stays is not None:
            yield Standing(Change(0, stays, None), None, None)
            stays = next(staying, None)

    def _staying(self) -> set[bytes]:
        """Return the paths at which the other node keeps what it has, though nothing may stand here."""
        ways = self._ways
        found = {path for path in ways.decided if ways.stays_theirs(path)}
        if ways.has_own:
            rows = (row.entry for row in ways.base.rows(ways.domain))
            found.update(row.path for row in rows if ways.keeps(row.path, row.kind))
        return found

    def _left_out(self, change: Change, why: str) -> Entry:
        if change.entry is not None and change.path not in self._ways.directories:
            return left_out(change.entry, why)
        # UNKNOWN would keep all below it from being deleted: the other node's own directory changes nothing there.
        theirs = self._ways.directories.get(change.path)
        return theirs or Entry(change.path, Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", why)

    def _changed(self, seq: int) -> Iterator[Standing]:
        changes = self._snapshot.changes_since(seq)
        if self._snapshot.count_since(seq) < MERGED_FROM:
            for change in changes:
                here = self._snapshot.known_at(change.path) if change.entry is not None else None
                yield Standing(change, here, self._ways.applied(change.path))
            return
        stands = beside(self._snapshot.rows(), self._ways.base.rows(self._ways.domain))
        found = next(stands, None)
        for change in changes:
            while found is not None and order_of(found[0]) < order_of(change.path):
                found = next(stands, None)
            here_row, row = found[1:] if found is not None and found[0] == change.path else (None, None)
            yield Standing(change, here_row.known() if here_row is not None else None, row)

    def _home(self, standing: Iterable[Standing], flawed: dict[bytes, str]) -> Iterator[Change]:
        """Turn paths into what they are at home, some at a time; `flawed` learns of those that are left out."""
        rest = iter(standing)
        while batch := list(islice(rest, RENDERED_AT_ONCE)):
            ways = [self._way(one) for one in batch]
            asked = [
                Asked(one.change.entry, way.mapping)
                for one, way in zip(batch, ways, strict=True)
                if isinstance(way, Rewritten) and one.change.entry is not None
            ]
            results = iter(self._ways.shared.of(asked, self._source) if asked else ())
            for one, way in zip(batch, ways, strict=True):
                found = self._rewritten(one, next(results)) if isinstance(way, Rewritten) else way
                if not isinstance(found, LeftOut):
                    yield self._sent(one, found)
                    continue
                if found.reason:
                    flawed[one.change.path] = found.reason
                yield one.change._replace(entry=self._left_out(one.change, found.reason or STAYS))

    def _way(self, one: Standing) -> Way:
        if one.change.entry is None or one.here is None:
            kind = one.row.entry.kind if one.row is not None else Kind.FILE
            path = one.change.path
            return LeftOut("") if self._ways.keeps(path, kind) or self._ways.stays_theirs(path) else AS_IT_IS
        if one.change.path in self._unstable:
            return AS_IT_IS  # whoever sends it lets it go as UNKNOWN
        row = one.row.entry if one.row is not None else None
        return self._ways.way_of(one.change.entry, row, self._snapshot, self._source)

    def _rewritten(self, one: Standing, rendered: Rendered | Flaw) -> Way | _Content:
        entry = one.change.entry
        assert entry is not None, "only what stands is rendered"
        if isinstance(rendered, Flaw):
            return LeftOut(rendered.reason)
        if rendered.is_identity(entry.digest):
            return AS_IT_IS
        onward = Origin(self._ways.rules.hash, entry.digest, entry.size, rendered.undo)
        return _Content(rendered.digest, rendered.size, onward.encode())

    def _sent(self, one: Standing, found: Way | _Content) -> Change:
        stands, row = one.change.entry, one.row.entry if one.row is not None else None
        if stands is None:
            return one.change
        entry = stands
        if isinstance(found, Restored):
            found = _Content(found.origin.digest, found.origin.size, found.onward.encode())
        if isinstance(found, _Content):
            entry = entry._replace(digest=found.digest, size=found.size, origin=found.origin)
        if row is not None and row.kind is entry.kind and _is_untouched(one):
            # Nobody touched it since it was applied: also what this node could not hold of it is as it was.
            entry = row._replace(digest=entry.digest, size=entry.size, origin=entry.origin, link=entry.link)
        else:
            entry = self._target.owners.home(entry, row)
        if stands.link or (row is not None and row.link):
            entry = entry._replace(link=self._ways.link_of(stands, row, self._snapshot))
        return one.change._replace(entry=entry)


def _is_untouched(one: Standing) -> bool:
    return one.here is not None and one.row is not None and one.here.identity == one.row.identity


def beside(here: Iterable[IndexRow], rows: Iterable[Known]) -> Iterator[tuple[bytes, IndexRow | None, Known | None]]:
    """Yield each path of both in order, with what stands there and its row; both come ordered by (parent, name)."""
    ours, theirs = iter(here), iter(rows)
    one, row = next(ours, None), next(theirs, None)
    while one is not None or row is not None:
        if one is not None and row is not None and one.path == row.entry.path:
            yield one.path, one, row
            one, row = next(ours, None), next(theirs, None)
        elif row is None or (one is not None and order_of(one.path) < order_of(row.entry.path)):
            assert one is not None, "one of both is left"
            yield one.path, one, None
            one = next(ours, None)
        else:
            yield row.entry.path, None, row
            row = next(theirs, None)
