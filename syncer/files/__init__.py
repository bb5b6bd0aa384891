"""The only room that changes the disk: named operations, and paths that stay beneath their root."""

from __future__ import annotations

from syncer.files.beneath import Root
from syncer.files.disk import Disk, Observer, write_atomically

__all__ = ["Disk", "Observer", "Root", "write_atomically"]
