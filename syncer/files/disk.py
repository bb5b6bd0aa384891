"""Every operation that changes the disk, by name, through one seam that tests can stop or fail.

All take directory descriptors and names; `path` is only what errors and the observer are told.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable

from syncer.files import syscalls
from syncer.files.attributes import named_by_descriptor
from syncer.files.failures import DiskError

Observer = Callable[[str, bytes], None]
"""Called with name and path before each operation; may raise, an OSError as the system would."""

Flushed = Callable[[str, float], None]
"""Called with what was flushed (file, directory or filesystem) and the seconds that it took."""

_FICLONE = 0x40049409
"""Of linux/fs.h; the same number on every machine that syncer runs on."""
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk:
    """The disk as syncer changes it; every method raises DiskError where the system refuses."""

    def __init__(self, observer: Observer | None = None, flushed: Flushed | None = None) -> None:
        """Change the real disk, and tell `observer` of each operation, `flushed` of each flush that is done."""
        self._before = observer
        self._flushed = flushed

    def milestone(self, name: str) -> None:
        """Tell the observer that a stage of the work is reached; changes nothing."""
        if self._before is not None:
            self._before(name, b"")

    def create_file(self, directory: int, name: bytes, path: bytes = b"", mode: int = 0o600) -> int:
        """Create a file that does not exist yet; return a descriptor for reading and writing."""
        try:
            if self._before is not None:
                self._before("create_file", path)
            return os.open(name, _CREATE, mode, dir_fd=directory)
        except OSError as error:
            raise DiskError("create_file", path, error) from error

    def write(self, descriptor: int, data: bytes | memoryview, path: bytes = b"") -> None:
        """Write all of `data` where the descriptor stands."""
        try:
            if self._before is not None:
                self._before("write", path)
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
        except OSError as error:
            raise DiskError("write", path, error) from error

    def set_size(self, descriptor: int, size: int, path: bytes = b"") -> None:
        """Cut a file off, or make it longer with a hole (size in bytes)."""
        try:
            if self._before is not None:
                self._before("set_size", path)
            os.ftruncate(descriptor, size)
        except OSError as error:
            raise DiskError("set_size", path, error) from error

    def copy_range(self, source: int, target: int, count: int, path: bytes = b"") -> int:
        """Copy up to `count` bytes within the kernel, from where both stand; return how many (0: the end)."""
        try:
            if self._before is not None:
                self._before("copy_range", path)
            return os.copy_file_range(source, target, count)
        except OSError as error:
            raise DiskError("copy_range", path, error) from error

    def clone(self, source: int, target: int, path: bytes = b"") -> None:
        """Let an empty file share all bytes of another in one step (FICLONE), where the file system can."""
        try:
            if self._before is not None:
                self._before("clone", path)
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            raise DiskError("clone", path, error) from error

    def set_owner(self, descriptor: int, uid: int, gid: int, path: bytes = b"") -> None:
        """Set owner and group of what is opened (-1: leave)."""
        try:
            if self._before is not None:
                self._before("set_owner", path)
            os.fchown(descriptor, uid, gid)
        except OSError as error:
            raise DiskError("set_owner", path, error) from error

    def set_mode(self, descriptor: int, mode: int, path: bytes = b"") -> None:
        """Set the permission bits of what is opened."""
        try:
            if self._before is not None:
                self._before("set_mode", path)
            os.fchmod(descriptor, mode)
        except OSError as error:
            raise DiskError("set_mode", path, error) from error

    def set_mode_of_unreadable(self, descriptor: int, mode: int, path: bytes = b"") -> None:
        """Set the permission bits of what is opened with O_PATH, because it may not be read."""
        try:
            if self._before is not None:
                self._before("set_mode_of_unreadable", path)
            # This link leads exactly to what the descriptor is, wherever it was moved to.
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
        except OSError as error:
            raise DiskError("set_mode_of_unreadable", path, error) from error

    def set_times(self, descriptor: int, atime_ns: int, mtime_ns: int, path: bytes = b"") -> None:
        """Set both times of what is opened (nanoseconds since 1970)."""
        try:
            if self._before is not None:
                self._before("set_times", path)
            os.utime(descriptor, ns=(atime_ns, mtime_ns))
        except OSError as error:
            raise DiskError("set_times", path, error) from error

    def set_owner_at(self, directory: int, name: bytes, uid: int, gid: int, path: bytes = b"") -> None:
        """Set owner and group of a name itself, also where it is a link (-1: leave)."""
        try:
            if self._before is not None:
                self._before("set_owner_at", path)
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise DiskError("set_owner_at", path, error) from error

    def set_times_at(self, directory: int, name: bytes, atime_ns: int, mtime_ns: int, path: bytes = b"") -> None:
        """Set both times of a name itself, also where it is a link (nanoseconds since 1970)."""
        try:
            if self._before is not None:
                self._before("set_times_at", path)
            os.utime(name, ns=(atime_ns, mtime_ns), dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise DiskError("set_times_at", path, error) from error

    def remove_attribute(self, descriptor: int, attribute: str, path: bytes = b"") -> None:
        """Remove an extended attribute of what is opened."""
        try:
            if self._before is not None:
                self._before("remove_attribute", path)
            os.removexattr(descriptor, attribute)
        except OSError as error:
            raise DiskError("remove_attribute", path, error) from error

    def set_attribute(self, descriptor: int, attribute: str, value: bytes, path: bytes = b"") -> None:
        """Set an extended attribute of what is opened."""
        try:
            if self._before is not None:
                self._before("set_attribute", path)
            os.setxattr(descriptor, attribute, value)
        except OSError as error:
            raise DiskError("set_attribute", path, error) from error

    def set_attribute_at(self, directory: int, name: bytes, attribute: str, value: bytes, path: bytes = b"") -> None:
        """Set an extended attribute of a name itself, also where it is a link."""
        try:
            if self._before is not None:
                self._before("set_attribute_at", path)
            os.setxattr(named_by_descriptor(directory, name), attribute, value, follow_symlinks=False)
        except OSError as error:
            raise DiskError("set_attribute_at", path, error) from error

    def remove_attribute_at(self, directory: int, name: bytes, attribute: str, path: bytes = b"") -> None:
        """Remove an extended attribute of a name itself, also where it is a link."""
        try:
            if self._before is not None:
                self._before("remove_attribute_at", path)
            os.removexattr(named_by_descriptor(directory, name), attribute, follow_symlinks=False)
        except OSError as error:
            raise DiskError("remove_attribute_at", path, error) from error

    def make_directory(self, directory: int, name: bytes, mode: int = 0o700, path: bytes = b"") -> None:
        """Make a directory."""
        try:
            if self._before is not None:
                self._before("make_directory", path)
            os.mkdir(name, mode, dir_fd=directory)
        except OSError as error:
            raise DiskError("make_directory", path, error) from error

    def make_symlink(self, directory: int, name: bytes, target: bytes, path: bytes = b"") -> None:
        """Make a symbolic link to `target`, which is stored as it is."""
        try:
            if self._before is not None:
                self._before("make_symlink", path)
            os.symlink(target, name, dir_fd=directory)
        except OSError as error:
            raise DiskError("make_symlink", path, error) from error

    def make_whiteout(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Make what an overlay takes for "nothing is here": a character device 0/0."""
        try:
            if self._before is not None:
                self._before("make_whiteout", path)
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        except OSError as error:
            raise DiskError("make_whiteout", path, error) from error

    def link(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Give the file `source` another name; a link itself is not followed."""
        try:
            if self._before is not None:
                self._before("link", path)
            os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise DiskError("link", path, error) from error

    def rename(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Rename, replacing what stands at the new name."""
        try:
            if self._before is not None:
                self._before("rename", path)
            os.rename(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
        except OSError as error:
            raise DiskError("rename", path, error) from error

    def rename_new(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Rename to a name that nothing has; DiskError with EEXIST where something has it by now."""
        try:
            if self._before is not None:
                self._before("rename_new", path)
            syscalls.rename_new(source_directory, source, directory, name)
        except OSError as error:
            raise DiskError("rename_new", path, error) from error

    def exchange(self, directory: int, name: bytes, other_directory: int, other: bytes, path: bytes = b"") -> None:
        """Swap what two names stand for, in one step."""
        try:
            if self._before is not None:
                self._before("exchange", path)
            syscalls.exchange(directory, name, other_directory, other)
        except OSError as error:
            raise DiskError("exchange", path, error) from error

    def unlink(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Remove a name that is no directory."""
        try:
            if self._before is not None:
                self._before("unlink", path)
            os.unlink(name, dir_fd=directory)
        except OSError as error:
            raise DiskError("unlink", path, error) from error

    def remove_directory(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Remove an empty directory."""
        try:
            if self._before is not None:
                self._before("remove_directory", path)
            os.rmdir(name, dir_fd=directory)
        except OSError as error:
            raise DiskError("remove_directory", path, error) from error

    def flush_file(self, descriptor: int, path: bytes = b"") -> None:
        """Make a file's bytes and metadata durable."""
        try:
            if self._before is not None:
                self._before("flush_file", path)
            began = time.monotonic()
            os.fsync(descriptor)
            if self._flushed is not None:
                self._flushed("file", time.monotonic() - began)
        except OSError as error:
            raise DiskError("flush_file", path, error) from error

    def flush_directory(self, descriptor: int, path: bytes = b"") -> None:
        """Make a directory's names and metadata durable."""
        try:
            if self._before is not None:
                self._before("flush_directory", path)
            began = time.monotonic()
            os.fsync(descriptor)
            if self._flushed is not None:
                self._flushed("directory", time.monotonic() - began)
        except OSError as error:
            raise DiskError("flush_directory", path, error) from error

    def flush_filesystem(self, descriptor: int, path: bytes = b"") -> None:
        """Make everything on the file system of `descriptor` durable."""
        try:
            if self._before is not None:
                self._before("flush_filesystem", path)
            began = time.monotonic()
            syscalls.sync_filesystem(descriptor)
            if self._flushed is not None:
                self._flushed("filesystem", time.monotonic() - began)
        except OSError as error:
            raise DiskError("flush_filesystem", path, error) from error
