"""Staging areas: private directories on the destination's file system, out of everyone's sight."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from syncer.errors import ApplyError
from syncer.files import Disk, DiskError, Root
from syncer.model import join, name_of, parent_of, shown

NAME = b".syncer"
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ELSEWHERE = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_DEFAULT_ACL = "system.posix_acl_default"


class Stage:
    """One opened, empty staging directory (mode 0700)."""

    def __init__(self, descriptor: int, disk: Disk) -> None:
        """Take over the descriptor and remove what a crash left in the directory."""
        self.root = Root(descriptor)
        self.descriptor = descriptor
        self._disk = disk
        self._number = 0
        self.clear()

    def next_name(self) -> bytes:
        """Return a name that nothing in this stage has yet."""
        self._number += 1
        return b"%d" % self._number

    def clear(self) -> None:
        """Remove everything in it that is not the history's."""
        for name, is_directory in self.root.entries(b""):
            if name in (b"kept", b"damaged") or name.startswith(b"stage-"):
                continue
            if is_directory:
                self.remove_tree(name)
            else:
                self._disk.unlink(self.descriptor, name, name)

    def remove_tree(self, top: bytes) -> None:
        """Remove a directory with all below it; never goes into another mount."""
        root, disk = self.root, self._disk
        directories = [top]
        for directory in directories:
            self._open_up(directory)
            # Nothing is below a mount point that was not there before it was moved here: stop at it.
            if root.is_on_other_mount(directory):
                raise ApplyError(f"another file system is mounted below {shown(join(NAME, directory))!a}: unmount it")
            entries = root.entries(directory)
            descriptor = root.directory(directory)
            for name, is_directory in entries:
                path = join(directory, name)
                if is_directory:
                    directories.append(path)
                else:
                    disk.unlink(descriptor, name, path)
        for directory in reversed(directories):
            root.forget(directory)
            disk.remove_directory(root.directory(parent_of(directory)), name_of(directory), directory)

    def close(self) -> None:
        """Close its descriptors; the directory stays for the next transaction."""
        self.root.close()

    def _open_up(self, directory: bytes) -> None:
        """Let an agent that is not root remove what lies in a directory without rights for its owner."""
        if os.geteuid() == 0:
            return
        parent = self.root.directory(parent_of(directory))
        descriptor = os.open(name_of(directory), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if os.fstat(descriptor).st_mode & 0o700 != 0o700:
                self._disk.set_mode_of_unreadable(descriptor, 0o700, directory)
        finally:
            os.close(descriptor)


class Stages:
    """A domain's staging areas: one for each mount that a transaction writes to, opened when needed.

    The one of the root's own mount is kept from one transaction to the next.
    """

    def __init__(self, root_path: Path, domain: str, node_id: str, disk: Disk) -> None:
        """Choose beside or below the root; nothing is opened yet."""
        self._root_path = root_path
        self._of_root: tuple[int, int] | None = None
        self._own_name = stage_name(domain, node_id)
        self._disk = disk
        self._root: Root
        self._main_used = False
        self._main: Stage | None = None
        self._others: dict[tuple[int, int], Stage] = {}
        self._by_directory: dict[bytes, Stage] = {}
        self.disturbed: dict[bytes, os.stat_result] = {}
        """Directories of the tree that got a `.syncer` just now, and how they were before."""

    def begin(self, root: Root) -> None:
        """Stage for a transaction below the opened `root`."""
        here = os.fstat(root.descriptor)
        # Mounted anew, made anew, or someone removed the stage: then it is another place.
        moved = self._of_root != (here.st_dev, here.st_ino)
        if self._main is not None and (moved or os.fstat(self._main.descriptor).st_nlink == 0):
            self._main.close()
            self._main = None
        self._of_root = (here.st_dev, here.st_ino)
        self._root = root
        self._main_used = False
        self.disturbed = {}

    def for_directory(self, directory: bytes) -> Stage:
        """Return the stage from which things can be renamed into an existing directory of the tree."""
        if not self._root.is_on_other_mount(directory):
            if self._main is None:
                self._main = self._open_main()
            elif not self._main_used:
                # An attempt that failed may have left something.
                self._main.clear()
            self._main_used = True
            return self._main
        stage = self._by_directory.get(directory)
        if stage is None:
            mount = mount_of(self._root.directory(directory))
            stage = self._others.get(mount)
            if stage is None:
                stage = self._others[mount] = self._open_inside(self._top_of_mount(directory))
            self._by_directory[directory] = stage
        return stage

    def opened(self) -> list[Stage]:
        """Return the stages that this transaction has used so far."""
        return [*([self._main] if self._main is not None and self._main_used else []), *self._others.values()]

    def end(self) -> None:
        """Close the stages of other mounts: those may be gone at the next transaction."""
        for stage in self._others.values():
            stage.close()
        self._others.clear()
        self._by_directory.clear()

    def close(self) -> None:
        """Close all stages."""
        self.end()
        if self._main is not None:
            self._main.close()
            self._main = None

    def _open_main(self) -> Stage:
        real = Path(os.path.realpath(self._root_path))
        parent = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if real.parent != real and mount_of(parent) == mount_of(self._root.descriptor):
                return Stage(self._make(parent, b""), self._disk)
        except DiskError as error:
            if error.number not in ELSEWHERE:
                raise
        finally:
            os.close(parent)
        return self._open_inside(b"")

    def _open_inside(self, directory: bytes) -> Stage:
        parent = self._root.directory(directory)
        before = os.fstat(parent)
        descriptor = self._make(parent, directory)
        if os.fstat(self._root.directory(directory)).st_mtime_ns != before.st_mtime_ns:
            self.disturbed[directory] = before
        return Stage(descriptor, self._disk)

    def _make(self, parent: int, directory: bytes) -> int:
        """Make and open `.syncer` and this domain's own directory in it."""
        path = join(directory, NAME)
        shared = self._open_private(parent, NAME, path)
        try:
            return self._open_private(shared, self._own_name, join(path, self._own_name))
        finally:
            os.close(shared)

    def _open_private(self, parent: int, name: bytes, path: bytes) -> int:
        try:
            self._disk.make_directory(parent, name, 0o700, path)
            made = True
        except DiskError as error:
            if error.number != errno.EEXIST:
                raise
            made = False
        try:
            descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError as error:
            raise DiskError("open_stage", path, error) from error
        try:
            self._require_private(descriptor, path, made)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _require_private(self, descriptor: int, path: bytes, made: bool) -> None:
        here = os.fstat(descriptor)
        if here.st_uid != os.geteuid():
            raise DiskError("open_stage", path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        if stat.S_IMODE(here.st_mode) != 0o700:
            self._disk.set_mode(descriptor, 0o700, path)
        if made:
            try:
                # An inherited default ACL would pass on to all that is staged here.
                self._disk.remove_attribute(descriptor, _DEFAULT_ACL, path)
            except DiskError as error:
                if error.number not in (errno.ENODATA, errno.EOPNOTSUPP):
                    raise

    def _top_of_mount(self, directory: bytes) -> bytes:
        mount = mount_of(self._root.directory(directory))
        while directory and mount_of(self._root.directory(parent_of(directory))) == mount:
            directory = parent_of(directory)
        return directory


def stage_name(domain: str, node_id: str) -> bytes:
    """Return the name of a domain's own directory in a `.syncer`."""
    return os.fsencode(f"{domain.replace('/', '_')}-{node_id[:8]}")


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
