"""The moment in which a transaction becomes visible: renames and removals, then metadata, then flush."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from syncer.apply.access import Access
from syncer.apply.build import FLUSHED_ONE_BY_ONE, Place
from syncer.apply.metadata import set_link_metadata, set_metadata
from syncer.apply.plan import Removal, Step, beneath_any
from syncer.apply.survey import UNHOLDABLE, identity_of
from syncer.apply.values import Reach
from syncer.errors import ApplyError, BeneathRootError
from syncer.files import Disk, DiskError, Root
from syncer.model import DiskIdentity, Kind, join, name_of, parent_of, shown

_ONE_PATH_ONLY = UNHOLDABLE | {errno.EPERM, errno.EACCES, errno.EBUSY, errno.ETXTBSY}
"""What concerns one path and not the disk: the rest goes on."""

_NO_EXCHANGE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class Burst:
    """Carries out the visible part of a plan on paths beneath a root."""

    def __init__(self, root: Root, disk: Disk, reach: Reach, access: Access) -> None:
        """Work below `root`, through `disk`."""
        self.problems: dict[bytes, str] = {}
        self.dropped: set[bytes] = set()
        self.removed: list[bytes] = []
        self.identities: dict[bytes, DiskIdentity] = {}
        self.displaced: list[Place] = []
        """What directories were swapped against: to be removed once all is done."""
        self._root = root
        self._disk = disk
        self._reach = reach
        self._access = access
        self._changed_directories: set[bytes] = set()
        self._flush_files: list[tuple[bytes, int]] = []
        self._needs_whole_flush = False

    def place(self, step: Step, place: Place) -> None:
        """Rename a staged thing to its path; where that path cannot be replaced, it becomes a problem."""
        path = step.path
        parent = parent_of(path)
        self._access.make_writable(parent)
        try:
            if step.swaps_directory:
                self._swap(step, place)
            else:
                self._disk.rename(place.stage.descriptor, place.path, self._root.directory(parent), name_of(path), path)
        except DiskError as error:
            if error.number not in _ONE_PATH_ONLY:
                raise
            self._drop(path, error)
            return
        if step.entry.kind is Kind.SYMLINK:
            self._needs_whole_flush = True
        self._changed_directories.add(parent)

    def remove(self, removal: Removal) -> None:
        """Unlink a file or remove a directory that is empty by now; what is gone already is no fault."""
        path = removal.path
        parent = parent_of(path)
        self._access.make_writable(parent)
        try:
            directory = self._root.directory(parent)
            if removal.is_directory:
                self._root.forget(path)
                self._disk.remove_directory(self._root.directory(parent), name_of(path), path)
            else:
                self._disk.unlink(directory, name_of(path), path)
        except FileNotFoundError:
            return
        except DiskError as error:
            self._explain_removal(removal, error)
            return
        self.removed.append(path)
        self._changed_directories.add(parent)

    def adjust(self, step: Step) -> None:
        """Change owner, mode or mtime of a file or a link that is there already."""
        path = step.path
        parent = self._root.directory(parent_of(path))
        if step.entry.kind is Kind.SYMLINK:
            here, reason = set_link_metadata(self._disk, parent, name_of(path), step)
            self._needs_whole_flush = True
        else:
            here, reason = self._adjust_file(step, parent)
        if reason:
            self.problems[path] = reason
        self.identities[path] = identity_of(here)

    def settle(self, step: Step) -> bool:
        """Give an existing directory its owner, mode and mtime; tell whether anything had to be changed."""
        path = step.path
        descriptor = self._access.directory(path)
        before = os.fstat(descriptor)
        here, reason = set_metadata(self._disk, descriptor, before, step, before.st_atime_ns)
        if reason:
            self.problems[path] = reason
        self._access.opened_up.pop(path, None)
        self.identities[path] = identity_of(here)
        changed = here.st_ctime_ns != before.st_ctime_ns
        if changed:
            self._changed_directories.add(path)
        return changed

    def keep_mode(self, path: bytes, mode: int) -> None:
        """Give a directory a mode back."""
        self._disk.set_mode(self._root.directory(path), mode, path)
        self._changed_directories.add(path)

    def keep_times(self, path: bytes, atime_ns: int, mtime_ns: int) -> DiskIdentity:
        """Give a directory its mtime back that changes in it have moved (nanoseconds)."""
        descriptor = self._root.directory(path)
        if os.fstat(descriptor).st_mtime_ns != mtime_ns:
            self._disk.set_times(descriptor, atime_ns, mtime_ns, path)
            self._changed_directories.add(path)
        return identity_of(os.fstat(descriptor))

    def flush(self) -> None:
        """Make all of it durable.

        Names, and metadata of directories, by fsync of the directory; metadata of files by fsync of the
        file; links cannot be opened for that, so where one was touched, and where there are many paths,
        the whole file system is flushed once.
        """
        directories = [path for path in self._changed_directories if not beneath_any(path, self._gone())]
        several = len(directories) + len(self._flush_files) > FLUSHED_ONE_BY_ONE
        if several or self._needs_whole_flush:
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
            for path, descriptor in self._flush_files:
                self._disk.flush_file(descriptor, path)
            for path in directories:
                self._disk.flush_directory(self._root.directory(path), path)
        self.close()

    def close(self) -> None:
        """Close the files that were kept open for the flush."""
        for _, descriptor in self._flush_files:
            os.close(descriptor)
        self._flush_files.clear()

    def note_identity(self, path: bytes) -> None:
        """Note what the disk says of a path that was just placed; ApplyError where someone removed it."""
        here = self._root.lstat(path)
        if here is None:
            raise ApplyError(
                f"{shown(path)!a} vanished right after it was placed: someone else changes failover's tree; "
                "it is applied again"
            )
        self.identities[path] = identity_of(here)

    def _gone(self) -> set[bytes]:
        return set(self.removed)

    def _swap(self, step: Step, place: Place) -> None:
        """Put a staged thing where a directory stands, or a directory where something else stands."""
        path, stage = step.path, place.stage
        if step.found is not None and step.found.kind is Kind.DIRECTORY:
            self._access.make_writable(path)
            self._access.opened_up.pop(path, None)
        self._root.forget(path)
        parent, name = self._root.directory(parent_of(path)), name_of(path)
        try:
            self._disk.exchange(stage.descriptor, place.path, parent, name, path)
            self.displaced.append(place)
        except DiskError as error:
            if error.number not in _NO_EXCHANGE:
                raise
            # CRASH: between these two the path is missing; the same changes, applied again, put it there.
            aside = stage.next_name()
            self._disk.rename(parent, name, stage.descriptor, aside, path)
            self.displaced.append(Place(stage, aside))
            self._disk.rename(stage.descriptor, place.path, parent, name, path)
        stage.root.forget(place.path)

    def _adjust_file(self, step: Step, parent: int) -> tuple[os.stat_result, str]:
        path = step.path
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(name_of(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | flags, dir_fd=parent)
        except PermissionError as error:
            descriptor = self._open_up_file(path, parent, error)
        except OSError as error:
            raise DiskError("open", path, error) from error
        try:
            here = os.fstat(descriptor)
            _require_sole_file(here, path)
            result = set_metadata(self._disk, descriptor, here, step, here.st_atime_ns)
        except BaseException:
            os.close(descriptor)
            raise
        if len(self._flush_files) <= FLUSHED_ONE_BY_ONE:
            self._flush_files.append((path, descriptor))
        else:
            self._needs_whole_flush = True
            os.close(descriptor)
        return result

    def _open_up_file(self, path: bytes, parent: int, refused: OSError) -> int:
        """Open a file that its owner, the agent's user, may not read."""
        descriptor = os.open(name_of(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            here = os.fstat(descriptor)
            _require_sole_file(here, path)
            if here.st_uid != os.geteuid():
                raise DiskError("open", path, refused)
            self._disk.set_mode_of_unreadable(descriptor, stat.S_IMODE(here.st_mode) | stat.S_IRUSR, path)
        finally:
            os.close(descriptor)
        try:
            return os.open(name_of(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            raise DiskError("open", path, error) from error

    def _drop(self, path: bytes, error: DiskError) -> None:
        self.dropped.add(path)
        self.problems[path] = f"cannot be replaced here ({os.strerror(error.number)}): {_cure(error.number)}"

    def _explain_removal(self, removal: Removal, error: DiskError) -> None:
        path = removal.path
        if error.number == errno.ENOENT:
            return
        if removal.is_directory and error.number in (errno.ENOTEMPTY, errno.EEXIST):
            stranger = self._first_in_scope(path)
            if stranger is not None:
                self.problems[path] = (
                    f"is deleted on production, but holds {shown(stranger)!a}, which production never had: "
                    "move it away, then run `syncer snapshot` on production"
                )
            return
        if error.number not in _ONE_PATH_ONLY:
            raise error
        self.problems[path] = f"cannot be deleted here ({os.strerror(error.number)}): {_cure(error.number)}"

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
                if is_directory:
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


def _require_sole_file(here: os.stat_result, path: bytes) -> None:
    """RACE: what was surveyed may be another thing by now; a second name could lie outside the root."""
    if not stat.S_ISREG(here.st_mode) or here.st_nlink > 1:
        raise DiskError("open", path, OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
