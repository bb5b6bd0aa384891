"""Covers a directory with a read-only view of itself, for every process of this machine, and uncovers it."""

from __future__ import annotations

import ctypes
import os

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""The same numbers on every machine that Linux runs on; the last came with Linux 5.12."""
_CLONE, _RECURSIVE, _EMPTY_PATH, _CLOEXEC = 0x1, 0x8000, 0x1000, os.O_CLOEXEC
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 0x04, 0x40
_READ_ONLY = 0x1
_DETACH, _NO_FOLLOW = 2, 8
_NO_LINKS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Attributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def cover(directory: bytes) -> None:
    """Mount a read-only view of `directory`, with all that is mounted beneath it, over it.

    `directory` is absolute and without links. In one step: it is never seen half-way, and a process that is killed
    before leaves nothing. Files that are open for writing stay so. Raises OSError; ENOSYS before Linux 5.12.
    """
    place = os.open(directory, _NO_LINKS)
    try:
        view = _call(_OPEN_TREE, place, b"", _EMPTY_PATH | _CLONE | _RECURSIVE | _CLOEXEC)
        try:
            only_read = _Attributes(_READ_ONLY, 0, 0, 0)
            flags = _EMPTY_PATH | _RECURSIVE
            _call(_MOUNT_SETATTR, view, b"", flags, only_read, ctypes.sizeof(only_read))
            # RACE: read-only before it is anywhere, so that namespaces which it propagates to get it so, too.
            _call(_MOVE_MOUNT, view, b"", place, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)
        finally:
            os.close(view)
    finally:
        os.close(place)


def uncover(directory: bytes) -> None:
    """Take away what is mounted topmost at `directory`; who is in it may stay there. Raises OSError."""
    if _libc.umount2(directory, _DETACH | _NO_FOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), directory)


def _call(number: int, *arguments: int | bytes | _Attributes) -> int:
    whole = [_as_argument(item) for item in arguments]
    result = _syscall(ctypes.c_long(number), *whole)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(result)


def _as_argument(item: int | bytes | _Attributes) -> object:
    if isinstance(item, _Attributes):
        return ctypes.byref(item)
    # Whole registers: what is passed as an int of C may leave anything in the upper half.
    return ctypes.c_long(item) if isinstance(item, int) else item
