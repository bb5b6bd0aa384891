"""What both nodes did to a domain since the last state they had in common: three sides, merged in one pass (pure).

All sides come in the same order, by (parent directory, name) as bytes with the root first, and in the same terms: those
of the node that the domain comes home to. Equal parts need no memory: only differences are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from syncer.errors import PlanError
from syncer.model import Entry, Kind, parent_of
from syncer.origin import Origin
from syncer.replicate.compare import order_of, same_owner

MOST_HELD = 256 * 1024 * 1024
"""Bytes of memory, roughly, for what the other node has and neither stands here nor was ever in common."""
_OVERHEAD = 300
"""Bytes of a difference beside its path, roughly."""


class State(Enum):
    """Which side changed a path since the last common state."""

    HERE = "here"
    """Only the node that serves."""
    THERE = "there"
    """Only the other one."""
    ALIKE = "alike"
    """Both, to the same."""
    CONFLICT = "conflict"
    """Both, to what cannot stand together."""
    NEVER_SENT = "never sent"
    """The other node has it and could not send it: nothing here stands against it, and it stays there."""


class What(Enum):
    """What a side did to a path."""

    CREATED = "created"
    EDITED = "edited"
    DELETED = "deleted"
    METADATA = "metadata"
    KIND = "kind"
    """It is another kind of thing now."""


class Other(NamedTuple):
    """A path of the other node's index; `changed`: above the cursor that the last common state was reached with."""

    entry: Entry
    changed: bool


class Side(NamedTuple):
    """What one side did, and what it has now (kind None: nothing)."""

    what: What
    kind: Kind | None
    size: int
    """Bytes of a file; 0 for all else, and where it is not known."""


class Difference(NamedTuple):
    """One path that not all three sides have alike."""

    path: bytes
    state: State
    here: Side | None
    """None: it did nothing to it."""
    there: Side | None
    needs_person: bool = False
    """It was edited here, and the rules alone cannot tell what it would be at home."""


@dataclass(slots=True)
class Compared:
    """The result for one domain."""

    differences: list[Difference] = field(default_factory=list)
    """In the order of the sides."""
    same: int = 0
    """Paths that nobody changed."""
    directories: dict[bytes, Entry] = field(default_factory=dict)
    """What the other node has as directories, among what differs."""


def common(row: Entry) -> Entry:
    """Return a row of the base as the other node had it; ValueError where its origin is damaged."""
    if not row.origin:
        return row
    origin = Origin.decode(row.origin)
    return row._replace(digest=origin.digest, size=origin.size, origin=b"")


def compare(
    base: Iterable[Entry],
    here: Iterable[Entry],
    there: Iterable[Other],
    is_undecided: Callable[[Entry], bool] = lambda entry: False,
    own: Collection[bytes] = frozenset(),
    most_held: int = MOST_HELD,
) -> Compared:
    """Compare what stands here, as it would go home, and what the other node has with the last common state.

    An UNKNOWN entry says nothing of its path, unless it `is_undecided`: then it was edited here. `own` are paths that
    were never in common, since it was decided before that this node keeps what it has there. Raises PlanError where the
    other node has more of its own than `most_held` bytes of memory take.
    """
    found = _Comparing(is_undecided, own, most_held)
    for path, old, ours, theirs in _merged(base, here, there):
        found.take(path, old, ours, theirs)
    found.settle()
    return found.compared


_Row = tuple[bytes, Entry | None, Entry | None, Other | None]


def _merged(base: Iterable[Entry], here: Iterable[Entry], there: Iterable[Other]) -> Iterator[_Row]:
    olds, ours, theirs = iter(base), iter(here), iter(there)
    old, own, other = next(olds, None), next(ours, None), next(theirs, None)
    while old is not None or own is not None or other is not None:
        # Nearly always all three have the path: no order needs to be found then.
        if old is not None and own is not None and other is not None and old.path == own.path == other.entry.path:
            yield old.path, old, own, other
            old, own, other = next(olds, None), next(ours, None), next(theirs, None)
            continue
        paths = [entry.path for entry in (old, own, other.entry if other else None) if entry is not None]
        path = min(paths, key=order_of)
        has = old is not None and old.path == path, own is not None and own.path == path
        has_other = other is not None and other.entry.path == path
        yield path, old if has[0] else None, own if has[1] else None, other if has_other else None
        if has[0]:
            old = next(olds, None)
        if has[1]:
            own = next(ours, None)
        if has_other:
            other = next(theirs, None)


