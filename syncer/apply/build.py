"""Builds what a transaction makes new, in the staging area, with its final owner, mode and mtime."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from syncer.apply.groups import file_of
from syncer.apply.metadata import set_link_metadata, set_metadata
from syncer.apply.plan import Action, Step
from syncer.apply.sparse import data_ranges, write_sparse
from syncer.apply.stage import Stage, Stages
from syncer.apply.survey import UNHOLDABLE, identity_of
from syncer.files import Disk, DiskError
from syncer.model import DiskIdentity, Entry, Kind, join, name_of, parent_of

FLUSHED_ONE_BY_ONE = 16
"""Up to so many paths are flushed each by itself; more cost less with one flush of the file system."""

NO_LINK = frozenset((errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOENT, errno.EOPNOTSUPP, errno.EACCES))
"""What keeps a file from getting another name; it is copied instead."""
_NO_COPY = frozenset((errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM))
_COPIED_AT_ONCE = 1 << 30
_PIECE = 1 << 20


class Place(NamedTuple):
    """Where something is staged: `path` is relative to the stage."""

    stage: Stage
    path: bytes


class Builder:
    """The staged things of one transaction."""

    def __init__(self, disk: Disk, stages: Stages, *, flush_each: bool) -> None:
        """Build in `stages`; with `flush_each` every file is durable as soon as it is complete."""
        self.places: dict[bytes, Place] = {}
        """Where each path that is placed, or that other new paths lie in, is staged."""
        self.identities: dict[bytes, DiskIdentity] = {}
        self.problems: dict[bytes, str] = {}
        self.dropped: set[bytes] = set()
        """Paths that could not be built; nothing is placed for them nor below them."""
        self.bytes_written = 0
        self.shared: set[Entry] = set()
        """Files of which several names are staged, as groups.file_of tells them: each is built once."""
        self.linked: set[bytes] = set()
        """Paths that were staged as names of one file: their identity is known only once all are."""
        self._first_names: dict[Entry, tuple[bytes, Place]] = {}
        self._disk = disk
        self._stages = stages
        self._flush_each = flush_each
        self._directories: list[Step] = []
        self._uid = os.geteuid()
        self._gid = os.getegid()

    def prepare(self, step: Step) -> Place | None:
        """Choose where a new path is staged, and make it unless it is a file; None where it was dropped."""
        path, entry = step.path, step.entry
        if step.action is Action.PLACE:
            stage = self._stages.for_directory(parent_of(path))
            place = Place(stage, stage.next_name())
        else:
            parent = self.places.get(parent_of(path))
            if parent is None:
                self.dropped.add(path)
                return None
            place = Place(parent.stage, join(parent.path, name_of(path)))
        if entry.kind is Kind.DIRECTORY:
            self._make_directory(place, step)
        elif entry.kind is Kind.SYMLINK:
            self._make_symlink(place, step)
        elif step.action is Action.PLACE:
            self.places[path] = place
        return None if path in self.dropped else place

    def write_file(self, place: Place, step: Step, data: bytes) -> None:
        """Stage a whole file whose verified content is in memory."""
        if self._is_linked(place, step):
            return
        descriptor = self.create(place, step)
        if descriptor < 0:
            return
        try:
            if data:
                write_sparse(self._disk, descriptor, data, step.path)
            self.seal(descriptor, step, place)
        finally:
            os.close(descriptor)

    def copy_file(self, source: int, place: Place, step: Step) -> None:
        """Stage a file with the content of an opened one; the caller vouches for the content."""
        if self._is_linked(place, step):
            return
        descriptor = self.create(place, step)
        if descriptor < 0:
            return
        try:
            self.copy(source, descriptor, step)
            self.seal(descriptor, step, place)
        finally:
            os.close(descriptor)

    def create(self, place: Place, step: Step) -> int:
        """Create an empty staged file; return a descriptor, or -1 where its name cannot be held here."""
        entry = step.entry
        # Nobody else can enter the stage, so the final mode may be there before owner and content are.
        try:
            return self._disk.create_file(
                place.stage.root.directory(parent_of(place.path)),
                name_of(place.path),
                step.path,
                entry.mode & 0o777,
            )
        except DiskError as error:
            self._drop_unholdable(step, error)
            return -1

    def seal(self, descriptor: int, step: Step, place: Place) -> None:
        """Give a complete staged file its metadata, flush it where that is due, and note its identity."""
        disk, entry, path = self._disk, step.entry, step.path
        mtime_ns = entry.mtime_ns
        if (step.uid != self._uid or step.gid != self._gid) and self._uid == 0:
            disk.set_owner(descriptor, step.uid, step.gid, path)
        disk.set_times(descriptor, mtime_ns, mtime_ns, path)
        here = os.fstat(descriptor)
        if (
            here.st_mtime_ns != mtime_ns
            or here.st_mode & 0o7777 != entry.mode
            or here.st_uid != step.uid
            or here.st_gid != step.gid
            or step.attributes
        ):
            here, reason = set_metadata(disk, descriptor, here, step, mtime_ns, fresh=True)
            if reason:
                self._add_problem(path, reason)
        if self._flush_each:
            disk.flush_file(descriptor, path)
        self.bytes_written += here.st_size
        self.identities[path] = identity_of(here)
        if entry.link and file_of(entry) in self.shared:
            self._first_names.setdefault(file_of(entry), (path, place))

    def _is_linked(self, place: Place, step: Step) -> bool:
        """Stage a path as another name of a file that is staged already; False where it needs a file of its own."""
        first = self._first_names.get(file_of(step.entry)) if step.entry.link and self.shared else None
        if first is None:
            return False
        path, there = first
        try:
            self._disk.link(
                there.stage.root.directory(parent_of(there.path)),
                name_of(there.path),
                place.stage.root.directory(parent_of(place.path)),
                name_of(place.path),
                step.path,
            )
        except DiskError as error:
            if error.number not in NO_LINK:
                # A name that cannot be held here is found out again, and told, where it is created.
                if error.number in UNHOLDABLE:
                    return False
                raise
            self.problems[step.path] = copied_because(error.number)
            return False
        self.linked.update((path, step.path))
        if path in self.problems:
            # What the file lacks, each of its names lacks.
            self._add_problem(step.path, self.problems[path])
        return True

    def copy(self, source: int, target: int, step: Step) -> None:
        """Copy all of `source` into the empty `target`, holes as holes, within the kernel where it can."""
        here = os.fstat(source)
        if here.st_blocks * 512 >= here.st_size:
            os.lseek(source, 0, os.SEEK_SET)
            self._copy_some(source, target, here.st_size, step)
            return
        for start, end in data_ranges(source, here.st_size):
            os.lseek(source, start, os.SEEK_SET)
            os.lseek(target, start, os.SEEK_SET)
            self._copy_some(source, target, end - start, step)
        self._disk.set_size(target, here.st_size, step.path)

    def _copy_some(self, source: int, target: int, count: int, step: Step) -> None:
        """Copy `count` bytes, less where the file ends before, from where both stand."""
        try:
            while count and (copied := self._disk.copy_range(source, target, min(count, _COPIED_AT_ONCE), step.path)):
                count -= copied
        except DiskError as error:
            if error.number not in _NO_COPY:
                raise
            # Both stand where the kernel stopped, so this goes on from there.
            while count and (piece := os.read(source, min(count, _PIECE))):
                self._disk.write(target, piece, step.path)
                count -= len(piece)

    def finish_directories(self) -> None:
        """Give new directories their metadata, deepest first, now that nothing more is made in them."""
        for step in reversed(self._directories):
            place = self.places[step.path]
            descriptor = place.stage.root.directory(place.path)
            # A directory that its owner may not write to cannot be moved by that owner: later, when placed.
            if step.action is Action.BUILD or self._uid == 0:
                here, reason = set_metadata(
                    self._disk,
                    descriptor,
                    os.fstat(descriptor),
                    step,
                    step.entry.mtime_ns,
                    fresh=True,
                )
                if reason:
                    self.problems[step.path] = reason
                self.identities[step.path] = identity_of(here)
            if self._flush_each:
                self._disk.flush_directory(descriptor, step.path)

    def staged_identities(self, steps: Sequence[Step], linked: AbstractSet[bytes]) -> dict[bytes, DiskIdentity]:
        """Return the identities of all that is staged; those of names of one file (`linked`) are known only now."""
        identities = dict(self.identities)
        for step in steps:
            path = step.path
            if path in self.dropped or path in identities:
                continue
            if step.action is Action.PLACE or path in linked:
                identities[path] = self._staged_identity(path)
        return identities

    def _staged_identity(self, path: bytes) -> DiskIdentity:
        place = self.places.get(path)
        if place is None:
            parent = self.places[parent_of(path)]
            place = Place(parent.stage, join(parent.path, name_of(path)))
        here = place.stage.root.lstat(place.path)
        assert here is not None, "what is staged is there: nobody else enters the stage"
        return identity_of(here)

    def flush(self) -> None:
        """Make durable what was not flushed one by one, and the names of what was."""
        for stage in self._stages.opened():
            if not self._flush_each:
                self._disk.flush_filesystem(stage.descriptor, b"")
            elif self.places or self.identities:
                self._disk.flush_directory(stage.descriptor, b"")

    def _make_directory(self, place: Place, step: Step) -> None:
        try:
            self._disk.make_directory(
                place.stage.root.directory(parent_of(place.path)), name_of(place.path), 0o700, step.path
            )
        except DiskError as error:
            self._drop_unholdable(step, error)
            return
        self.places[step.path] = place
        self._directories.append(step)

    def _make_symlink(self, place: Place, step: Step) -> None:
        directory, name = place.stage.root.directory(parent_of(place.path)), name_of(place.path)
        try:
            self._disk.make_symlink(directory, name, step.entry.link_target, step.path)
        except DiskError as error:
            self._drop_unholdable(step, error)
            return
        here, reason = set_link_metadata(self._disk, directory, name, step, fresh=True)
        if reason:
            self.problems[step.path] = reason
        self.identities[step.path] = identity_of(here)
        self.places[step.path] = place

    def _add_problem(self, path: bytes, reason: str) -> None:
        before = self.problems.get(path)
        self.problems[path] = f"{before}; {reason}" if before else reason

    def _drop_unholdable(self, step: Step, error: DiskError) -> None:
        if error.number not in UNHOLDABLE:
            raise error
        self.dropped.add(step.path)
        self.places.pop(step.path, None)
        self.problems[step.path] = (
            f"cannot be held by the file system here ({os.strerror(error.number)}): rename it on production"
        )


def copied_because(number: int) -> str:
    """Return the problem of a name that got a copy."""
    return f"is a copy here, not another name of the same file as on production ({os.strerror(number)})"
