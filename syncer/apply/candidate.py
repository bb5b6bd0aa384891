"""Shows what a transaction would make of a tree, as layers to put over the live one; nothing of it is live.

For every mount that the transaction changes, a directory in that mount's staging area holds what an overlay
needs over the live tree: new files as hard links of the staged ones, new directories marked opaque, whiteouts
for what goes, copies of what only gets other metadata, and the directories on the way. The cost is in
proportion to the changes. A layer lies below all that the command can write to, so the staged files behind
the links stay as they were verified; that they did is looked at afterwards.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syncer.apply.build import Builder, Place
from syncer.apply.metadata import set_link_metadata, set_metadata
from syncer.apply.plan import Action, Plan, Removal, Step, Survey, beneath_any
from syncer.apply.stage import Stage, Stages, mount_of
from syncer.apply.survey import identity_of
from syncer.apply.values import BaseReader
from syncer.errors import ApplyError, Reason, ViewError
from syncer.files import Disk, DiskError, Root
from syncer.model import DiskIdentity, Kind, join, name_of, parent_of, shown

_OPAQUE = "trusted.overlay.opaque"
_NO_LINK = frozenset((errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP))

_NO_VIEW = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))
"""The file system, or what root may do here, lacks what layers are made of."""


class Layer(NamedTuple):
    """A directory to put over one mount: the mount's path below the root, and which directory it is."""

    mount: bytes
    path: bytes
    """Absolute."""
    device: int
    inode: int
    is_whole: bool = False
    """It is all that is to be seen, and nothing of the live tree; there is no other layer then."""


class Candidate(NamedTuple):
    """A tree as it would be: the live root, and what lies over it."""

    root: bytes
    """Absolute, without links."""
    device: int
    inode: int
    layers: tuple[Layer, ...]
    scratch: bytes
    """An empty directory that may be mounted over."""


Check = Callable[[Candidate | ViewError], None]
"""Looks at a candidate, or is told why there is none to look at; raises ApplyError where it must not stand."""


class _Started(NamedTuple):
    """A layer that is being filled."""

    stage: Stage
    name: bytes
    mount: bytes


def alters(plan: Plan) -> bool:
    """Tell whether a check could see the difference: more than mtimes of directories changes."""
    return bool(plan.removals) or any(_is_visible(step) for step in plan.steps)


def _is_visible(step: Step) -> bool:
    if step.action is Action.RECORD:
        return False
    found = step.found
    if step.action is not Action.ADJUST or step.entry.kind is not Kind.DIRECTORY or found is None:
        return True
    return (found.mode, found.uid, found.gid) != (step.entry.mode, step.uid, step.gid)


def going(removals: Sequence[Removal], entries: Callable[[bytes], set[bytes]]) -> set[bytes]:
    """Return what is really gone afterwards: a directory goes only when all goes that it holds.

    `entries` returns the paths in a directory.
    """
    gone: set[bytes] = set()
    for removal in reversed(removals):
        if not removal.is_directory or entries(removal.path) <= gone:
            gone.add(removal.path)
    return gone


