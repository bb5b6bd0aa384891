"""A domain's private directory on one mount: it holds what is staged and what the history keeps, out of sight."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from syncer.errors import ApplyError
from syncer.files import Disk, DiskError, Root
from syncer.model import join, name_of, parent_of, shown

NAME = b".syncer"
STAGE_PREFIX = b"stage-"
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ELSEWHERE = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_DEFAULT_ACL = "system.posix_acl_default"


class Area:
    """An opened `.syncer/<domain>-<node>` (mode 0700); `top` is the mount that it serves, b"" the root's own."""

    def __init__(self, descriptor: int, top: bytes, disk: Disk) -> None:
        """Take over the descriptor."""
        self.root = Root(descriptor)
        self.descriptor = descriptor
        self.top = top
        self._disk = disk

    def stages(self) -> list[bytes]:
        """Return the names of the transactions' directories in it."""
        return [name for name, is_directory in self.root.entries(b"") if is_directory and name.startswith(STAGE_PREFIX)]

    def make_directory(self, name: bytes) -> None:
        """Make a directory in it, durably; one that is there already is kept."""
        try:
            self._disk.make_directory(self.descriptor, name, 0o700, name)
        except DiskError as error:
            if error.number != errno.EEXIST:
                raise
            return
        # CRASH: what is staged is only as durable as the name of the directory that it lies in.
        self._disk.flush_directory(self.descriptor, name)

    def unlink(self, path: bytes) -> None:
        """Remove a name in it that is no directory."""
        self._disk.unlink(self.root.directory(parent_of(path)), name_of(path), path)

    def remove_tree(self, top: bytes) -> None:
        """Remove a directory with all below it; never goes into another mount. Where it is missing, nothing."""
        root, disk = self.root, self._disk
        directories = [top]
        for directory in directories:
            self._open_up(directory)
            try:
                descriptor = root.directory(directory)
            except FileNotFoundError:
                return
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
        """Close its descriptors; what is in it stays."""
        self.root.close()

    def _open_up(self, directory: bytes) -> None:
        """Let an agent that is not root remove what lies in a directory without rights for its owner."""
        if os.geteuid() == 0:
            return
        parent = self.root.directory(parent_of(directory))
        try:
            descriptor = os.open(name_of(directory), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except FileNotFoundError:
            return
        try:
            if os.fstat(descriptor).st_mode & 0o700 != 0o700:
                self._disk.set_mode_of_unreadable(descriptor, 0o700, directory)
        finally:
            os.close(descriptor)


def area_name(domain: str, node_id: str) -> bytes:
    """Return the name of a domain's own directory in a `.syncer`."""
    return os.fsencode(f"{domain.replace('/', '_')}-{node_id[:8]}")


def make_area(parent: int, directory: bytes, own: bytes, disk: Disk) -> int:
    """Make `.syncer` and a domain's own directory in it in an opened `parent`; return a descriptor of the latter.

    `directory` is the parent's path, for errors. Raises DiskError, also where the directory is another user's.
    """
    path = join(directory, NAME)
    shared = _open_private(parent, NAME, path, disk)
    try:
        return _open_private(shared, own, join(path, own), disk)
    finally:
        os.close(shared)


def _open_private(parent: int, name: bytes, path: bytes, disk: Disk) -> int:
    try:
        disk.make_directory(parent, name, 0o700, path)
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
        _require_private(descriptor, path, disk, made=made)
        if made:
            # CRASH: as for every directory that something durable is going to lie in.
            disk.flush_directory(parent, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_private(descriptor: int, path: bytes, disk: Disk, *, made: bool) -> None:
    here = os.fstat(descriptor)
    if here.st_uid != os.geteuid():
        raise DiskError("open_stage", path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if stat.S_IMODE(here.st_mode) != 0o700:
        disk.set_mode(descriptor, 0o700, path)
    if made:
        try:
            # An inherited default ACL would pass on to all that is staged here.
            disk.remove_attribute(descriptor, _DEFAULT_ACL, path)
        except DiskError as error:
            if error.number not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise


def remove_empty_areas(root: Path, domain: str, node_id: str, disk: Disk) -> None:
    """Remove a domain's areas beside and directly below `root` that hold nothing, and `.syncer` with them."""
    real = Path(os.path.realpath(root))
    for place in {real.parent, real}:
        try:
            holder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            _remove_empty_area(holder, area_name(domain, node_id), disk, keep_times=place == real)
        finally:
            os.close(holder)


def _remove_empty_area(holder: int, own: bytes, disk: Disk, *, keep_times: bool) -> None:
    before = os.fstat(holder)
    try:
        shared = os.open(NAME, DIRECTORY_FLAGS, dir_fd=holder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            return
        raise
    try:
        _remove_empty_stages(shared, own, disk)
        for directory, name in ((shared, own), (holder, NAME)):
            try:
                disk.remove_directory(directory, name, join(NAME, own))
            except DiskError as error:
                # History is in it, or another domain's area is beside it: that stays.
                if error.number not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, *_ELSEWHERE):
                    raise
    finally:
        os.close(shared)
    if keep_times and os.fstat(holder).st_mtime_ns != before.st_mtime_ns:
        disk.set_times(holder, before.st_atime_ns, before.st_mtime_ns, NAME)


def _remove_empty_stages(shared: int, own: bytes, disk: Disk) -> None:
    try:
        area = os.open(own, DIRECTORY_FLAGS, dir_fd=shared)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            return
        raise
    try:
        for name in os.listdir(area):
            try:
                disk.remove_directory(area, os.fsencode(name), own)
            except DiskError as error:
                if error.number not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, *_ELSEWHERE):
                    raise
    finally:
        os.close(area)
