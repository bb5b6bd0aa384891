"""One thing that a transaction displaced: what it is, as an entry, and how it is opened and removed."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from syncer.apply.area import Area
from syncer.files import Disk, own_attributes_at
from syncer.model import Entry, Kind, name_of, parent_of


class Thing(NamedTuple):
    """One thing in a stage."""

    area: Area
    place: bytes
    """Beneath the area."""
    path: bytes | None
    """Where it stood; None: it was staged and never placed, nobody misses it."""
    here: os.stat_result
    emptied: bool = False
    """A directory, met again after everything in it."""


def entry_of(path: bytes, kind: Kind, thing: Thing, *, digest: bytes = b"", link_target: bytes = b"") -> Entry:
    """Return a thing as an entry of the path at which it stood: with this node's numbers, and without names."""
    here = thing.here
    mode = 0 if kind is Kind.SYMLINK else stat.S_IMODE(here.st_mode)
    size = here.st_size if kind is Kind.FILE else 0
    return Entry(
        path, kind, mode, here.st_uid, here.st_gid, "", "", here.st_mtime_ns, size, digest, link_target
    )._replace(attributes=attributes_of(thing))


def attributes_of(thing: Thing) -> bytes:
    """Return a thing's own extended attributes, b"" where they cannot be read."""
    try:
        return own_attributes_at(thing.area.root.directory(parent_of(thing.place)), name_of(thing.place))
    except OSError:
        # Nobody can keep what cannot be read.
        return b""


def open_thing(thing: Thing, disk: Disk) -> int:
    """Open a file for reading, also where its owner, the agent's user, had no right to.

    Raises PermissionError where it belongs to somebody else, DiskError where the disk refuses.
    """
    try:
        return thing.area.root.open_file(thing.place)
    except PermissionError:
        if thing.here.st_uid != os.geteuid():
            raise
    parent = thing.area.root.directory(parent_of(thing.place))
    descriptor = os.open(name_of(thing.place), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        disk.set_mode_of_unreadable(descriptor, stat.S_IMODE(thing.here.st_mode) | stat.S_IRUSR, thing.place)
    finally:
        os.close(descriptor)
    return thing.area.root.open_file(thing.place)


def remove_thing(thing: Thing, disk: Disk) -> None:
    """Remove a thing from its stage, a directory once it is emptied; raises DiskError."""
    root, parent, name = thing.area.root, parent_of(thing.place), name_of(thing.place)
    if thing.emptied:
        root.forget(thing.place)
        disk.remove_directory(root.directory(parent), name, thing.place)
    else:
        disk.unlink(root.directory(parent), name, thing.place)
