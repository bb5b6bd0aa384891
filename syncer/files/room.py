"""Tells whether a file system has room left."""

from __future__ import annotations

import os


def has_room(descriptor: int, size: int) -> bool:
    """Tell whether the file system of a descriptor has room for `size` bytes more; True where it does not say."""
    here = os.fstatvfs(descriptor)
    return not here.f_blocks or here.f_bavail * here.f_frsize >= size
