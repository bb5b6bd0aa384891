"""The only place that changes the disk: named operations, resolution beneath a root, atomic replacement."""

from __future__ import annotations

from syncer.files.atomic import write_atomically
from syncer.files.beneath import Resolution, Root
from syncer.files.disk import Disk, Observer
from syncer.files.failures import DiskError

__all__ = ["Disk", "DiskError", "Observer", "Resolution", "Root", "write_atomically"]
