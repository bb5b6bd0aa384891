"""System calls that Python's os module lacks: openat2, renameat2, syncfs."""

from __future__ import annotations

import ctypes
import errno
import os

_OPENAT2 = 437
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}.get(os.uname().machine, 0)
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2

_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_BENEATH = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_syscall_open = _libc.syscall
_syscall_open.restype = ctypes.c_long
_syscall_open.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
# Another CDLL object, because argument types belong to a function object and a CDLL keeps one of each name.
_syscall_rename = ctypes.CDLL(None, use_errno=True).syscall
_syscall_rename.restype = ctypes.c_long
_syscall_rename.argtypes = (
    ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
)  # fmt: skip  # one argument list
_syncfs = _libc.syncfs
_syncfs.argtypes = (ctypes.c_int,)

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_INSIDE = _OpenHow(DIRECTORY_FLAGS, 0, _BENEATH | _RESOLVE_NO_XDEV)
_ACROSS = _OpenHow(DIRECTORY_FLAGS, 0, _BENEATH)
_INSIDE_AT = ctypes.addressof(_INSIDE)
_ACROSS_AT = ctypes.addressof(_ACROSS)
_SIZE = ctypes.sizeof(_OpenHow)


def open_directory_beneath(directory: int, path: bytes, *, across_mounts: bool) -> int:
    """Open the directory `path` beneath the descriptor `directory` with openat2, following no link.

    Returns a descriptor. Raises OSError: ELOOP at a symlink, EXDEV where the path leaves the directory
    (or enters another mount and `across_mounts` is False), ENOSYS or EPERM where openat2 cannot be used.
    """
    how = _ACROSS_AT if across_mounts else _INSIDE_AT
    while True:
        descriptor = _syscall_open(_OPENAT2, directory, path, how, _SIZE)
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        # EAGAIN: a rename somewhere made the kernel unsure about ".."; it asks for another try.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)


def rename_new(source_directory: int, source: bytes, directory: int, name: bytes) -> None:
    """Rename to a name that nothing has (renameat2 with RENAME_NOREPLACE).

    Raises OSError: EEXIST where something has it. Where the file system cannot do it in one step, the name is
    looked at just before.
    """
    if _RENAMEAT2:
        if _syscall_rename(_RENAMEAT2, source_directory, source, directory, name, _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number), name)
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
        return
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def exchange(directory: int, name: bytes, other_directory: int, other_name: bytes) -> None:
    """Swap two names in one step (renameat2 with RENAME_EXCHANGE).

    Raises OSError: EINVAL where the file system cannot, ENOSYS where this machine's number is not known.
    """
    if not _RENAMEAT2:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    if _syscall_rename(_RENAMEAT2, directory, name, other_directory, other_name, _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def sync_filesystem(descriptor: int) -> None:
    """Write out everything of the file system that `descriptor` lies on; OSError where that fails."""
    if _syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
