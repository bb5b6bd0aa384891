"""How each file of a node that was failover goes home: what stands as it was applied by its origin, unread."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from blake3 import blake3

from syncer.capture.keep_local import KeepLocal
from syncer.errors import StateError, UndoError, UndoTooLargeError
from syncer.index.renderings import Rendered
from syncer.index.snapshot import IndexSnapshot
from syncer.model import Entry, Kind, Known
from syncer.origin import Origin, rules_of, source_digest, turned
from syncer.replicate.content import ContentSource
from syncer.replicate.link_numbers import LinkNumbers
from syncer.replicate.rendering import Rendering
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.substitution import mapping as mappings
from syncer.substitution.both_ways import both_ways
from syncer.substitution.rules import RuleSet, mapping_key

LARGEST_COMPUTED = 16 << 20
"""Bytes of a file that is read whole to say how other rules than those that rendered it lead there and back."""
NEEDS_PERSON = (
    "was edited here, and only the other node's own text can tell what some of its addresses were: nothing is guessed, "
    "it keeps what it has there; decide in the plan of `syncer reverse` (`--prefer`)"
)
TOO_LARGE = (
    f"was rendered by other rules than those that lead home, and has more than {LARGEST_COMPUTED >> 20} MiB: "
    "leave it out of the rules (`except_paths`)"
)

_LENGTH = struct.Struct(">I")


class Choice(Enum):
    """What was decided of a path that does not go home by itself."""

    REWRITTEN = "rewritten"
    """A file that was edited here, and whose addresses the rules alone cannot turn back, goes as they make it."""
    KEEP_THEIRS = "keep theirs"
    """The other node keeps what it has there, or that it has nothing."""


class AsItIs(NamedTuple):
    """The bytes go as they stand here."""


class Restored(NamedTuple):
    """The bytes go as the other node had them, which the row of the base tells."""

    origin: Origin
    """What the other node has, and what leads there from here."""
    made_by: mappings.Mapping
    """What rendered it."""
    onward: Origin
    """The same seen from there: what leads here again."""


class Rewritten(NamedTuple):
    """The bytes go as the rules make them of what stands here."""

    mapping: mappings.Mapping


class LeftOut(NamedTuple):
    """The other node keeps what it has."""

    reason: str
    """Why; "" where a person, or the configuration, wants it so."""


Way = AsItIs | Restored | Rewritten | LeftOut
AS_IT_IS = AsItIs()


class HomeWays:
    """Decides for the files of one domain, of which the base stays as it is; for any one thread at a time."""

    def __init__(
        self,
        domain: str,
        rules: RuleSet,
        shared: Rendering,
        base: Base,
        back: WayBack,
        own: KeepLocal | None = None,
    ) -> None:
        """`rules` lead home; `back` tells what rendered what stands here; `own` is what this node keeps local."""
        self.domain = domain
        self.rules = rules
        self.base = base
        self.shared = shared
        self.has_own = own is not None and not own.is_empty
        """Some files must differ here: they do not go home."""
        self.decided: Mapping[bytes, Choice] = {}
        """What was decided, by path; replaced as a whole."""
        self.directories: Mapping[bytes, Entry] = {}
        """Of what the other node keeps, its directories as it has them: what is below is decided by itself."""
        self._back = back
        self._own = own
        self._numbers = LinkNumbers(rules)
        self._leads_back: dict[tuple[int, int], tuple[bool, object, object]] = {}

    def keeps(self, path: bytes, kind: Kind = Kind.FILE) -> bool:
        """Tell whether what stands at a path is this node's own."""
        return self.has_own and self._own is not None and self._own.keeps(path, kind is Kind.DIRECTORY)

    def stays_theirs(self, path: bytes) -> bool:
        """Tell whether it was decided that the other node keeps what it has at a path."""
        return self.decided.get(path) is Choice.KEEP_THEIRS

    def applied(self, path: bytes) -> Known | None:
        """Return the row of the base."""
        return self.base.get(self.domain, path)

    def untouched(self, row: Entry) -> Entry | None:
        """Return what stands as it was applied, as it goes home, where that takes no thought: most of a tree.

        None where it does.
        """
        if row.link or self.has_own or row.path in self.decided:
            return None
        if not row.origin:
            return row
        mapping = self.rules.for_path(self.domain, row.path)
        if mapping is None:
            return None
        made_by = self._back.mapping_of(rules_of(row.origin), row.path)
        if not self._is_inverse(mapping, made_by):
            return None
        found = turned(row.origin, self.rules.hash, row.digest, row.size)
        return None if found is None else row._replace(digest=found[0], size=found[1], origin=found[2])

    def way_of(self, entry: Entry, row: Entry | None, snapshot: IndexSnapshot, source: ContentSource) -> Way:
        """Return how what stands at a path goes home; `row` is what was applied there.

        Contents are read only where the rules do not lead back that rendered them.

        Raises ContentChangedError, StateError.
        """
        if self.keeps(entry.path, entry.kind) or self.stays_theirs(entry.path):
            return LeftOut("")
        if entry.kind is not Kind.FILE or not entry.size:
            return AS_IT_IS
        mapping = self.rules.for_path(self.domain, entry.path)
        standing = self._standing(entry, row, mapping, snapshot)
        if standing is not None:
            return self._restored(entry, standing, mapping, source) if standing.origin else AS_IT_IS
        is_doubtful = row is not None and row.kind is Kind.FILE and self._back.has_undo(row)
        if is_doubtful and self.decided.get(entry.path) is not Choice.REWRITTEN:
            return LeftOut(NEEDS_PERSON)
        return AS_IT_IS if mapping is None else Rewritten(mapping)

    def link_of(self, entry: Entry, row: Entry | None, snapshot: IndexSnapshot) -> int:
        """Return the link number at home: names of one file there, of which rules made several here, are one again."""
        if self._numbers.is_uniform:
            return entry.link
        mapping = self.rules.for_path(self.domain, entry.path)
        if entry.link and (row is None or not row.link):
            # Another name that was given to it here belongs to the file that those have which came.
            row = next((found for found in self._names(entry, mapping, snapshot) if found.link), None)
        if row is None or not row.link or row.digest != entry.digest:
            return self._numbers.there_and_back(entry.link, mapping)
        if not entry.link and len(self.base.names_of_link(self.domain, row.link)) > 1:
            return 0  # it was made a file of its own here
        return self._numbers.there_and_back(row.link, mapping)

    def pieces(self, way: Restored, path: bytes, stands: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the other node's bytes of a file; StateError at the end where they do not come out right."""
        return self._back.restored(path, way.origin, way.made_by, stands)

    def _standing(
        self, entry: Entry, row: Entry | None, mapping: mappings.Mapping | None, snapshot: IndexSnapshot
    ) -> Entry | None:
        """Return the row that tells what a content is at home, or None where it was never applied."""
        if entry.link and mapping is not None:
            # All names of one file go home as one: as the first of them says, whatever was linked to what here.
            first = next(iter(self._names(entry, mapping, snapshot)), None)
            if first is not None:
                return first
        if row is not None and row.kind is Kind.FILE and row.digest == entry.digest:
            return row
        return self._elsewhere(entry, mapping)

    def _names(self, entry: Entry, mapping: mappings.Mapping | None, snapshot: IndexSnapshot) -> Iterator[Entry]:
        """Yield the rows of the names that a file has here and that stand as applied, under the same rules."""
        for path in snapshot.paths_with_digest(entry.digest):
            known = snapshot.known_at(path)
            if known is None or known.entry.link != entry.link:
                continue
            row = self.applied(path)
            if row is None or row.entry.digest != entry.digest:
                continue
            if self.rules.for_path(self.domain, path) is mapping:
                yield row.entry

    def _elsewhere(self, entry: Entry, mapping: mappings.Mapping | None) -> Entry | None:
        """Return a row with the same content, under the same rules: a file that was moved or copied here.

        None where there is none, or where such rows were different files at home.
        """
        if mapping is None:
            return None
        found: dict[bytes, Entry] = {}
        for path in self.base.paths_with_digest(self.domain, entry.digest):
            known = self.applied(path)
            if known is not None and self.rules.for_path(self.domain, path) is mapping:
                found[source_digest(known.entry.digest, known.entry.origin)] = known.entry
        return next(iter(found.values())) if len(found) == 1 else None

    def _restored(self, entry: Entry, row: Entry, mapping: mappings.Mapping | None, source: ContentSource) -> Way:
        origin = self._back.origin(row)
        made_by = self._back.mapping(row)
        home = mapping or mappings.Mapping()
        if self._is_inverse(home, made_by):
            onward = Origin(self.rules.hash, entry.digest, entry.size, origin.redo, origin.undo)
            return Restored(origin, made_by, onward)
        if entry.size > LARGEST_COMPUTED:
            return LeftOut(TOO_LARGE)

        def compute() -> Rendered:
            ways = both_ways(b"".join(source.read(entry.path, entry.digest, entry.size)), made_by, origin.undo, home)
            digest = blake3(ways.source).digest()
            if digest != origin.digest:
                raise StateError(self._back.mismatch(entry.path))
            return Rendered(digest, len(ways.source), _LENGTH.pack(len(ways.undo)) + ways.undo + ways.redo)

        key = blake3(b"home\n" + mapping_key(home) + mapping_key(made_by) + origin.undo).digest()
        try:
            records = self.shared.remembered(key, entry.digest, compute).undo
        except (UndoError, UndoTooLargeError) as error:
            return LeftOut(str(error))
        middle = _LENGTH.size + _LENGTH.unpack_from(records)[0]
        onward = Origin(self.rules.hash, entry.digest, entry.size, records[_LENGTH.size : middle], records[middle:])
        return Restored(origin, made_by, onward)

    def _is_inverse(self, home: mappings.Mapping, made_by: mappings.Mapping) -> bool:
        """Tell whether what `home` leads back to is exactly what was rendered by: then no record needs to be made."""
        key = id(home), id(made_by)
        known = self._leads_back.get(key)
        if known is None:
            # A host name that became one with capitals does not come out of the inverse of the inverse as it was.
            same = mapping_key(home.inverse()) == mapping_key(made_by) and mapping_key(home) == mapping_key(
                made_by.inverse()
            )
            # The objects are kept beside it: an id is one's own only while that lives.
            known = self._leads_back[key] = (same, home, made_by)
        return known[0]
