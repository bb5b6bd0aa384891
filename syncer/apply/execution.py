"""The visible part of one transaction, from its first rename to its last flush; the same at first and in recovery."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

from syncer.apply.access import Access
from syncer.apply.build import FLUSHED_ONE_BY_ONE, Place
from syncer.apply.burst import Burst
from syncer.apply.links import HardLinks
from syncer.apply.plan import Action, Found, Plan, Removal, Step, beneath_any
from syncer.apply.settling import Settling
from syncer.apply.stage import Stages
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.files import Disk, Root
from syncer.model import DiskIdentity, Kind, Problem, join, name_of, parent_of
from syncer.state.base import BaseRow

_NOWHERE = DiskIdentity(0, 0, 0, 0, 0)


class Work(NamedTuple):
    """What is staged and decided: all that the visible part needs."""

    plan: Plan
    places: dict[bytes, Place]
    """Where each path that is placed is staged."""
    asides: dict[bytes, bytes]
    """Path of each removal → where it is put in the stage; those that go with their directory have none."""
    wholes: AbstractSet[bytes]
    """Directories that go with everything in them, in one rename."""
    parents: dict[bytes, Found]
    """Existing directories in which names change, as they were before."""
    identities: dict[bytes, DiskIdentity]
    """Of what was built inside new directories."""
    dropped: AbstractSet[bytes]
    problems: dict[bytes, str]
    unlinks: Mapping[bytes, bytes] = MappingProxyType({})
    """Names that go while their file stands under another path by then: nothing is put aside for them."""
    linked: AbstractSet[bytes] = frozenset()
    """New paths that share the inode of a file that goes: its ctime moves with the removal."""
    bytes_written: int = 0
    absent: AbstractSet[bytes] = frozenset()
    """Paths that somebody changed since the transaction was journalled: they are left as they are."""


class Execution:
    """Carries one Work out; use once."""

    def __init__(
        self, domain: str, work: Work, root: Root, stages: Stages, base: BaseReader, reach: Reach, access: Access,
        disk: Disk, links: HardLinks | None = None,
    ) -> None:  # fmt: skip  # one argument list
        """Work below `root`, through `disk`; `links` knows which names of one file moved with others."""
        self._links = links
        self._domain = domain
        self._work = work
        self._root = root
        self._stages = stages
        self._base = base
        self._disk = disk
        self._access = access
        self._burst = Burst(root, disk, reach, access, stages)
        self._settling = Settling(root, disk, access)

    def run(self, done: AbstractSet[bytes] = frozenset()) -> Applied:
        """Make it visible and durable, and return what the caller commits; `done` paths are in place already.

        Raises ApplyError or OSError where the disk refuses; then `undo` or, after a restart, recovery.
        """
        self._rename(done)
        kept = self._settle()
        self._flush()
        self._discard_dropped()
        # CRASH: the caller's commit of base and cursor follows; all that it says is durable by now.
        self._disk.milestone("applied")
        return self._result(kept)

    def undo(self) -> None:
        """Put everything back as it was, durably; raises ApplyError or OSError where the disk refuses that too."""
        self._settling.close()
        self._settling.undo()
        self._burst.undo()
        for path, before in self._work.parents.items():
            self._settling.keep_times(path, before.atime_ns, before.identity.mtime_ns)
        self._access.restore()
        self._disk.flush_filesystem(self._root.descriptor, b"")
        self._disk.milestone("undone")

    def close(self) -> None:
        """Close what was kept open."""
        self._settling.close()

    def _rename(self, done: AbstractSet[bytes]) -> None:
        work = self._work
        for step in work.plan.steps:
            if step.action is Action.PLACE and step.path not in work.dropped and step.path not in done:
                self._burst.place(step, work.places[step.path])
        late: list[Removal] = []
        for removal in work.plan.removals:
            path = removal.path
            if path in work.unlinks and path not in done:
                self._burst.unlink(removal, work.unlinks[path])
            elif path not in work.asides or path in done:
                self._burst.removed.append(path)
            elif removal.is_directory and path not in work.wholes:
                late.append(removal)
            else:
                self._burst.put_aside(removal, work.asides[path])
        # Children before parents: each is empty by then, unless something is in it that does not go.
        for removal in reversed(late):
            self._burst.put_aside_if_empty(removal, work.asides[removal.path])

    def _discard_dropped(self) -> None:
        """Remove what could not be placed: all that is left in the stage was displaced."""
        for path in self._burst.dropped:
            stage, where = self._work.places[path]
            here = stage.root.lstat(where)
            if here is not None and stat.S_ISDIR(here.st_mode):
                stage.area.remove_tree(join(stage.name, where))
            elif here is not None:
                self._disk.unlink(stage.root.directory(parent_of(where)), name_of(where), path)

    def _settle(self) -> list[BaseRow]:
        """Set metadata of what is there already, mtimes of directories last and deepest first.

        Returns the rows of directories that are not in the changes but were touched all the same.
        """
        absent = self._work.absent
        steps = [step for step in self._work.plan.steps if self._is_applied(step.path) and step.path not in absent]
        for step in steps:
            if step.action is Action.ADJUST and step.entry.kind is not Kind.DIRECTORY:
                self._settling.adjust(step)
            elif step.action is Action.PLACE or step.path in self._work.linked:
                # Removals and renames are over: ctime moves no more.
                self._settling.note_identity(step.path)
        gone = {*self._burst.removed, *(step.path for step in steps if step.entry.kind is not Kind.DIRECTORY)}
        touched = (*self._work.parents, *self._stages.disturbed)
        directories: dict[bytes, Step | None] = {path: None for path in touched if not beneath_any(path, gone)}
        for step in steps:
            if step.entry.kind is Kind.DIRECTORY and step.action is not Action.BUILD:
                directories[step.path] = step
        kept: list[BaseRow] = []
        deleted = set(self._work.plan.deletions)
        if self._links is not None:
            self._links.note_unmoved(self._settling.note_identity)
        for path in sorted(directories, key=lambda path: path.count(b"/") + bool(path), reverse=True):
            step_here = directories[path]
            if step_here is not None:
                self._settling.settle(step_here)
            else:
                row = self._keep(path)
                kept += [row] if row is not None and path not in deleted else []
        if self._links is not None:
            kept += [row for row in self._links.kept() if row.entry.path not in deleted]
        self._access.restore()
        return kept

    def _keep(self, path: bytes) -> BaseRow | None:
        """Give a directory back the mtime that production has, as the base says, or that it had before."""
        self._access.restore_one(path)
        known = self._base.get(path)
        before = self._work.parents.get(path)
        if known is not None and known.entry.kind is Kind.DIRECTORY:
            entry = known.entry
            # CRASH: an attempt that died has left it open for us, and nobody else remembers its mode.
            if before is not None and before.mode != entry.mode and self._access.was_left_open(before.mode, entry.mode):
                self._settling.keep_mode(path, entry.mode)
            atime_ns = before.atime_ns if before is not None else entry.mtime_ns
            identity = self._settling.keep_times(path, atime_ns, entry.mtime_ns)
            return BaseRow(entry, identity) if identity != known.identity else None
        if path in self._stages.disturbed:
            here = self._stages.disturbed[path]
            self._settling.keep_times(path, here.st_atime_ns, here.st_mtime_ns)
        elif before is not None:
            self._settling.keep_times(path, before.atime_ns, before.identity.mtime_ns)
        return None

    def _flush(self) -> None:
        """Make all of it durable.

        Names, and metadata of directories, by fsync of the directory; metadata of files by fsync of the
        file; links cannot be opened for that, so where one was touched, and where there are many paths,
        the whole file system is flushed once.
        """
        burst, settling = self._burst, self._settling
        gone = set(burst.removed)
        changed = burst.changed_directories | settling.changed_directories
        directories = [path for path in changed if not beneath_any(path, gone)]
        several = len(directories) + len(settling.files) > FLUSHED_ONE_BY_ONE
        if several or settling.needs_whole_flush or burst.touched_links:
            self._disk.flush_filesystem(self._root.descriptor, b"")
            flushed = {os.fstat(self._root.descriptor).st_dev}
            for path in directories:
                if self._root.is_on_other_mount(path):
                    descriptor = self._root.directory(path)
                    device = os.fstat(descriptor).st_dev
                    if device not in flushed:
                        self._disk.flush_filesystem(descriptor, path)
                        flushed.add(device)
        else:
            for path, descriptor in settling.files:
                self._disk.flush_file(descriptor, path)
            for path in directories:
                self._disk.flush_directory(self._root.directory(path), path)
        settling.close()

    def _is_applied(self, path: bytes) -> bool:
        return not (self._lost and beneath_any(path, self._lost))

    @property
    def _lost(self) -> set[bytes]:
        return {*self._work.dropped, *self._burst.dropped}

    def _result(self, kept: list[BaseRow]) -> Applied:
        lost = self._lost
        work = self._work
        steps = [step for step in work.plan.steps if not (lost and beneath_any(step.path, lost))]
        upserts = [BaseRow(step.entry, self._identity(step)) for step in steps]
        problems = {**work.plan.problems, **work.problems, **self._burst.problems, **self._settling.problems}
        changed = sum(1 for step in steps if step.action is not Action.RECORD) + len(self._burst.removed)
        return Applied(
            upserts + kept,
            work.plan.deletions,
            changed,
            work.bytes_written,
            [Problem(self._domain, path, reason) for path, reason in problems.items()],
            dropped=frozenset(self._undisplaced()),
        )

    def _undisplaced(self) -> Iterator[bytes]:
        """Yield the paths that the journal calls displaced, and that stand as they did."""
        yield from self._burst.dropped
        stayed = self._burst.stayed
        if stayed:
            yield from (path for path in self._work.plan.deletions if beneath_any(path, stayed))

    def _identity(self, step: Step) -> DiskIdentity:
        path = step.path
        settled = self._settling.identities.get(path)
        if settled is not None:
            return settled
        if step.action is Action.BUILD:
            return self._work.identities.get(path, _NOWHERE)
        return step.found.identity if step.found is not None else _NOWHERE
