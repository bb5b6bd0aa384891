"""One transaction being applied: staged and verified while nothing shows, then made visible as a whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from syncer.apply.access import Access
from syncer.apply.as_applied import AsApplied
from syncer.apply.asides import Survivors, choose_asides
from syncer.apply.build import FLUSHED_ONE_BY_ONE, Builder
from syncer.apply.burst import Burst
from syncer.apply.candidate import CandidateView, Check, alters
from syncer.apply.contents import Contents
from syncer.apply.execution import Execution, Work
from syncer.apply.journal import Journal, Opening
from syncer.apply.leftovers import Leftovers
from syncer.apply.links import HardLinks
from syncer.apply.owners import Owners
from syncer.apply.plan import Action, Plan, Survey, make_plan
from syncer.apply.reuse import LocalContents
from syncer.apply.space import require_space
from syncer.apply.stage import Stages
from syncer.apply.survey import Surveyor
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import ApplyError, HalfAppliedError, InvariantError, Reason, StateError
from syncer.files import Disk, DiskError, Root
from syncer.model import Change, Kind

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
        journal: Journal,
        leftovers: Leftovers | None,
        check: Check | None = None,
    ) -> None:
        """Use Applier.begin; this takes over `root` and `stages`, and closes them at the end."""
        self._domain = domain
        self._root = root
        self._stages = stages
        self._base = base
        self._reach = reach
        self._disk = disk
        self._owners = owners
        self._journal = journal
        self._leftovers = leftovers
        self._check = check
        self._access = Access(root, disk)
        self._as_applied = AsApplied(root, owners)
        self._links = HardLinks(root, base, disk, self._as_applied)
        self._survey = Survey({}, {}, {})
        self._plan = Plan([], [], [], {})
        self._contents: Contents | None = None
        self._ended = False
        self.is_done = False
        """It was carried out: nothing of it is staged any more."""
        with self._given_up_on_error():
            self._prepare(changes, reach)

    def wanted(self, available: AbstractSet[bytes] = frozenset()) -> list[bytes]:
        """Return the digests that must come from the peer, each once, in the order of need.

        What is on this disk already is verified and staged instead, unless the peer has sent it along
        (`available`). Raises ApplyError where the disk refuses, or has no room for what is wanted.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            self._local.supply(contents, available)
            require_space(self._root, contents.needs())
        return contents.wanted()

    def write(self, digest: bytes, data: bytes, offset: int, more: bool) -> None:
        """Take a wanted content, whole or in pieces that come in order (`offset` in bytes).

        Raises ApplyError with CONTENT_MISMATCH where size or digest are wrong, with DISK_FULL or IO where
        the disk refuses, PeerProtocolError for what was not asked for; then the attempt is given up.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            contents.write(digest, data, offset, more)

    def finish(self, opening: Opening) -> Applied:
        """Make the transaction visible and durable; returns what the caller commits.

        Raises PeerProtocolError while contents are missing, ApplyError where the disk refuses: then all is as it
        was before, but for HalfAppliedError, after which only recovery may touch the domain.
        """
        contents = self._open_contents()
        with self._given_up_on_error():
            contents.require_complete()
            self._builder.finish_directories()
            self._local.require_unchanged()
            self._links.require_unchanged()
            self._builder.flush()
            self._require_passed()
            work = self._work()
        if not self._plan.changes_disk:
            # Where nothing changes, nothing can be torn.
            return self._execute(work, opening)
        with self._given_up_on_error():
            generation = self._journal.begin(opening, work, self._survey, self._stages.name, self._as_applied)
            # CRASH: until the journal's commit nothing is visible, and what is staged is thrown away after a
            # crash; from here on all of it is durable, and recovery carries it to its end.
            self._disk.milestone("intent")
        return self._execute(work, opening, generation)

    def discard(self) -> None:
        """Give up before `finish`: nothing visible has changed. May be called again, and after an error."""
        if self._ended:
            return
        self._ended = True
        with contextlib.ExitStack() as stack:
            stack.callback(self._root.close)
            stack.callback(self._stages.end)
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
            self._root,
            self._base,
            self._builder,
            self._disk,
            self._vanishing(),
            self._leftovers,
            flush_each=flush_each,
        )

    def _require_passed(self) -> None:
        """Have the check look at what the tree would become; it raises where that must not stand."""
        if self._check is not None and alters(self._plan):
            view = CandidateView(self._root, self._stages, self._disk, self._base, self._survey, self._builder)
            view.show(self._plan, self._check)

    def _vanishing(self) -> set[bytes]:
        """Return the files whose names go in this transaction.

        Those that are replaced are not among them: they are put aside, and a file that is kept has one name.
        """
        return {removal.path for removal in self._plan.removals if not removal.is_directory}

    def _work(self) -> Work:
        """Gather all that the visible part needs."""
        builder, plan = self._builder, self._plan
        linked = frozenset((*self._local.linked, *builder.linked))
        identities = builder.staged_identities(plan.steps, linked)
        gone = {removal.path for removal in plan.removals}
        survivors = Survivors(self._survey.found, self._base, self._as_applied)
        unlinks = survivors.among(gone, {path: identities[path] for path in linked if path in identities})
        burst = Burst(self._root, self._disk, self._reach, self._access, self._stages)
        asides = choose_asides(plan.removals, unlinks.keys(), self._stages, burst)
        return Work(
            plan,
            {path: builder.places[path] for path in identities if path in builder.places},
            asides.names,
            asides.wholes,
            self._survey.parents,
            identities,
            builder.dropped,
            {**self._strangers(), **builder.problems},
            unlinks,
            linked,
            builder.bytes_written,
        )

    def _strangers(self) -> dict[bytes, str]:
        """Return the paths whose owner or access list names somebody whom nobody knows here: path → sentence."""
        named = ((step.path, self._owners.strangers(step.entry)) for step in self._plan.steps)
        return {path: sentence for path, sentence in named if sentence}

    def _execute(self, work: Work, opening: Opening, generation: int | None = None) -> Applied:
        """Carry the work out; where the disk refuses, put everything back as it was."""
        execution = Execution(
            self._domain, work, self._root, self._stages, self._base, self._reach, self._access, self._disk,
            self._links,
        )  # fmt: skip  # one argument list
        try:
            applied = execution.run()
        except (ApplyError, OSError) as error:
            self._undo(execution, error, journalled=generation is not None)
            raise _as_disk_error(error) from error
        finally:
            execution.close()
        filled = self._end()
        self.is_done = True
        made = opening.standing.generation if generation is None else generation
        return applied._replace(generation=made, fills_stage=filled)

    def _undo(self, execution: Execution, error: Exception, *, journalled: bool) -> None:
        """Take back what is visible; HalfAppliedError where the disk does not let us."""
        try:
            execution.undo()
            if journalled:
                self._journal.cancel()
        except (ApplyError, OSError, StateError) as second:
            # CRASH: the intent stays in the journal: recovery goes on from there, in this process or the next.
            self._end()
            raise HalfAppliedError(
                f"{_as_disk_error(error)}; and what was done already could not be taken back ({second}): "
                "it is carried to its end as soon as the disk allows it, and nothing else is applied before",
                getattr(error, "reason", Reason.IO),
            ) from error
        self.discard()

    def _end(self) -> bool:
        """Let go of everything, as it is; tell whether anything lies in its stages."""
        self._ended = True
        filled = self._stages.end()
        self._root.close()
        return filled

    def _restore_disturbed(self) -> None:
        for path, here in self._stages.disturbed.items():
            descriptor = self._root.directory(path)
            if os.fstat(descriptor).st_mtime_ns != here.st_mtime_ns:
                self._disk.set_times(descriptor, here.st_atime_ns, here.st_mtime_ns, path)

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
            # The first error is what matters; what stays staged now, the next attempt uses or removes.
            with contextlib.suppress(ApplyError, OSError):
                self.discard()
            if isinstance(error, OSError):
                raise _as_disk_error(error) from error
            raise


def _as_disk_error(error: Exception) -> ApplyError:
    if isinstance(error, ApplyError):
        return error
    assert isinstance(error, OSError), "nothing else is caught"
    return DiskError("apply", os.fsencode(error.filename or b""), error)
