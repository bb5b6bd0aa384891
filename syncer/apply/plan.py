"""Decides what a transaction does to each path, from the changes and what stands on the disk (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from syncer.apply.values import Reach
from syncer.model import Change, DiskIdentity, Entry, Kind, Known, parent_of


class Found(NamedTuple):
    """What stands at a destination; kind UNKNOWN is a FIFO, a socket or a device."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    atime_ns: int
    identity: DiskIdentity
    links: int
    same: bool = False
    """It already has the bytes, or the link target, that the change asks for."""
    blocker: str = ""
    """Of a directory that something else is to replace: why it must stay, or ""."""
    same_attributes: bool = True
    """It already has the extended attributes that the change asks for; known only where `same` holds."""
    attributes: bytes = b""
    """What it has instead of them, with this node's numbers, where they are not the same."""


class Survey(NamedTuple):
    """What was seen before anything is decided."""

    found: dict[bytes, Found]
    flaws: dict[bytes, str]
    """Paths that cannot be applied here, and why; everything below them is skipped."""
    parents: dict[bytes, Found]
    """Existing directories that changed paths lie in."""


class Action(Enum):
    """What is done for one entry."""

    PLACE = "place"
    """Staged by itself, and renamed to its path."""
    BUILD = "build"
    """Staged inside a new directory, which is placed as a whole."""
    ADJUST = "adjust"
    """Already there, with another mode, owner or mtime."""
    RECORD = "record"
    """Nothing is done on the disk."""


class Step(NamedTuple):
    """One entry and what is done for it; uid and gid are this node's numbers."""

    action: Action
    path: bytes
    entry: Entry
    found: Found | None
    uid: int
    gid: int
    attributes: Mapping[bytes, bytes] = {}
    """As this node's kernel takes them."""

    @property
    def swaps_directory(self) -> bool:
        """Tell whether a plain rename cannot place it, because exactly one side is a directory."""
        old = self.found
        return old is not None and (old.kind is Kind.DIRECTORY) is not (self.entry.kind is Kind.DIRECTORY)


class Removal(NamedTuple):
    """One path that goes."""

    path: bytes
    is_directory: bool


class Plan(NamedTuple):
    """A whole transaction, parents before children throughout."""

    steps: list[Step]
    removals: list[Removal]
    deletions: list[bytes]
    """Rows of the base that go, whether or not anything stood on the disk."""
    problems: dict[bytes, str]

    @property
    def changes_disk(self) -> bool:
        """Tell whether anything on the disk is going to change."""
        return bool(self.removals) or any(step.action is not Action.RECORD for step in self.steps)


def content_known(entry: Entry, found: DiskIdentity, known: Known | None) -> bool | None:
    """Tell whether a file on the disk has `entry`'s bytes; None where only reading it can tell."""
    if found.size != entry.size:
        return False
    if entry.size == 0:
        return True
    if known is not None and not known.racy and known.identity == found and known.entry.kind is Kind.FILE:
        return known.entry.digest == entry.digest
    return None


def metadata_equal(entry: Entry, found: Found, uid: int, gid: int) -> bool:
    """Tell whether mode, owner, attributes and mtime are already as wanted (links have no mode)."""
    return (
        found.identity.mtime_ns == entry.mtime_ns
        and (found.mode == entry.mode or entry.kind is Kind.SYMLINK)
        and found.uid == uid
        and found.gid == gid
        and found.same_attributes
    )


def make_plan(
    changes: Sequence[Change],
    survey: Survey,
    reach: Reach,
    owners: Callable[[Entry], tuple[int, int]],
    attributes: Callable[[Entry], Mapping[bytes, bytes]],
) -> Plan:
    """Decide on every change, in order; what cannot be done is a problem, and skipped with all below."""
    return _Planner(survey, reach, owners, attributes).run(changes)


class _Planner:
    """What earlier changes of a transaction mean for later ones."""

    def __init__(
        self,
        survey: Survey,
        reach: Reach,
        owners: Callable[[Entry], tuple[int, int]],
        attributes: Callable[[Entry], Mapping[bytes, bytes]],
    ) -> None:
        self._survey = survey
        self._reach = reach
        self._owners = owners
        self._attributes = attributes
        self._new: set[bytes] = set()
        self._replaced: set[bytes] = set()
        self._skipped: set[bytes] = set()
        self.plan = Plan([], [], [], {})

    def run(self, changes: Iterable[Change]) -> Plan:
        """Decide on every change."""
        found, flaws, is_protected = self._survey.found, self._survey.flaws, self._reach.is_protected
        for _, path, entry in changes:
            if self._skipped and beneath_any(path, self._skipped):
                continue
            here = found.get(path)
            if is_protected(path):
                self._skip(path, "is syncer's own file: it is neither written nor deleted")
            elif path in flaws:
                self._skip(path, flaws[path])
            elif entry is None:
                self._delete(path, here)
            elif entry.kind is Kind.UNKNOWN:
                self._skipped.add(path)
                self.plan.steps.append(Step(Action.RECORD, path, entry, here, 0, 0))
            elif not self._reach.may_descend(path):
                self._skip(path, "is excluded in failover's configuration: it is not written there")
            elif here is not None and here.blocker:
                self._skip(path, here.blocker)
            else:
                self._put(path, entry, here)
        return self.plan

    def _skip(self, path: bytes, reason: str) -> None:
        self._skipped.add(path)
        self.plan.problems[path] = reason

    def _put(self, path: bytes, entry: Entry, here: Found | None) -> None:
        uid, gid = self._owners(entry)
        if here is None:
            action = Action.BUILD if path and parent_of(path) in self._new else Action.PLACE
        elif here.kind is entry.kind and here.same:
            shared = here.links > 1 and entry.kind is Kind.FILE
            if metadata_equal(entry, here, uid, gid) and (entry.link or not shared):
                action = Action.RECORD
            elif shared:
                # Another name of the file, perhaps outside the root, would change with it; or it is to have one name.
                action = Action.PLACE
            else:
                action = Action.ADJUST
        else:
            action = Action.PLACE
            if here.kind is Kind.DIRECTORY:
                self._replaced.add(path)
        if entry.kind is Kind.DIRECTORY and action in (Action.PLACE, Action.BUILD):
            self._new.add(path)
        self.plan.steps.append(Step(action, path, entry, here, uid, gid, self._attributes(entry)))

    def _delete(self, path: bytes, here: Found | None) -> None:
        self.plan.deletions.append(path)
        # What lay below a directory that is replaced goes with it.
        if here is None or (self._replaced and beneath_any(path, self._replaced)):
            return
        if here.kind is Kind.UNKNOWN:
            self.plan.problems[path] = "is a FIFO, a socket or a device here, and gone on production: remove it by hand"
            return
        is_directory = here.kind is Kind.DIRECTORY
        # What is excluded here is forgotten, not deleted.
        if self._reach.may_descend(path):
            self.plan.removals.append(Removal(path, is_directory))


def beneath_any(path: bytes, tops: set[bytes]) -> bool:
    """Tell whether `path` is one of `tops` or lies below one."""
    while path:
        if path in tops:
            return True
        path = parent_of(path)
    return b"" in tops
