"""Carries a journalled transaction to its end: after a crash, or after the disk refused both the way on and back.

The steps come from the journal, never from a new look at the changes, so that what was decided then is what is
done now. A path that somebody changed meanwhile is left as it is: it counts as edited after it was applied.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from syncer.apply.access import Access
from syncer.apply.build import Place
from syncer.apply.execution import Execution, Work
from syncer.apply.owners import Owners
from syncer.apply.plan import Action, Found, Plan, Removal, Step
from syncer.apply.stage import Stages
from syncer.apply.survey import found_of
from syncer.apply.values import Applied, BaseReader, Reach
from syncer.errors import BeneathRootError
from syncer.files import Disk, Root
from syncer.model import DiskIdentity, Kind, parent_of
from syncer.state.intents import Intent, IntentStep

_REMOVALS = ("remove", "remove_tree", "unlink")
_LOOKED_AT = (*_REMOVALS, "place", "adjust", "record", "keep")


class _Standing(NamedTuple):
    """Which steps are taken, and which can be neither taken nor seen any more."""

    done: set[bytes]
    absent: set[bytes]


def recover(
    domain: str, intent: Intent, root: Root, stages: Stages, base: BaseReader, reach: Reach, disk: Disk,
    owners: Owners,
) -> Applied:  # fmt: skip  # one argument list
    """Take the steps that are not taken yet, and return what the caller commits with the intent's standing.

    May be called again after it failed or was killed. Raises ApplyError or OSError where the disk refuses.
    """
    stages.begin(root, intent.stage)
    access = Access(root, disk)
    standing = _look(intent.steps, root, stages, access)
    work = _work_of(intent.steps, stages, owners, standing)
    execution = Execution(domain, work, root, stages, base, reach, access, disk)
    try:
        disk.milestone("recovery")
        applied = execution.run(standing.done)
    finally:
        execution.close()
        # CRASH: what was displaced before it lies in stages that nothing was taken from now, on any mount: whether it
        # does, the history finds out.
        filled = stages.end(is_known=False)
    unread = {step.path for step in intent.steps if step.action in ("record", "adjust")}
    edited = _edited_since(intent.steps, applied)
    # What was equal before the crash was not read since: only reading tells whether it still is. A directory has
    # nothing to read, and the identity of the root tells it from an empty mount point.
    upserts = [
        row._replace(identity=_UNREAD)
        if row.entry.kind is not Kind.DIRECTORY and (row.entry.path in unread or row.entry.path in edited)
        else row
        for row in applied.upserts
    ]
    return applied._replace(upserts=upserts, fills_stage=filled)


def _edited_since(steps: Iterable[IntentStep], applied: Applied) -> set[bytes]:
    """Return placed files that somebody has written to since: they are no more what was staged."""
    placed = {step.path: step.entry for step in steps if step.action == "place" and step.entry is not None}
    edited = set()
    for row in applied.upserts:
        entry, identity = placed.get(row.entry.path), row.identity
        if entry is None or entry.kind is not Kind.FILE:
            continue
        if (identity.size, identity.mtime_ns) != (entry.size, entry.mtime_ns):
            edited.add(entry.path)
    return edited


_UNREAD = DiskIdentity(0, 0, 0, 0, 0)


def _look(steps: Iterable[IntentStep], root: Root, stages: Stages, access: Access) -> _Standing:
    """See from inodes which steps were taken."""
    done: set[bytes] = set()
    absent: set[bytes] = set()
    for step in steps:
        if step.action not in _LOOKED_AT:
            continue
        here = _lstat(root, access, step.path)
        inode = here.st_ino if here is not None else None
        if step.action == "place":
            if inode == step.inode:
                done.add(step.path)
            elif _inode_staged(step, root, stages, access) != step.inode:
                done.add(step.path)
                absent.add(step.path)
        elif step.action in _REMOVALS:
            # Another name of the very file may have been put there since: what is put aside already is done.
            if inode != step.inode or _inode_staged(step, root, stages, access) == step.inode:
                done.add(step.path)
        elif not _can_settle(step, here):
            absent.add(step.path)
    return _Standing(done, absent)


def _can_settle(step: IntentStep, here: os.stat_result | None) -> bool:
    """Tell whether metadata can still be given to what stands there: nobody has put another thing in its place.

    A file with a second name is left alone, which could lie outside the root.
    """
    assert step.entry is not None, "what is adjusted, recorded or kept has an entry"
    kind = step.entry.kind
    if step.action == "record" and kind is not Kind.DIRECTORY:
        return True
    if here is None or found_of(here).kind is not kind:
        return False
    return kind is not Kind.FILE or here.st_nlink == 1


def _lstat(root: Root, access: Access, path: bytes) -> os.stat_result | None:
    try:
        if path:
            access.directory(parent_of(path))
        return root.lstat(path)
    except (FileNotFoundError, BeneathRootError):
        return None


def _inode_staged(step: IntentStep, root: Root, stages: Stages, access: Access) -> int | None:
    """Return the inode of what waits in the stage; None where nothing does, or where it has no place to go to."""
    try:
        access.directory(parent_of(step.path))
        stage = stages.for_directory(parent_of(step.path))
        found = stage.root.lstat(step.place)
    except (FileNotFoundError, BeneathRootError):
        return None
    return None if found is None else found.st_ino


def _work_of(steps: list[IntentStep], stages: Stages, owners: Owners, standing: _Standing) -> Work:
    plan = Plan([], [], [], {})
    unlinks: dict[bytes, bytes] = {}
    work = Work(plan, {}, {}, {step.path for step in steps if step.action == "remove_tree"}, {}, {}, frozenset(), {})
    for step in steps:
        if step.action in _REMOVALS:
            plan.removals.append(Removal(step.path, step.over == Kind.DIRECTORY))
            if step.action == "unlink":
                unlinks[step.path] = b""
            else:
                work.asides[step.path] = step.place
        elif step.action == "forget":
            plan.deletions.append(step.path)
        elif step.action == "problem":
            plan.problems[step.path] = step.note
        elif step.action == "keep":
            if step.path in standing.absent:
                continue
            assert step.entry is not None, "a keep carries the directory as it was"
            entry = step.entry
            identity = DiskIdentity(0, entry.mtime_ns, 0, 0, 0)
            work.parents[step.path] = Found(
                Kind.DIRECTORY, entry.mode, entry.uid, entry.gid, step.atime_ns, identity, 1
            )
        else:
            assert step.entry is not None, "what is placed, built, adjusted or recorded has an entry"
            found = _found_over(step)
            attributes = owners.attributes(step.entry)
            taken = Step(Action(step.action), step.path, step.entry, found, step.uid, step.gid, attributes)
            plan.steps.append(taken)
            if taken.action is Action.PLACE and step.path not in standing.done:
                work.places[step.path] = Place(stages.for_directory(parent_of(step.path)), step.place)
    return work._replace(absent=standing.absent, unlinks=unlinks)


def _found_over(step: IntentStep) -> Found | None:
    """Return the kind of what stood at the path: more is not known any more, nor needed."""
    if not step.over or step.action != "place":
        return None
    return Found(Kind(step.over), 0, 0, 0, 0, _UNREAD, 1)
