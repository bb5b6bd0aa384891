"""The only place that changes the disk: named operations, resolution beneath a root, atomic replacement."""

from __future__ import annotations

from syncer.files.atomic import write_atomically
from syncer.files.attributes import (
    Attributes,
    Names,
    has_labels,
    own_attributes_at,
    raw_attributes,
    raw_attributes_at,
    read_attributes,
    read_attributes_at,
)
from syncer.files.beneath import Resolution, Root
from syncer.files.covering import cover, uncover
from syncer.files.disk import Disk, Observer
from syncer.files.failures import DiskError
from syncer.files.room import has_room

__all__ = [
    "Attributes",
    "Disk",
    "DiskError",
    "Names",
    "Observer",
    "Resolution",
    "Root",
    "cover",
    "has_labels",
    "has_room",
    "own_attributes_at",
    "raw_attributes",
    "raw_attributes_at",
    "read_attributes",
    "read_attributes_at",
    "uncover",
    "write_atomically",
]
