"""Every change of the disk, as a named operation: the one seam where tests fail, stop or record it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

Observer = Callable[[str, bytes], None]
"""Called before each operation with its name and the last component of its path; may raise."""

_libc = ctypes.CDLL(None, use_errno=True)

COPY_PIECE = 8 * 1024 * 1024


class Disk:
    """Operations on open directories and names in them; all raise OSError as their system calls do."""

    def __init__(self, observer: Observer | None = None) -> None:
        """Tell `observer` of each operation before it is done."""
        self._observer = observer

    def create_file(self, directory: int, name: bytes) -> int:
        """Create a file that only we can open, and return its descriptor."""
        if self._observer:
            self._observer("create_file", name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=directory)

    def write(self, descriptor: int, data: bytes, name: bytes = b"") -> None:
        """Write all of `data` at the descriptor's position."""
        if self._observer:
            self._observer("write", name)
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])

    def copy(self, source: int, target: int, size: int, name: bytes = b"") -> None:
        """Copy `size` bytes between two files, in the kernel where it can."""
        if self._observer:
            self._observer("copy", name)
        copied = 0
        while copied < size:
            try:
                step = os.copy_file_range(source, target, min(COPY_PIECE, size - copied), copied, copied)
            except OSError:
                data = os.pread(source, min(COPY_PIECE, size - copied), copied)
                step = os.pwrite(target, data, copied)
            if not step:
                return
            copied += step

    def set_owner(self, descriptor: int, uid: int, gid: int, name: bytes = b"") -> None:
        """Change the owner of an open file or directory."""
        if self._observer:
            self._observer("set_owner", name)
        os.fchown(descriptor, uid, gid)

    def set_owner_of(self, directory: int, name: bytes, uid: int, gid: int) -> None:
        """Change the owner of whatever stands at a name, a symlink itself included."""
        if self._observer:
            self._observer("set_owner_of", name)
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)

    def set_mode(self, descriptor: int, mode: int, name: bytes = b"") -> None:
        """Change the permission bits of an open file or directory."""
        if self._observer:
            self._observer("set_mode", name)
        os.fchmod(descriptor, mode)

    def set_mode_of(self, located: int, mode: int, name: bytes = b"") -> None:
        """Change the permission bits of what an O_PATH descriptor stands for, readable or not."""
        if self._observer:
            self._observer("set_mode_of", name)
        # fchmod(2) refuses O_PATH; the magic link of proc(5) leads to exactly this inode.
        os.chmod(f"/proc/self/fd/{located}", mode)

    def set_times(self, descriptor: int, mtime_ns: int, name: bytes = b"") -> None:
        """Change the mtime of an open file or directory (nanoseconds; the atime becomes the same)."""
        if self._observer:
            self._observer("set_times", name)
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def set_times_of(self, directory: int, name: bytes, mtime_ns: int) -> None:
        """Change the mtime of whatever stands at a name, a symlink itself included."""
        if self._observer:
            self._observer("set_times_of", name)
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=directory, follow_symlinks=False)

    def make_directory(self, directory: int, name: bytes, mode: int = 0o700) -> None:
        """Make a directory."""
        if self._observer:
            self._observer("make_directory", name)
        os.mkdir(name, mode, dir_fd=directory)

    def make_symlink(self, directory: int, name: bytes, target: bytes) -> None:
        """Make a symlink."""
        if self._observer:
            self._observer("make_symlink", name)
        os.symlink(target, name, dir_fd=directory)

    def link(self, source: int, source_name: bytes, target: int, target_name: bytes) -> None:
        """Give a file a second name."""
        if self._observer:
            self._observer("link", target_name)
        os.link(source_name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)

    def rename(self, source: int, source_name: bytes, target: int, target_name: bytes) -> None:
        """Move a name over another one, in one step."""
        if self._observer:
            self._observer("rename", target_name)
        os.rename(source_name, target_name, src_dir_fd=source, dst_dir_fd=target)

    def unlink(self, directory: int, name: bytes) -> None:
        """Remove a name that is no directory."""
        if self._observer:
            self._observer("unlink", name)
        os.unlink(name, dir_fd=directory)

    def remove_directory(self, directory: int, name: bytes) -> None:
        """Remove an empty directory."""
        if self._observer:
            self._observer("remove_directory", name)
        os.rmdir(name, dir_fd=directory)

    def flush_file(self, descriptor: int, name: bytes = b"") -> None:
        """Make an open file durable, its metadata included."""
        if self._observer:
            self._observer("flush_file", name)
        os.fsync(descriptor)

    def flush_directory(self, descriptor: int, name: bytes = b"") -> None:
        """Make the names in an open directory durable."""
        if self._observer:
            self._observer("flush_directory", name)
        os.fsync(descriptor)

    def flush_file_system(self, descriptor: int) -> None:
        """Make everything on the descriptor's file system durable (syncfs(2))."""
        if self._observer:
            self._observer("flush_file_system", b"")
        if _libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def write_atomically(path: str | os.PathLike[str], data: bytes, mode: int = 0o600) -> None:
    """Replace one of syncer's own files: readers see the old or the new one, also after a power failure."""
    disk = Disk()
    parent, name = os.path.split(os.fsencode(path))
    directory = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = b".%b.new-%d" % (name, os.getpid())
    try:
        descriptor = disk.create_file(directory, temporary)
        try:
            disk.write(descriptor, data)
            disk.set_mode(descriptor, mode)
            disk.flush_file(descriptor)
        finally:
            os.close(descriptor)
        disk.rename(directory, temporary, directory, name)
        disk.flush_directory(directory)
    finally:
        os.close(directory)