class CandidateView:
    """One candidate: built, looked at, removed."""

    def __init__(
        self, root: Root, stages: Stages, disk: Disk, base: BaseReader, survey: Survey, builder: Builder
    ) -> None:
        """Show what `builder` has staged over the tree at `root`."""
        self._root = root
        self._stages = stages
        self._disk = disk
        self._base = base
        self._survey = survey
        self._builder = builder
        self._layers: dict[bytes, _Started] = {}
        self._where: dict[bytes, tuple[_Started, bytes]] = {}
        """Directories of the view: their layer, and their path in that layer's stage."""
        self._metadata: dict[bytes, Step | None] = {}
        """What these get at the end; None: what they have now."""
        self._linked: dict[bytes, tuple[Place, os.stat_result]] = {}
        self._scratch: tuple[Stage, bytes] | None = None

    def show(self, plan: Plan, check: Check) -> None:
        """Build the candidate, have it checked, and remove it whatever comes.

        Raises what `check` raises, ApplyError where the disk refuses or a staged file is not what it was.
        """
        try:
            check(self._built_or_not(plan))
        finally:
            self._remove()
        self._require_unchanged()

    def _built_or_not(self, plan: Plan) -> Candidate | ViewError:
        if os.geteuid() != 0:
            return ViewError("a candidate cannot be shown before it stands (the agent does not run as root)")
        try:
            return self._built(plan)
        except DiskError as error:
            if error.number not in _NO_VIEW:
                raise
            return ViewError(f"a candidate cannot be shown before it stands ({error})")

    def _built(self, plan: Plan) -> Candidate:
        dropped = self._builder.dropped
        self._directory(b"")
        for step in plan.steps:
            if not (dropped and beneath_any(step.path, dropped)):
                self._add(step)
        gone = going(plan.removals, self._entries)
        for path in gone:
            if parent_of(path) not in gone:
                stage, where = self._place(path)
                self._disk.make_whiteout(stage.root.directory(parent_of(where)), name_of(where), path)
        for path in sorted(self._where, key=lambda path: path.count(b"/") + bool(path), reverse=True):
            self._finish_directory(path)
        stage = self._layers[b""].stage
        name = stage.next_name()
        self._disk.make_directory(stage.descriptor, name, 0o700, name)
        self._scratch = (stage, name)
        here = os.fstat(self._root.descriptor)
        layers = tuple(_opened(layer) for layer in self._layers.values())
        scratch = _path_of(stage.descriptor) + b"/" + name
        return Candidate(_path_of(self._root.descriptor), here.st_dev, here.st_ino, layers, scratch)

    def _add(self, step: Step) -> None:
        kind = step.entry.kind
        if kind is Kind.DIRECTORY:
            if step.action is not Action.RECORD:
                self._directory(step.path, step)
        elif step.action in (Action.PLACE, Action.BUILD):
            self._link(step)
        elif step.action is Action.ADJUST:
            self._copy(step)

    def _directory(self, path: bytes, step: Step | None = None) -> tuple[_Started, bytes]:
        """Return where a directory of the view is, and make it with all above it where it is not there yet."""
        known = self._where.get(path)
        if known is None:
            is_new = step is not None and step.action in (Action.PLACE, Action.BUILD)
            known = self._where[path] = self._new_directory(path) if is_new else self._standing_directory(path)
            self._metadata[path] = None
            if is_new:
                layer, where = known
                # What stood there, or what was removed there, must not show through.
                self._disk.set_attribute(layer.stage.root.directory(where), _OPAQUE, b"y", path)
        if step is not None:
            self._metadata[path] = step
        return known

    def _standing_directory(self, path: bytes) -> tuple[_Started, bytes]:
        """Make a directory that is live already; at the top of a mount a layer of its own begins."""
        mount = mount_of(self._root.directory(path))
        if not path or mount != mount_of(self._root.directory(parent_of(path))):
            stage = self._stages.for_directory(path)
            layer = self._layers[path] = _Started(stage, stage.next_name(), path)
            self._disk.make_directory(stage.descriptor, layer.name, 0o700, path)
            return layer, layer.name
        return self._new_directory(path)

    def _new_directory(self, path: bytes) -> tuple[_Started, bytes]:
        layer, parent = self._directory(parent_of(path))
        where = join(parent, name_of(path))
        self._disk.make_directory(layer.stage.root.directory(parent), name_of(path), 0o700, path)
        return layer, where

    def _place(self, path: bytes) -> tuple[Stage, bytes]:
        layer, parent = self._directory(parent_of(path))
        return layer.stage, join(parent, name_of(path))

    def _link(self, step: Step) -> None:
        """Show a staged file or link under its path."""
        stage, where = self._place(step.path)
        source = self._builder.places.get(step.path) or self._inside(step.path)
        before = source.stage.root.lstat(source.path)
        if before is None:
            raise ApplyError(
                f"what is staged for {shown(step.path)!a} is gone: leave {'.syncer'} alone; it is tried again"
            )
        directory = source.stage.root.directory(parent_of(source.path))
        target = stage.root.directory(parent_of(where))
        try:
            self._disk.link(directory, name_of(source.path), target, name_of(where), step.path)
        except DiskError as error:
            if error.number not in _NO_LINK:
                raise
            self._copy_staged(step, source, stage, where)
            return
        self._linked[step.path] = (source, before)

    def _inside(self, path: bytes) -> Place:
        """Return where a file in a new directory is staged: in that directory."""
        parent = self._builder.places[parent_of(path)]
        return Place(parent.stage, join(parent.path, name_of(path)))

    def _copy_staged(self, step: Step, source: Place, stage: Stage, where: bytes) -> None:
        if step.entry.kind is Kind.SYMLINK:
            self._make_link(step, stage, where)
            return
        descriptor = source.stage.root.open_file(source.path)
        try:
            self._copy_opened(descriptor, step, stage, where)
        finally:
            os.close(descriptor)

    def _copy(self, step: Step) -> None:
        """Show what is live already with its new metadata: a copy, since the live one keeps its own."""
        stage, where = self._place(step.path)
        if step.entry.kind is Kind.SYMLINK:
            self._make_link(step, stage, where)
            return
        descriptor = self._root.open_file(step.path)
        try:
            self._copy_opened(descriptor, step, stage, where)
        finally:
            os.close(descriptor)

    def _make_link(self, step: Step, stage: Stage, where: bytes) -> None:
        directory, name = stage.root.directory(parent_of(where)), name_of(where)
        self._disk.make_symlink(directory, name, step.entry.link_target, step.path)
        set_link_metadata(self._disk, directory, name, step, fresh=True)

    def _copy_opened(self, source: int, step: Step, stage: Stage, where: bytes) -> None:
        target = self._disk.create_file(stage.root.directory(parent_of(where)), name_of(where), step.path)
        try:
            self._builder.copy(source, target, step)
            self._copy_attributes(source, target, step.path)
            here = os.fstat(target)
            set_metadata(self._disk, target, here, step, step.entry.mtime_ns)
        finally:
            os.close(target)

    def _finish_directory(self, path: bytes) -> None:
        """Give a directory of the view the metadata that it will have."""
        layer, where = self._where[path]
        step = self._metadata[path]
        descriptor = layer.stage.root.directory(where)
        live = self._survey.parents.get(path)
        if step is None or step.action is Action.ADJUST:
            source = self._root.directory(path)
            here = os.fstat(source)
            self._copy_attributes(source, descriptor, path)
            if step is None:
                self._disk.set_owner(descriptor, here.st_uid, here.st_gid, path)
                self._disk.set_mode(descriptor, stat.S_IMODE(here.st_mode), path)
                before = self._stages.disturbed.get(path, here)
                known = self._base.get(path) if live is not None else None
                kept = (
                    known.entry.mtime_ns
                    if known is not None and known.entry.kind is Kind.DIRECTORY
                    else before.st_mtime_ns
                )
                self._disk.set_times(descriptor, before.st_atime_ns, kept, path)
        if step is not None:
            set_metadata(self._disk, descriptor, os.fstat(descriptor), step, step.entry.mtime_ns)

    def _copy_attributes(self, source: int, target: int, path: bytes) -> None:
        for name in os.listxattr(source):
            if not name.startswith("trusted.overlay."):
                self._disk.set_attribute(target, name, os.getxattr(source, name), path)

    def _entries(self, directory: bytes) -> set[bytes]:
        opened = self._root.directory(directory)
        if mount_of(opened) != mount_of(self._root.directory(parent_of(directory))):
            # A mount point stays, whatever it holds.
            return {directory}
        return {join(directory, name) for name, _ in self._root.entries(directory)}

    def _remove(self) -> None:
        for layer in self._layers.values():
            layer.stage.root.forget(layer.name)
            layer.stage.area.remove_tree(join(layer.stage.name, layer.name))
        self._layers.clear()
        if self._scratch is not None:
            stage, name = self._scratch
            self._disk.remove_directory(stage.descriptor, name, name)
            self._scratch = None

    def _require_unchanged(self) -> None:
        """Make sure that what was verified is still what is staged; the links have moved ctimes alone."""
        for path, (place, before) in self._linked.items():
            here = place.stage.root.lstat(place.path)
            if here is None or _lasting(here) != _lasting(before):
                raise ApplyError(
                    f"the file staged for {shown(path)!a} was changed while the check ran: it is tried again",
                    Reason.CONTENT_MISMATCH,
                )
            if path in self._builder.identities:
                self._builder.identities[path] = identity_of(here)


def _lasting(here: os.stat_result) -> tuple[DiskIdentity, int, int, int, int]:
    return identity_of(here)._replace(ctime_ns=0), here.st_nlink, here.st_mode, here.st_uid, here.st_gid


def _opened(layer: _Started) -> Layer:
    descriptor = layer.stage.root.directory(layer.name)
    here = os.fstat(descriptor)
    return Layer(layer.mount, _path_of(descriptor), here.st_dev, here.st_ino)


def _path_of(descriptor: int) -> bytes:
    """Return where an opened directory is now, without links; whoever opens it there compares its identity."""
    return os.readlink(b"/proc/self/fd/%d" % descriptor)