class _Comparing:
    def __init__(self, is_undecided: Callable[[Entry], bool], own: Collection[bytes], most_held: int) -> None:
        self.compared = Compared()
        self._most_held = most_held
        self._held = 0
        self._own = own
        self._is_undecided = is_undecided
        # Directories that a side took away, or made another thing of: what the other did below cannot stand with it.
        self._gone_here: set[bytes] = set()
        self._gone_there: set[bytes] = set()

    def take(self, path: bytes, old: Entry | None, own: Entry | None, other: Other | None) -> None:
        theirs = other.entry if other is not None else None
        count = len(self.compared.differences)
        self._take(path, old, own, other)
        if theirs is None or len(self.compared.differences) == count:
            return
        if theirs.kind is Kind.DIRECTORY:
            self.compared.directories[path] = theirs
            self._hold(len(theirs.attributes))
        if old is None and own is None:
            # What stands here bounds all else: of this a peer may tell as much as it likes.
            self._hold(_OVERHEAD + len(path))

    def _take(self, path: bytes, old: Entry | None, own: Entry | None, other: Other | None) -> None:
        theirs = other.entry if other is not None else None
        undecided = False
        if own is None or own.kind is not Kind.UNKNOWN:
            here = _done(old, own)
        else:
            undecided = self._is_undecided(own)
            here = Side(What.EDITED, Kind.FILE, 0) if undecided else None
            own = None if undecided else old
        if old is None and own is None and other is not None and path in self._own:
            here = Side(What.DELETED, None, 0)
        there = None
        if other is not None and not other.changed:
            if old is None and here is None and other.entry.kind is not Kind.UNKNOWN:
                self._add(Difference(path, State.NEVER_SENT, None, _side(What.CREATED, theirs)))
                return
        elif theirs is None or theirs.kind is not Kind.UNKNOWN:
            there = _done(old, theirs)
        if here is None and there is None:
            self.compared.same += 1
            return
        if here is not None and there is not None:
            alike = not undecided and (_same(own, theirs) if own and theirs else own is theirs)
            state = State.ALIKE if alike else State.CONFLICT
        else:
            state = State.HERE if here is not None else State.THERE
        for side, gone in ((here, self._gone_here), (there, self._gone_there)):
            if side is not None and side.kind is not Kind.DIRECTORY:
                gone.add(path)
        self._add(Difference(path, state, here, there, undecided))

    def settle(self) -> None:
        """Make conflicts of what a side did below a directory that the other took away."""
        if not self._gone_here and not self._gone_there:
            return
        for number, difference in enumerate(self.compared.differences):
            if difference.state is State.HERE and _adds(difference.here):
                gone = self._gone_there
            elif difference.state is State.THERE and _adds(difference.there):
                gone = self._gone_here
            else:
                continue
            if any(directory in gone for directory in _above(difference.path)):
                self.compared.differences[number] = difference._replace(state=State.CONFLICT)

    def _hold(self, count: int) -> None:
        self._held += count
        if self._held > self._most_held:
            raise PlanError(
                f"the other node has so much that was never here that it cannot be compared (more than "
                f"{self._most_held >> 20:,} MiB to be kept in mind): move it out of the domain there, or exclude it"
            )

    def _add(self, difference: Difference) -> None:
        self.compared.differences.append(difference)


def _done(old: Entry | None, now: Entry | None) -> Side | None:
    if old is None:
        return None if now is None else _side(What.CREATED, now)
    if now is None:
        return Side(What.DELETED, None, 0)
    if _same(old, now):
        return None
    if old.kind is not now.kind:
        return _side(What.KIND, now)
    if old.digest != now.digest or old.link_target != now.link_target:
        return _side(What.EDITED, now)
    return _side(What.METADATA, now)


def _same(one: Entry, other: Entry) -> bool:
    """Tell whether two sides have a path alike; the time of a directory moves with what is in it, and says nothing."""
    return (
        one.kind is other.kind
        and one.digest == other.digest
        and one.mode == other.mode
        and (one.mtime_ns == other.mtime_ns or one.kind is Kind.DIRECTORY)
        and one.link_target == other.link_target
        and one.attributes == other.attributes
        and same_owner(one.owner, one.uid, other.owner, other.uid)
        and same_owner(one.group, one.gid, other.group, other.gid)
    )


def _side(what: What, now: Entry | None) -> Side:
    return Side(what, now.kind if now is not None else None, now.size if now is not None else 0)


def _adds(side: Side | None) -> bool:
    return side is not None and side.what is not What.DELETED


def _above(path: bytes) -> Iterator[bytes]:
    while path:
        path = parent_of(path)
        yield path
