"""What the operating system refuses, as an error with the operation, the path and the cure."""

from __future__ import annotations

import errno
import os

from syncer.errors import ApplyError, Reason
from syncer.model import shown

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_CURES = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "raise the quota, or free space there",
    errno.EROFS: "mount the file system writable",
    errno.EACCES: "let the agent's user write there",
    errno.EPERM: "let the agent's user write there, and look for an immutable attribute (lsattr)",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
}


class DiskError(ApplyError):
    """An operation on the disk failed; `number` is its errno."""

    def __init__(self, operation: str, path: bytes, error: OSError) -> None:
        self.number = error.errno or 0
        self.operation = operation
        self.path = path
        cure = _CURES.get(self.number, "look into the kernel's log for faults of the disk")
        super().__init__(
            f"{operation.replace('_', ' ')} failed at {shown(path)!a} "
            f"({os.strerror(self.number) if self.number else error}): {cure}",
            Reason.DISK_FULL if self.number in _FULL else Reason.IO,
        )
