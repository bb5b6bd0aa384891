"""Goes through what a transaction's stage holds, and says which path of the domain each thing stood at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from syncer.apply.area import Area
from syncer.apply.displaced_thing import Thing
from syncer.errors import ApplyError
from syncer.files import Disk
from syncer.model import is_beneath, join, name_of, parent_of, shown
from syncer.state.generations import Displaced


def things_of(areas: Sequence[Area], stage: bytes, rows: Mapping[bytes, Displaced], disk: Disk) -> Iterator[Thing]:
    """Yield all that lies in the stage, in every area; a directory before what is in it, and again after that.

    The caller may remove each thing once it has come for the last time.
    """
    tops = [area.top for area in areas]
    paths: dict[tuple[bytes, bytes], bytes] = {}
    for path, row in rows.items():
        if row.place:
            paths[_top_of(path, tops), row.place] = path
    for area in areas:
        try:
            names = area.root.entries(stage)
        except FileNotFoundError:
            # Nothing was displaced on this mount, or all of it was taken in before a crash.
            continue
        for name, is_directory in sorted(names):
            # Where the file system swaps no names, what stood there was renamed to the name with a tilde.
            path_here = paths.get((area.top, name.removesuffix(b"~")))
            place = join(stage, name)
            if is_directory:
                yield from _tree(area, place, path_here, disk)
            else:
                yield from _one(area, place, path_here)


def _tree(area: Area, top: bytes, path: bytes | None, disk: Disk) -> Iterator[Thing]:
    directories = [(top, path)]
    met: list[Thing] = []
    for place, path_here in directories:
        here = area.root.lstat(place)
        if here is None:
            continue
        thing = Thing(area, place, path_here, here)
        yield thing
        met.append(thing._replace(emptied=True))
        _open_up(area, place, here, disk)
        # It was mounted within the directory when that was put aside: nothing in it was displaced.
        if area.root.is_on_other_mount(place):
            raise ApplyError(f"another file system is mounted at {shown(place)!a} in the staging area: unmount it")
        for name, is_directory in sorted(area.root.entries(place)):
            below = None if path_here is None else join(path_here, name)
            if is_directory:
                directories.append((join(place, name), below))
            else:
                yield from _one(area, join(place, name), below)
    yield from reversed(met)


def _one(area: Area, place: bytes, path: bytes | None) -> Iterator[Thing]:
    here = area.root.lstat(place)
    if here is not None:
        yield Thing(area, place, path, here)


def _top_of(path: bytes, tops: Sequence[bytes]) -> bytes:
    """Return the mount that a path's directory lies on: the stages of two mounts may use the same names."""
    parent = parent_of(path)
    return max((top for top in tops if is_beneath(parent, top)), key=len, default=b"")


def _open_up(area: Area, place: bytes, here: os.stat_result, disk: Disk) -> None:
    """Let an agent that is not root look into a directory without rights for its owner."""
    if os.geteuid() == 0 or stat.S_IMODE(here.st_mode) & 0o700 == 0o700:
        return
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name_of(place), flags, dir_fd=area.root.directory(parent_of(place)))
    try:
        disk.set_mode_of_unreadable(descriptor, 0o700, place)
    finally:
        os.close(descriptor)
