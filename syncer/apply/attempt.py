"""One transaction being applied: staged and verified while nothing shows, then one short burst."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from syncer.apply.access import Access
from syncer.apply.build import FLUSHED_ONE_BY_ONE, Builder
from syncer.apply.burst import Burst
from syncer.apply.contents import Contents
from syncer.apply.links import HardLinks
from syncer.apply.owners import Owners
from syncer.apply.plan import Action, Plan, Step, Survey, beneath_any, make_plan
from syncer.apply.reuse import LocalContents
from syncer.apply.stage import Stages
from syncer.apply.survey import Surveyor
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import ApplyError, InvariantError
from syncer.files import Disk, DiskError, Root
from syncer.model import Change, DiskIdentity, Kind, Problem
from syncer.state.base import BaseRow

_NOWHERE = DiskIdentity(0, 0, 0, 0, 0)
_STAGED = (Action.PLACE, Action.BUILD)


class Attempt:
    """One transaction being applied; every method blocks, and all belong on one thread."""

    def __init__(
        self,
        domain: str,
        changes: Sequence[Change],
        root: Root,
        stages: Stages,
        base: BaseReader,
        reach: Reach,
        disk: Disk,
        owners: Owners,
    ) -> None:
        """Use Applier.begin; this takes over `root` and `stages`, and closes them at the end."""
        self._domain = domain
        self._root = root
        self._stages = stages
        self._base = base
        self._disk = disk
        self._owners = owners
        self._access = Access(root, disk)
        self._burst = Burst(root, disk, reach, self._access)
        self._links = HardLinks(root, base, disk)
        self._survey = Survey({}, {}, {})
        self._plan = Plan([], [], [], {})
        self._contents: Contents | None = None
        self._ended = False
        with self._given_up_on_error():
            self._prepare(changes, reach)

    def wanted(self, available: AbstractSet[bytes] = frozenset()) -> list[bytes]:
        """Return the digests that must come from the peer, each once, in the order of need.

        What is on this disk already is verified and staged instead, unless the peer has sent it along
        (`available`). Raises ApplyError where the disk refuses.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            self._local.supply(contents, available)
        return contents.wanted()

    def write(self, digest: bytes, data: bytes, offset: int, more: bool) -> None:
        """Take a wanted content, whole or in pieces that come in order (`offset` in bytes).

        Raises ApplyError with CONTENT_MISMATCH where size or digest are wrong, with DISK_FULL or IO where
        the disk refuses, PeerProtocolError for what was not asked for; then the attempt is given up.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            contents.write(digest, data, offset, more)

    def finish(self) -> Applied:
        """Make the transaction visible and durable; returns what the caller commits.

        Raises PeerProtocolError while contents are missing, ApplyError where the disk refuses; the same
        changes may then be applied anew, whatever had become visible.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            contents.require_complete()
            self._builder.finish_directories()
            self._local.require_unchanged()
            self._links.require_unchanged()
            self._builder.flush()
            # CRASH: until here nothing is visible, from here on everything is staged and durable.
            # The intent journal writes its record at this milestone.
            self._disk.milestone("intent")
            self._rename_and_remove()
            kept = self._settle()
            self._burst.flush()
            # CRASH: the caller's commit of base and cursor follows; all that it says is durable by now.
            self._disk.milestone("applied")
            applied = self._result(kept)
            self._end()
            return applied

    def discard(self) -> None:
        """Give up before `finish`: nothing visible has changed. May be called again, and after an error."""
        if self._ended:
            return
        self._ended = True
        with contextlib.ExitStack() as stack:
            stack.callback(self._root.close)
            stack.callback(self._stages.end)
            stack.callback(self._burst.close)
            stack.callback(self._empty_stages)
            stack.callback(self._access.restore)
            stack.callback(self._restore_disturbed)
            if self._contents is not None:
                stack.callback(self._contents.close)

    def _prepare(self, changes: Sequence[Change], reach: Reach) -> None:
        self._survey = Surveyor(self._root, self._base, reach, self._access, self._owners).run(changes)
        self._plan = make_plan(changes, self._survey, reach, self._owners.local, self._owners.attributes)
        self._plan = self._links.join(self._plan, self._survey)
        staged = [step for step in self._plan.steps if step.action in _STAGED]
        flush_each = len(staged) <= FLUSHED_ONE_BY_ONE and not any(step.entry.kind is Kind.SYMLINK for step in staged)
        self._builder = Builder(self._disk, self._stages, flush_each=flush_each)
        self._links.share(self._builder)
        contents = self._contents = Contents(self._builder, self._disk)
        for step in staged:
            place = self._builder.prepare(step)
            if place is None or step.entry.kind is not Kind.FILE:
                continue
            if self._links.stage(place, step, self._builder):
                continue
            if step.entry.size == 0:
                self._builder.write_file(place, step, b"")
            else:
                contents.need(place, step)
        self._local = LocalContents(
            self._root, self._base, self._builder, self._disk, self._vanishing(), flush_each=flush_each
        )

    def _vanishing(self) -> set[bytes]:
        """Return the files whose names go or are replaced in this transaction."""
        gone = {removal.path for removal in self._plan.removals if not removal.is_directory}
        gone.update(step.path for step in self._plan.steps if step.action is Action.PLACE and step.found is not None)
        return gone

    def _rename_and_remove(self) -> None:
        places, dropped = self._builder.places, self._builder.dropped
        for step in self._plan.steps:
            if step.action is Action.PLACE and step.path not in dropped:
                self._burst.place(step, places[step.path])
        for removal in reversed(self._plan.removals):
            self._burst.remove(removal)

    def _settle(self) -> list[BaseRow]:
        """Set metadata of what is there already, mtimes of directories last and deepest first.

        Returns the rows of directories that are not in the changes but were touched all the same.
        """
        steps = [step for step in self._plan.steps if self._is_applied(step.path)]
        for step in steps:
            if step.action is Action.ADJUST and step.entry.kind is not Kind.DIRECTORY:
                self._burst.adjust(step)
            elif step.action is Action.PLACE or step.path in self._local.linked or step.path in self._builder.linked:
                # Removals and renames are over: ctime moves no more.
                self._burst.note_identity(step.path)
        gone = {*self._burst.removed, *(step.path for step in steps if step.entry.kind is not Kind.DIRECTORY)}
        touched = (*self._survey.parents, *self._stages.disturbed)
        directories: dict[bytes, Step | None] = {path: None for path in touched if not beneath_any(path, gone)}
        for step in steps:
            if step.entry.kind is Kind.DIRECTORY and step.action is not Action.BUILD:
                directories[step.path] = step
        self._links.note_unmoved(self._burst.note_identity)
        kept: list[BaseRow] = []
        deleted = set(self._plan.deletions)
        for path in sorted(directories, key=lambda path: path.count(b"/") + bool(path), reverse=True):
            step_here = directories[path]
            if step_here is not None:
                self._burst.settle(step_here)
            else:
                row = self._keep(path)
                kept += [row] if row is not None and path not in deleted else []
        kept += [row for row in self._links.kept() if row.entry.path not in deleted]
        self._access.restore()
        return kept

    def _keep(self, path: bytes) -> BaseRow | None:
        """Give a directory back the mtime that production has, as the base says, or that it had before."""
        self._access.restore_one(path)
        known = self._base.get(path)
        before = self._survey.parents.get(path)
        if known is not None and known.entry.kind is Kind.DIRECTORY:
            entry = known.entry
            # CRASH: an attempt that died has left it open for us, and nobody else remembers its mode.
            if before is not None and before.mode != entry.mode and self._access.was_left_open(before.mode, entry.mode):
                self._burst.keep_mode(path, entry.mode)
            atime_ns = before.atime_ns if before is not None else entry.mtime_ns
            identity = self._burst.keep_times(path, atime_ns, entry.mtime_ns)
            return BaseRow(entry, identity) if identity != known.identity else None
        if path in self._stages.disturbed:
            here = self._stages.disturbed[path]
            self._burst.keep_times(path, here.st_atime_ns, here.st_mtime_ns)
        elif before is not None:
            self._burst.keep_times(path, before.atime_ns, before.identity.mtime_ns)
        return None

    def _is_applied(self, path: bytes) -> bool:
        return not (self._lost and beneath_any(path, self._lost))

    @property
    def _lost(self) -> set[bytes]:
        return self._builder.dropped | self._burst.dropped

    def _result(self, kept: list[BaseRow]) -> Applied:
        lost = self._lost
        steps = [step for step in self._plan.steps if not (lost and beneath_any(step.path, lost))]
        upserts = [BaseRow(step.entry, self._identity(step)) for step in steps]
        problems = {**self._plan.problems, **self._builder.problems, **self._burst.problems}
        for step in steps:
            stranger = self._owners.strangers(step.entry)
            if stranger:
                problems.setdefault(step.path, stranger)
        changed = sum(1 for step in steps if step.action is not Action.RECORD) + len(self._burst.removed)
        return Applied(
            upserts + kept,
            self._plan.deletions,
            changed,
            self._builder.bytes_written,
            [Problem(self._domain, path, reason) for path, reason in problems.items()],
        )

    def _identity(self, step: Step) -> DiskIdentity:
        path = step.path
        settled = self._burst.identities.get(path)
        if settled is not None:
            return settled
        if step.action is Action.BUILD:
            return self._builder.identities[path]
        return step.found.identity if step.found is not None else _NOWHERE

    def _end(self) -> None:
        """Remove what directories were swapped against, and close everything."""
        self._ended = True
        self._empty_stages()
        self._burst.close()
        self._stages.end()
        self._root.close()

    def _empty_stages(self) -> None:
        for stage in self._stages.opened():
            stage.root.forget(b"")
            stage.clear()

    def _restore_disturbed(self) -> None:
        for path, here in self._stages.disturbed.items():
            self._burst.keep_times(path, here.st_atime_ns, here.st_mtime_ns)

    def _open_contents(self) -> Contents:
        if self._contents is None or self._ended:
            raise InvariantError("an apply attempt was used after its end: report this as a fault of syncer")
        return self._contents

    @contextlib.contextmanager
    def _given_up_on_error(self) -> Iterator[None]:
        """Give the attempt up where its body fails, and turn stray errors of the system into ApplyError."""
        try:
            yield
        except BaseException as error:
            # The first error is what matters; what stays staged now, the next attempt removes.
            with contextlib.suppress(ApplyError, OSError):
                self.discard()
            if isinstance(error, OSError):
                raise DiskError("apply", os.fsencode(error.filename or b""), error) from error
            raise
