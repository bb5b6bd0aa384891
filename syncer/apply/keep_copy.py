"""Copies a file that cannot be moved into the history, because it has another name or a writer."""

from __future__ import annotations

import errno
import os

from syncer.apply.survey import identity_of
from syncer.files import Disk, DiskError

COPIED_AT_MOST = 256 << 20
"""Bytes of a file that is copied; where the file system shares bytes between files there is no limit."""

_NO_CLONE = frozenset(
    (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.ENOTTY, errno.EPERM, errno.ETXTBSY)
)
_NO_COPY = frozenset((errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM))
_COPIED_AT_ONCE = 64 << 20
_PIECE = 1 << 20


def copy_of_one_moment(disk: Disk, source: int, target: int, before: os.stat_result, path: bytes) -> str:
    """Copy all bytes of `source`, which was as `before` says, to the empty `target`.

    Returns why that is no copy of one moment, or "". Raises DiskError where the disk refuses.
    """
    try:
        disk.clone(source, target, path)
        return ""
    except DiskError as error:
        if error.number not in _NO_CLONE:
            raise
    if before.st_size > COPIED_AT_MOST:
        return (
            f"has {before.st_size} bytes and another name, or was open for writing: more than "
            f"{COPIED_AT_MOST >> 20} MiB are not copied"
        )
    os.lseek(source, 0, os.SEEK_SET)
    try:
        while disk.copy_range(source, target, _COPIED_AT_ONCE, path):
            pass
    except DiskError as error:
        if error.number not in _NO_COPY:
            raise
        # Both stand where the kernel stopped, so this goes on from there.
        while piece := os.read(source, _PIECE):
            disk.write(target, piece, path)
    return "" if identity_of(os.fstat(source)) == identity_of(before) else "was written to while it was copied"
