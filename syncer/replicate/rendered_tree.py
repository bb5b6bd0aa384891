"""One state of a domain's index as a target with substitution rules is to have it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from syncer.index.renderings import Rendered
from syncer.index.snapshot import IndexSnapshot
from syncer.model import Change, Entry, Head, Kind
from syncer.origin import Origin, source_digest
from syncer.replicate.content import ContentSource
from syncer.replicate.link_numbers import LinkNumbers
from syncer.replicate.rendering import Asked, Flaw, RenderedSource, Rendering
from syncer.substitution.mapping import Mapping
from syncer.substitution.rules import RuleSet

RENDERED_AT_ONCE = 500
"""Files that are looked up, or rendered, together."""


class Tree(Protocol):
    """What a transaction is built from: a state of the index, as it is or rendered."""

    @property
    def head(self) -> Head:
        """Where the index stands."""

    @property
    def torn(self) -> bool:
        """The group was closed while changes went on."""

    def entries(self) -> Iterator[Entry]:
        """Yield all that is live, ordered by (parent, name), the root first."""

    def changes_since(self, seq: int) -> Iterator[Change]:
        """Yield what changed after `seq`, in the same order."""

    def bytes_since(self, seq: int) -> int:
        """Return about how many bytes the files hold that changed after `seq`."""

    def count(self) -> int:
        """Return how many paths are live."""

    def summary(self) -> bytes:
        """Return the digest over all entries."""

    def holds(self, entry: Entry, up_to_seq: int) -> bool:
        """Tell whether a target at `up_to_seq` surely has the content of `entry` somewhere in its tree."""

    def places(self, digest: bytes) -> list[tuple[bytes, int]]:
        """Return the files that hold this content, with its size in bytes."""


class Plain:
    """The state of the index as it is: no rules apply to the domain."""

    def __init__(self, snapshot: IndexSnapshot) -> None:
        self.snapshot = snapshot

    @property
    def head(self) -> Head:
        """Where the index stands."""
        return self.snapshot.head

    @property
    def torn(self) -> bool:
        """The group was closed while changes went on."""
        return self.snapshot.torn

    def entries(self) -> Iterator[Entry]:
        """Yield the entries."""
        return self.snapshot.entries()

    def changes_since(self, seq: int) -> Iterator[Change]:
        """Yield the changes."""
        return self.snapshot.changes_since(seq)

    def bytes_since(self, seq: int) -> int:
        """Return the bytes that changed."""
        return self.snapshot.bytes_since(seq)

    def count(self) -> int:
        """Return how many paths are live."""
        return self.snapshot.count()

    def summary(self) -> bytes:
        """Return the digest over all entries."""
        return self.snapshot.summary()

    def holds(self, entry: Entry, up_to_seq: int) -> bool:
        """Tell whether the target has the content."""
        return self.snapshot.holds_digest(entry.digest, up_to_seq)

    def places(self, digest: bytes) -> list[tuple[bytes, int]]:
        """Return the files that hold this content."""
        return [(path, self.snapshot.content_of(path)[1]) for path in self.snapshot.paths_with_digest(digest)]


class Outlook(Protocol):
    """How one domain goes to one target, where it does not go as it is."""

    flaws: dict[bytes, str]
    """Paths that are left out for this target, and why; one assignment at a time, for any thread."""

    def tree(self, snapshot: IndexSnapshot, source: ContentSource, unstable: frozenset[bytes]) -> Tree:
        """Return a state of the index as the target is to have it."""

    def source(self, source: ContentSource, snapshot: IndexSnapshot) -> ContentSource:
        """Return where its contents come from."""


class TargetRendering:
    """How one domain is rendered for one target, and which of its files cannot be."""

    def __init__(self, domain: str, rules: RuleSet, shared: Rendering) -> None:
        self.domain = domain
        self.rules = rules
        self.shared = shared
        self.flaws: dict[bytes, str] = {}
        """Paths that are left out for this target, and why; one assignment at a time, for any thread."""
        self._numbers = LinkNumbers(rules)

    def tree(self, snapshot: IndexSnapshot, source: ContentSource, unstable: frozenset[bytes]) -> RenderedTree:
        """Return a state of the index as the target is to have it."""
        return RenderedTree(self, snapshot, source, unstable)

    def source(self, source: ContentSource, snapshot: IndexSnapshot) -> RenderedSource:
        """Return where its contents come from."""
        return RenderedSource(source, snapshot, self.rules, self.domain)

    def link_of(self, entry: Entry, mapping: Mapping | None) -> int:
        """Return the link number of a file: names that are rendered by other rules are other files on the target."""
        return self._numbers.there_and_back(entry.link, mapping)


class RenderedTree:
    """A state of the index, rendered."""

    def __init__(
        self, target: TargetRendering, snapshot: IndexSnapshot, source: ContentSource, unstable: frozenset[bytes]
    ) -> None:
        """`unstable` paths are not read: they go as UNKNOWN."""
        self.head = snapshot.head
        self.torn = snapshot.torn
        self._target = target
        self._snapshot = snapshot
        self._source = source
        self._unstable = unstable

    def entries(self) -> Iterator[Entry]:
        """Yield the entries as the target is to have them; raises ContentChangedError."""
        flawed: dict[bytes, str] = {}
        for change in self._rendered((Change(0, entry.path, entry) for entry in self._snapshot.entries()), flawed):
            assert change.entry is not None, "what went in was an entry"
            yield change.entry
        self._target.flaws = flawed
        self._target.shared.tidy()

    def changes_since(self, seq: int) -> Iterator[Change]:
        """Yield the changes as the target is to have them; raises ContentChangedError."""
        flawed: dict[bytes, str] = {}
        seen = set()
        for change in self._rendered(self._snapshot.changes_since(seq), flawed):
            if self._target.flaws:
                seen.add(change.path)
            yield change
        kept = {path: why for path, why in self._target.flaws.items() if path not in seen}
        self._target.flaws = {**kept, **flawed}

    def bytes_since(self, seq: int) -> int:
        """Return how many bytes changed, before they are rendered."""
        return self._snapshot.bytes_since(seq)

    def count(self) -> int:
        """Return how many paths are live."""
        return self._snapshot.count()

    def summary(self) -> bytes:
        """Return the digest over all entries; raises ContentChangedError."""
        if self._unstable:
            return b""  # equal to none: what cannot be read now is not known to be equal
        return self._snapshot.summary(self._target.rules.hash, self.entries)

    def holds(self, entry: Entry, up_to_seq: int) -> bool:
        """Tell whether the target has the content: from a file that had the same bytes on production."""
        return self._snapshot.holds_digest(source_digest(entry.digest, entry.origin), up_to_seq)

    def places(self, digest: bytes) -> list[tuple[bytes, int]]:
        """Return the files that become this content, or have it already; raises ContentChangedError."""
        sources = [digest, *self._target.shared.sources_of(digest)]
        paths = [path for source in sources for path in self._snapshot.paths_with_digest(source)]
        found = []
        for path in paths:
            own, size = self._snapshot.content_of(path)
            mapping = self._target.rules.for_path(self._target.domain, path)
            if mapping is None:
                rendered_digest, rendered_size = own, size
            else:
                asked = Asked(content_entry(path, own, size), mapping)
                [rendered] = self._target.shared.of([asked], self._source)
                if isinstance(rendered, Flaw):
                    continue
                rendered_digest, rendered_size, _ = rendered
            if rendered_digest == digest:
                found.append((path, rendered_size))
        return found

    def _rendered(self, changes: Iterator[Change], flawed: dict[bytes, str]) -> Iterator[Change]:
        """Render what the rules concern, some files at a time; `flawed` learns of those that cannot be."""
        while batch := list(islice(changes, RENDERED_AT_ONCE)):
            mappings = [self._mapping_of(change) for change in batch]
            asked = [
                Asked(change.entry, mapping)
                for change, mapping in zip(batch, mappings, strict=True)
                if mapping is not None and change.entry is not None
            ]
            results = iter(self._target.shared.of(asked, self._source) if asked else ())
            for change, mapping in zip(batch, mappings, strict=True):
                if mapping is None or change.entry is None:
                    yield change
                    continue
                rendered = next(results)
                if isinstance(rendered, Flaw):
                    flawed[change.path] = rendered.reason
                    yield change._replace(entry=left_out(change.entry, rendered.reason))
                else:
                    yield change._replace(entry=self._as_rendered(change.entry, mapping, rendered))

    def _mapping_of(self, change: Change) -> Mapping | None:
        entry = change.entry
        if entry is None or entry.kind is not Kind.FILE or not entry.size or change.path in self._unstable:
            return None
        return self._target.rules.for_path(self._target.domain, change.path)

    def _as_rendered(self, entry: Entry, mapping: Mapping, rendered: Rendered) -> Entry:
        link = self._target.link_of(entry, mapping)
        if rendered.is_identity(entry.digest):
            return entry if link == entry.link else entry._replace(link=link)
        origin = Origin(self._target.rules.hash, entry.digest, entry.size, rendered.undo)
        return entry._replace(digest=rendered.digest, size=rendered.size, origin=origin.encode(), link=link)


def left_out(entry: Entry, why: str) -> Entry:
    """Return the entry of a file that keeps what the target had: it could not come home otherwise."""
    return entry._replace(kind=Kind.UNKNOWN, size=0, digest=b"", note=why, attributes=b"", link=0)


def content_entry(path: bytes, digest: bytes, size: int) -> Entry:
    """Return an entry that says of a file no more than its content."""
    return Entry(path, Kind.FILE, 0, 0, 0, "", "", 0, size, digest, b"")
