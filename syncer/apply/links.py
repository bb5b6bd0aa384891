"""Keeps names of one file names of one file: links staged names to what stands, and notes what moved.

Nothing is linked that was not applied by this node and is unchanged since, and nothing with a name that
this transaction and the base do not know.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from syncer.apply.as_applied import AsApplied
from syncer.apply.build import NO_LINK, Builder, Place, copied_because
from syncer.apply.groups import Joined, Standing, join_names
from syncer.apply.plan import Plan, Step, Survey
from syncer.apply.survey import found_of, identity_of
from syncer.apply.values import BaseReader
from syncer.errors import ApplyError, BeneathRootError, Reason
from syncer.files import Disk, DiskError, Root
from syncer.model import DiskIdentity, Kind, Known, name_of, parent_of, shown
from syncer.state.base import BaseRow


class HardLinks:
    """The names of one transaction that share a file with others."""

    def __init__(self, root: Root, base: BaseReader, disk: Disk, as_applied: AsApplied) -> None:
        """Link below `root`, through `disk`; `as_applied` vouches for names whose ctime has moved."""
        self._as_applied = as_applied
        self._root = root
        self._base = base
        self._disk = disk
        self._joined = Joined(Plan([], [], [], {}), {}, set(), set())
        self._others: dict[int, list[Standing]] = {}
        self._linked: dict[bytes, tuple[Place, DiskIdentity]] = {}

    def join(self, plan: Plan, survey: Survey) -> Plan:
        """Return the plan with names of one file made names of one file."""
        steps = {step.path for step in plan.steps}
        for link in self._numbers(plan, survey):
            rows = [known for known in self._base.names_of_link(link) if known.entry.path not in steps]
            self._others[link] = [
                self._standing(known, here) for known in rows if (here := self._lstat(known.entry.path)) is not None
            ]
        self._joined = join_names(plan, survey.found, self._others)
        return self._joined.plan

    def share(self, builder: Builder) -> None:
        """Tell the builder which files it builds once for several names."""
        builder.shared = self._joined.staged

    def stage(self, place: Place, step: Step, builder: Builder) -> bool:
        """Give the file that stands already another name in the stage; False where it must be built."""
        source = self._joined.sources.get(step.path)
        if source is None:
            return False
        directory, name = place.stage.root.directory(parent_of(place.path)), name_of(place.path)
        try:
            self._disk.link(
                self._root.directory(parent_of(source.path)), name_of(source.path), directory, name, step.path
            )
        except DiskError as error:
            if error.number not in NO_LINK:
                raise
            builder.problems[step.path] = copied_because(error.number)
            return False
        here = os.stat(name, dir_fd=directory, follow_symlinks=False)
        # RACE: another file may have taken the name since the survey; only the link's own inode tells.
        if not _is_same_file(here, source.identity):
            self._disk.unlink(directory, name, step.path)
            raise _changed(step.path)
        builder.linked.add(step.path)
        self._linked[step.path] = (place, source.identity)
        return True

    def require_unchanged(self) -> None:
        """Raise ApplyError where a file that got a name here was written to since."""
        for path, (place, identity) in self._linked.items():
            here = place.stage.root.lstat(place.path)
            if here is None or not _is_same_file(here, identity):
                raise _changed(path)

    def note_unmoved(self, note: Callable[[bytes], None]) -> None:
        """Have the identities noted of names in the transaction that stayed as they are."""
        for path in self._joined.unmoved:
            note(path)

    def kept(self) -> Iterator[BaseRow]:
        """Yield names that are not in the transaction, but whose file got or lost another name: its ctime moved."""
        for standing in (standing for group in self._others.values() for standing in group):
            known = standing.known
            if not standing.is_untouched:
                continue
            here = self._lstat(known.entry.path)
            if here is None:
                continue
            identity = identity_of(here)
            moved = identity != known.identity
            if moved and identity._replace(ctime_ns=known.identity.ctime_ns) == known.identity:
                yield BaseRow(known.entry, identity)

    def _standing(self, known: Known, here: os.stat_result) -> Standing:
        """Return a name of the base with what stands there.

        A name that was given to its file and taken back, by an attempt that failed or died, has moved the ctime and
        nothing else: then reading tells that it is as it was applied.
        """
        identity = identity_of(here)
        if identity != known.identity and self._as_applied(known, identity):
            known = known._replace(identity=identity)
        return Standing(known, found_of(here))

    def _numbers(self, plan: Plan, survey: Survey) -> set[int]:
        """Return the link numbers that the transaction joins, changes or takes a name from."""
        numbers = {step.entry.link for step in plan.steps}
        for path, found in survey.found.items():
            if found.links > 1 and found.kind is Kind.FILE:
                known = self._base.get(path)
                if known is not None:
                    numbers.add(known.entry.link)
        numbers.discard(0)
        return numbers

    def _lstat(self, path: bytes) -> os.stat_result | None:
        try:
            return self._root.lstat(path)
        except (OSError, BeneathRootError):
            return None


def _is_same_file(here: os.stat_result, identity: DiskIdentity) -> bool:
    """Tell whether it is the file of this identity; each name that it gets moves the ctime."""
    return identity_of(here)._replace(ctime_ns=0) == identity._replace(ctime_ns=0)


def _changed(path: bytes) -> ApplyError:
    return ApplyError(
        f"the file that {shown(path)!a} becomes a name of was changed on failover while it was applied: "
        "it is tried again",
        Reason.CONTENT_MISMATCH,
    )
