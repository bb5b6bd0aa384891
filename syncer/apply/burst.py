"""The moment in which a transaction becomes visible: renames only, each of which can be taken back.

Nothing is overwritten, and no content is unlinked: what stood at a path is put into the stage in the same step.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable

from syncer.apply.access import Access
from syncer.apply.build import Place
from syncer.apply.plan import Removal, Step
from syncer.apply.stage import Stages
from syncer.apply.survey import UNHOLDABLE
from syncer.apply.values import Reach
from syncer.errors import BeneathRootError
from syncer.files import Disk, DiskError, Root
from syncer.model import Kind, join, name_of, parent_of, shown

_ONE_PATH_ONLY = UNHOLDABLE | {errno.EPERM, errno.EACCES, errno.EBUSY, errno.ETXTBSY}
"""What concerns one path and not the disk: the rest goes on."""

_NO_EXCHANGE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class Burst:
    """Carries out the visible part of a plan on paths beneath a root, and takes it back where it must."""

    def __init__(self, root: Root, disk: Disk, reach: Reach, access: Access, stages: Stages) -> None:
        """Work below `root`, through `disk`; what goes is put into `stages`."""
        self.problems: dict[bytes, str] = {}
        self.dropped: set[bytes] = set()
        self.removed: list[bytes] = []
        self.stayed: set[bytes] = set()
        """What could not be deleted: it stands with all that was to go along with it."""
        self.changed_directories: set[bytes] = set()
        self.touched_links = False
        """A symbolic link was placed: it cannot be opened for a flush of its own."""
        self._root = root
        self._disk = disk
        self._reach = reach
        self._access = access
        self._stages = stages
        self._undo: list[Callable[[], None]] = []

    def place(self, step: Step, place: Place) -> None:
        """Rename a staged thing to its path; where that path cannot be replaced, it becomes a problem."""
        path = step.path
        parent = parent_of(path)
        self._access.make_writable(parent)
        if step.swaps_directory:
            self._access.make_writable(path) if step.entry.kind is not Kind.DIRECTORY else None
            self._access.opened_up.pop(path, None)
            self._root.forget(path)
        try:
            if step.found is None:
                self._place_new(path, place)
            else:
                self._exchange(path, place)
        except DiskError as error:
            if error.number not in _ONE_PATH_ONLY:
                raise
            self.dropped.add(path)
            self.problems[path] = f"cannot be replaced here ({os.strerror(error.number)}): {_cure(error.number)}"
            return
        if step.entry.kind is Kind.SYMLINK:
            self.touched_links = True
        self.changed_directories.add(parent)

    def put_aside(self, removal: Removal, aside: bytes) -> None:
        """Move what goes into the stage as `aside`, a directory with all below it; gone already is no fault."""
        path = removal.path
        parent = parent_of(path)
        self._access.make_writable(parent)
        if removal.is_directory:
            # Moving a directory elsewhere writes its "..", which needs the right to write to it.
            self._access.make_writable(path)
            self._access.opened_up.pop(path, None)
            self._root.forget(path)
        stage = self._stages.for_directory(parent)

        def move() -> None:
            self._disk.rename_new(self._root.directory(parent), name_of(path), stage.descriptor, aside, path)

        if self._take_away(path, move):
            self._undo.append(lambda: self._put_back(path, stage.descriptor, aside))

    def unlink(self, removal: Removal, successor: bytes) -> None:
        """Remove a name of a file that stands under another path by now, from where it is given back on undo."""
        path = removal.path
        parent = parent_of(path)
        self._access.make_writable(parent)
        if self._take_away(path, lambda: self._disk.unlink(self._root.directory(parent), name_of(path), path)):
            self._undo.append(lambda: self._link_back(path, successor))

    def _take_away(self, path: bytes, act: Callable[[], None]) -> bool:
        """Carry out what makes a name go; False where it was gone, or stays and is a problem."""
        try:
            act()
        except (FileNotFoundError, BeneathRootError):
            return False
        except DiskError as error:
            if error.number == errno.ENOENT:
                return False
            if error.number not in _ONE_PATH_ONLY:
                raise
            self.problems[path] = f"cannot be deleted here ({os.strerror(error.number)}): {_cure(error.number)}"
            self.stayed.add(path)
            return False
        self.removed.append(path)
        self.changed_directories.add(parent_of(path))
        return True

    def put_aside_if_empty(self, removal: Removal, aside: bytes) -> None:
        """Move a directory into the stage if nothing is left in it; say what keeps it otherwise."""
        path = removal.path
        try:
            empty = not self._root.entries(path)
        except (FileNotFoundError, BeneathRootError):
            return
        if empty:
            self.put_aside(removal, aside)
            return
        stranger = self._first_in_scope(path)
        if stranger is not None:
            self.problems[path] = (
                f"is deleted on production, but holds {shown(stranger)!a}, which production never had: "
                "move it away, then run `syncer snapshot` on production"
            )

    def holds_only(self, top: bytes, doomed: Collection[bytes]) -> bool:
        """Tell whether all below the directory `top` is `doomed` and on one mount, so that it goes as a whole."""
        waiting = [top]
        home = self._root.is_on_other_mount(parent_of(top))
        while waiting:
            directory = waiting.pop()
            try:
                if self._root.is_on_other_mount(directory) is not home:
                    return False
                entries = self._root.entries(directory)
            except (OSError, BeneathRootError):
                return False
            for name, is_directory in entries:
                path = join(directory, name)
                if path not in doomed:
                    return False
                if is_directory:
                    waiting.append(path)
        return True

    def undo(self) -> None:
        """Take every rename back, the last one first; DiskError where the disk refuses that as well."""
        while self._undo:
            self._undo[-1]()
            self._undo.pop()

    def _place_new(self, path: bytes, place: Place) -> None:
        parent, name = self._root.directory(parent_of(path)), name_of(path)
        try:
            self._disk.rename_new(place.stage.descriptor, place.path, parent, name, path)
        except DiskError as error:
            if error.number != errno.EEXIST:
                raise
            # RACE: someone made it since the survey: it is displaced as everything that stands in the way.
            self._exchange(path, place)
            return
        self._undo.append(lambda: self._take_back(path, place))

    def _exchange(self, path: bytes, place: Place) -> None:
        """Swap what is staged with what stands at `path`, which then lies in the stage."""
        stage = place.stage
        parent, name = self._root.directory(parent_of(path)), name_of(path)
        try:
            self._disk.exchange(stage.descriptor, place.path, parent, name, path)
        except DiskError as error:
            if error.number == errno.ENOENT:
                # RACE: what stood there at the survey was removed by someone.
                self._place_new(path, place)
                return
            if error.number not in _NO_EXCHANGE:
                raise
            self._exchange_in_two_steps(path, place)
            return
        self._undo.append(lambda: self._exchange_back(path, place))

    def _exchange_in_two_steps(self, path: bytes, place: Place) -> None:
        stage = place.stage
        parent, name = self._root.directory(parent_of(path)), name_of(path)
        # CRASH: between these two the path is missing; recovery finds the staged thing where it was and places it.
        aside = place.path + b"~"
        self._disk.rename(parent, name, stage.descriptor, aside, path)
        self._undo.append(lambda: self._put_back(path, stage.descriptor, aside))
        self._disk.rename_new(stage.descriptor, place.path, parent, name, path)
        self._undo.append(lambda: self._take_back(path, place))

    def _take_back(self, path: bytes, place: Place) -> None:
        self._root.forget(path)
        parent = self._root.directory(parent_of(path))
        self._disk.rename_new(parent, name_of(path), place.stage.descriptor, place.path, path)

    def _put_back(self, path: bytes, stage: int, aside: bytes) -> None:
        self._root.forget(path)
        self._disk.rename_new(stage, aside, self._root.directory(parent_of(path)), name_of(path), path)

    def _link_back(self, path: bytes, successor: bytes) -> None:
        # Two descriptors at once: Root vouches for the last one only.
        source = os.dup(self._root.directory(parent_of(successor)))
        try:
            directory = self._root.directory(parent_of(path))
            self._disk.link(source, name_of(successor), directory, name_of(path), path)
        finally:
            os.close(source)

    def _exchange_back(self, path: bytes, place: Place) -> None:
        self._root.forget(path)
        parent = self._root.directory(parent_of(path))
        self._disk.exchange(place.stage.descriptor, place.path, parent, name_of(path), path)

    def _first_in_scope(self, top: bytes) -> bytes | None:
        """Return a path that should have gone with its directory, or None where all is excluded."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            for name, is_directory in self._entries(directory):
                path = join(directory, name)
                excluded = self._reach.is_protected(path) or not self._reach.may_descend(path)
                if excluded or path in self.problems:
                    continue
                if not is_directory:
                    return path
                waiting.append(path)
        return None

    def _entries(self, directory: bytes) -> Iterable[tuple[bytes, bool]]:
        try:
            return self._root.entries(directory)
        except (FileNotFoundError, PermissionError, BeneathRootError):
            # Unreadable or replaced meanwhile: nothing in it can be named.
            return ()


def _cure(number: int) -> str:
    if number == errno.EBUSY:
        return "another file system is mounted there, unmount it"
    if number in UNHOLDABLE:
        return "rename it on production"
    return "look for an immutable attribute (lsattr) or a directory that the agent's user may not write to"
