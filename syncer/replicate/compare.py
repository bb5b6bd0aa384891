"""What a full synchronization changes: production's entries against failover's, merged in one pass (pure).

Both sides come in the same order, by (parent directory, name) as bytes with the root first, so that a
merge needs no memory for what is equal: only differences are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from syncer.errors import PeerProtocolError
from syncer.model import Change, Entry, Kind, Known, name_of, parent_of, shown
from syncer.replicate.groupings import Groupings
from syncer.replicate.messages import PlanItem

Order = tuple[bytes, bytes]

STAYS = "stays as the other node has it"
"""The note of an UNKNOWN entry at which a person wants the receiver to keep what it has: that is no edit of it."""


class Difference(NamedTuple):
    """One path that differs: what production has (change) and what stands on failover (None: nothing)."""

    change: Change
    current: Entry | None


def order_of(path: bytes) -> Order:
    """Return the sort key of a path: its directory, then its name; the root comes first."""
    return parent_of(path), name_of(path)


def same_owner(name: str, number: int, other_name: str, other_number: int) -> bool:
    """Tell whether two owners are one: by name where both have one, else by number."""
    return name == other_name if name and other_name else number == other_number


def same_entry(wanted: Entry, current: Entry) -> bool:
    """Tell whether `current`, as production sent it once, already is what `wanted` asks for.

    Link numbers are left out: they count only together, see groupings.py.
    """
    return wanted[:2] == current[:2] and (
        wanted == current
        or (
            wanted.mode == current.mode
            and wanted.mtime_ns == current.mtime_ns
            and wanted.size == current.size
            and wanted.digest == current.digest
            and wanted.link_target == current.link_target
            and wanted.attributes == current.attributes
            and wanted.origin == current.origin
            and same_owner(wanted.owner, wanted.uid, current.owner, current.uid)
            and same_owner(wanted.group, wanted.gid, current.group, current.gid)
        )
    )


def action_of(difference: Difference) -> str:
    """Name what a difference does to the path: create, update, metadata, replace or delete."""
    wanted, current = difference.change.entry, difference.current
    if wanted is None:
        return "delete"
    if current is None:
        return "create"
    if wanted.kind is not current.kind:
        return "replace"
    if wanted.digest != current.digest or wanted.link_target != current.link_target:
        return "update"
    return "metadata"


def plan_item(difference: Difference) -> PlanItem:
    """Return a difference as an operator sees it in a plan (size in bytes, of what would stand there)."""
    entry = difference.change.entry or difference.current
    assert entry is not None, "a difference has at least one side"
    return PlanItem(difference.change.path, action_of(difference), entry.kind, entry.size)


def destroys(difference: Difference) -> bool:
    """Tell whether content on failover would be lost: a deletion, other bytes, or another kind."""
    return difference.current is not None and action_of(difference) != "metadata"


class Standing(NamedTuple):
    """What stands at a path of failover; `edited`: not as it was last applied, so the base does not know it."""

    known: Known
    edited: bool


def overlay(rows: Iterable[Known], edits: dict[bytes, Known | None]) -> Iterator[Standing]:
    """Yield what stands on failover in order: the rows last applied, with local edits put over them."""
    pending = iter(sorted(edits.items(), key=lambda item: order_of(item[0])))
    edit = next(pending, None)
    for row in rows:
        key = order_of(row.entry.path)
        while edit is not None and order_of(edit[0]) < key:
            if edit[1] is not None:
                yield Standing(edit[1], edited=True)
            edit = next(pending, None)
        if edit is not None and edit[0] == row.entry.path:
            if edit[1] is not None:
                yield Standing(edit[1], edited=True)
            edit = next(pending, None)
        else:
            yield Standing(row, edited=False)
    while edit is not None:
        if edit[1] is not None:
            yield Standing(edit[1], edited=True)
        edit = next(pending, None)


def staying(before: Collection[bytes], changes: Iterable[Change]) -> set[bytes]:
    """Return the paths at which what stands is to stay, after these changes."""
    found = set(before)
    for change in changes:
        if change.entry is not None and change.entry.kind is Kind.UNKNOWN and change.entry.note == STAYS:
            found.add(change.path)
        else:
            found.discard(change.path)
    return found


class Comparison:
    """Merges production's entries, as they arrive, with failover's, and keeps what differs."""

    def __init__(
        self,
        current: Iterator[Standing],
        in_scope: Callable[[bytes, bool], bool],
        is_same_here: Callable[[Entry, Entry], bool] = same_entry,
    ) -> None:
        """Compare with `current` (in order); what is not `in_scope(path, is_directory)` is never deleted.

        `is_same_here(wanted, current)` tells whether an edited path, with this node's numbers and names, is as wanted.
        """
        self._is_same_here = is_same_here
        self._groupings = Groupings()
        self.differences: list[Difference] = []
        self.adopted: list[Known] = []
        """Equal to production's, but not as the base knows it: the base learns of them."""
        self.unscoped: list[bytes] = []
        """Known to the base and not synchronized any more: the base forgets them."""
        self.entries = 0
        self.stays: set[bytes] = set()
        """Paths at which production wants what stands here to stay."""
        self._current = current
        self._in_scope = in_scope
        self._next = next(current, None)
        self._unknown: set[bytes] = set()
        self._last: Order | None = None

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take the next entries of production; PeerProtocolError where they are out of order."""
        for entry in entries:
            key = order_of(entry.path)
            if self._last is not None and key <= self._last:
                raise PeerProtocolError(f"the peer sent {shown(entry.path)!a} out of order in a full synchronization")
            self._last = key
            self.entries += 1
            self._skip_to(key)
            self._take(entry)

    def finish(self) -> list[Difference]:
        """Say that production has no more entries; return all differences in order."""
        self._skip_to(None)
        apart = [Difference(Change(0, wanted.path, wanted), current) for wanted, current in self._groupings.broken()]
        if apart:
            self.differences.extend(apart)
            self.differences.sort(key=lambda difference: order_of(difference.change.path))
        return self.differences

    def _take(self, entry: Entry) -> None:
        standing = None
        if self._next is not None and self._next.known.entry.path == entry.path:
            standing = self._next
            self._next = next(self._current, None)
        if entry.kind is Kind.UNKNOWN:
            self._unknown.add(entry.path)
            if entry.note == STAYS:
                self.stays.add(entry.path)
        elif standing is None or not self._is_same(entry, standing):
            self._groupings.differs(entry)
            self.differences.append(
                Difference(Change(0, entry.path, entry), standing.known.entry if standing is not None else None)
            )
        else:
            self._groupings.is_equal(entry, standing.known, edited=standing.edited)
            if standing.edited or standing.known.entry.link != entry.link:
                self.adopted.append(Known(entry, standing.known.identity))

    def _is_same(self, entry: Entry, standing: Standing) -> bool:
        same = self._is_same_here if standing.edited else same_entry
        return same(entry, standing.known.entry)

    def _skip_to(self, key: Order | None) -> None:
        """Everything of failover before `key` is unknown to production: delete it, where that is allowed."""
        while self._next is not None and (key is None or order_of(self._next.known.entry.path) < key):
            standing, entry = self._next, self._next.known.entry
            self._next = next(self._current, None)
            # What this node cannot read or copy was never ours to delete.
            if entry.kind is Kind.UNKNOWN or not entry.path or self._is_under_unknown(entry.path):
                continue
            if self._in_scope(entry.path, entry.kind is Kind.DIRECTORY):
                self.differences.append(Difference(Change(0, entry.path, None), entry))
            elif not standing.edited:
                self.unscoped.append(entry.path)

    def _is_under_unknown(self, path: bytes) -> bool:
        if not self._unknown:
            return False
        while path:
            if path in self._unknown:
                return True
            path = parent_of(path)
        return b"" in self._unknown
