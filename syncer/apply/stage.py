"""Staging directories: one a transaction on each mount that it writes to, on the destination's file system.

What a transaction displaces is put into its stage as well, so that a stage with something in it belongs to a
generation once the transaction is done, and the next transaction gets another one.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from syncer.apply.area import NAME, STAGE_PREFIX, Area, area_name, make_area
from syncer.files import Disk, DiskError, Root
from syncer.model import parent_of

ELSEWHERE = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


class Stage:
    """One opened staging directory (mode 0700)."""

    def __init__(self, area: Area, name: bytes) -> None:
        """Open `name` in `area`, making it where it is missing."""
        area.make_directory(name)
        # It may be another one than the area knows under this name: an empty one is removed as an agent takes it up.
        area.root.forget(name)
        self.area = area
        self.name = name
        self.descriptor = os.dup(area.root.directory(name))
        self.root = Root(self.descriptor)
        self._number = 0

    def next_name(self) -> bytes:
        """Return a name that nothing in this stage has yet."""
        self._number += 1
        return b"%d" % self._number

    def is_empty(self) -> bool:
        """Tell whether nothing lies in it."""
        with os.scandir(self.descriptor) as found:
            return next(found, None) is None

    def close(self) -> None:
        """Close its descriptors; what is in it stays."""
        self.root.close()

    def discard(self) -> None:
        """Remove it with what is in it, and close its area."""
        self.close()
        self.area.remove_tree(self.name)
        self.area.close()


class Stages:
    """A domain's areas and the stages of its current transaction, opened when needed.

    The one of the root's own mount is kept from one transaction to the next while nothing lies in it.
    """

    def __init__(self, root_path: Path, domain: str, node_id: str, disk: Disk) -> None:
        """Choose beside or below the root; nothing is opened yet."""
        self._root_path = root_path
        self._of_root: tuple[int, int] | None = None
        self._own = area_name(domain, node_id)
        self._disk = disk
        self._root: Root
        self._main_area: Area | None = None
        self._main: Stage | None = None
        self._main_used = False
        self._areas: dict[tuple[int, int], Area] = {}
        self._others: dict[tuple[int, int], Stage] = {}
        self._by_directory: dict[bytes, Stage] = {}
        self.name = _new_name()
        """Of the current transaction's directory in every area."""
        self.disturbed: dict[bytes, os.stat_result] = {}
        """Directories of the tree that got a `.syncer` just now, and how they were before."""

    def begin(self, root: Root, name: bytes | None = None) -> None:
        """Stage for a transaction below the opened `root`; `name`: of one that is taken up again."""
        self._attach(root)
        if name is not None and name != self.name:
            self._close_stages()
            self.name = name
        self._main_used = False
        self.disturbed = {}

    def make_ready(self, root: Root) -> None:
        """Make the next transaction's stage now, so that the transaction need not."""
        self._attach(root)
        self._open_main()

    def areas(self, root: Root) -> list[Area]:
        """Return the areas that are known, that of the root's own mount first."""
        self._attach(root)
        if self._main_area is None:
            self._main_area = self._open_main_area()
        return [self._main_area, *self._areas.values()]

    def for_directory(self, directory: bytes) -> Stage:
        """Return the stage from which things can be renamed into an existing directory of the tree."""
        if not self._root.is_on_other_mount(directory):
            self._main_used = True
            return self._open_main()
        stage = self._by_directory.get(directory)
        if stage is None:
            mount = mount_of(self._root.directory(directory))
            stage = self._others.get(mount)
            if stage is None:
                stage = self._others[mount] = Stage(self._other_area(mount, directory), self.name)
            self._by_directory[directory] = stage
        return stage

    def beside(self, parent: int) -> Stage:
        """Return a stage in the opened directory in which the root is made later; the caller ends it by `discard`."""
        return Stage(Area(make_area(parent, b"", self._own, self._disk), b"", self._disk), _new_name())

    def opened(self) -> list[Stage]:
        """Return the stages that this transaction has used so far."""
        return [*([self._main] if self._main is not None and self._main_used else []), *self._others.values()]

    def end(self, *, is_known: bool = True) -> bool:
        """End the transaction: what lies in its stages stays, and the next one gets others where anything does.

        Returns whether anything does; where it `is_known` only to an earlier life, it is taken for filled.
        """
        filled = not is_known or any(not stage.is_empty() for stage in self.opened())
        if not filled:
            for stage in self._others.values():
                stage.area.remove_tree(stage.name)
        self._close_others()
        if filled:
            self._close_stages()
            self.name = _new_name()
        return filled

    def close(self) -> None:
        """Close all stages and areas."""
        self._close_stages()
        if self._main_area is not None:
            self._main_area.close()
            self._main_area = None

    def _attach(self, root: Root) -> None:
        here = os.fstat(root.descriptor)
        identity = (here.st_dev, here.st_ino)
        area = self._main_area
        # Mounted anew, made anew, or someone removed the area: then it is another place.
        if self._of_root != identity or (area is not None and os.fstat(area.descriptor).st_nlink == 0):
            self.close()
        elif self._main is not None and os.fstat(self._main.descriptor).st_nlink == 0:
            self._close_stages()
        self._of_root = identity
        self._root = root

    def _close_stages(self) -> None:
        self._close_others()
        if self._main is not None:
            self._main.close()
            self._main = None

    def _close_others(self) -> None:
        """Let go of other mounts: an open descriptor would keep them from being unmounted."""
        for stage in self._others.values():
            stage.close()
        for area in self._areas.values():
            area.close()
        self._others.clear()
        self._areas.clear()
        self._by_directory.clear()

    def _open_main(self) -> Stage:
        if self._main is None:
            if self._main_area is None:
                self._main_area = self._open_main_area()
            self._main = Stage(self._main_area, self.name)
        return self._main

    def _open_main_area(self) -> Area:
        real = Path(os.path.realpath(self._root_path))
        parent = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            beside = real.parent != real and mount_of(parent) == mount_of(self._root.descriptor)
            # Where the parent was closed to us once, stages and history are inside: they stay where they are.
            if beside and (self._has_area(real.parent) or not self._has_area(real)):
                return Area(make_area(parent, b"", self._own, self._disk), b"", self._disk)
        except DiskError as error:
            if error.number not in ELSEWHERE or self._has_area(real.parent):
                raise
        finally:
            os.close(parent)
        return self._open_inside(b"")

    def _has_area(self, place: Path) -> bool:
        return os.path.isdir(os.path.join(os.fsencode(place), NAME, self._own))

    def _other_area(self, mount: tuple[int, int], directory: bytes) -> Area:
        area = self._areas.get(mount)
        if area is None:
            area = self._areas[mount] = self._open_inside(self._top_of_mount(directory))
        return area

    def _open_inside(self, directory: bytes) -> Area:
        parent = self._root.directory(directory)
        before = os.fstat(parent)
        descriptor = make_area(parent, directory, self._own, self._disk)
        if os.fstat(self._root.directory(directory)).st_mtime_ns != before.st_mtime_ns:
            self.disturbed[directory] = before
        return Area(descriptor, directory, self._disk)

    def _top_of_mount(self, directory: bytes) -> bytes:
        mount = mount_of(self._root.directory(directory))
        while directory and mount_of(self._root.directory(parent_of(directory))) == mount:
            directory = parent_of(directory)
        return directory


def _new_name() -> bytes:
    # Random, because a counter would have to be the same in the areas of all mounts, some of which come and go.
    return STAGE_PREFIX + secrets.token_hex(6).encode()


def mount_of(descriptor: int) -> tuple[int, int]:
    """Return what tells mounts apart: device and, where /proc shows it, the mount's id (bind mounts)."""
    device = os.fstat(descriptor).st_dev
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as information:
            for line in information:
                if line.startswith(b"mnt_id:"):
                    return device, int(line[7:])
    except FileNotFoundError:
        # Without /proc only devices can be told apart; a bind mount then fails at the rename.
        return device, 0
    return device, 0
