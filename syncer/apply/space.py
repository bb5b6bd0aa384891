"""Refuses a large transaction for which the disk has no room, before it starts to fill it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from syncer.apply.contents import Need
from syncer.files import DiskError, Root

LOOKED_AT_FROM = 1 << 20
"""Bytes; a smaller transaction finds out by itself, and costs nothing to throw away."""
MARGIN = 1 << 20
"""Bytes that are left for directories, journal and base."""


def require_space(root: Root, needs: Iterable[Need]) -> None:
    """Raise DiskError(DISK_FULL) where the contents that must come do not fit below `root`."""
    needed = sum(need.want.size * len(need.files) for need in needs)
    if needed < LOOKED_AT_FROM:
        return
    found = os.fstatvfs(root.descriptor)
    free = found.f_bavail * found.f_frsize
    if needed + MARGIN > free:
        error = OSError(errno.ENOSPC, f"{needed >> 20} MiB are needed, {free >> 20} MiB are free")
        raise DiskError("reserve space", b"", error)
