"""Decides how what goes is put aside: whole, piece by piece, or not at all where its file stands under another name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from syncer.apply.as_applied import AsApplied
from syncer.apply.burst import Burst
from syncer.apply.plan import Found, Removal
from syncer.apply.stage import Stages
from syncer.apply.values import BaseReader
from syncer.model import DiskIdentity, Kind, Known, parent_of


class Asides(NamedTuple):
    """Where what goes lies afterwards."""

    names: dict[bytes, bytes]
    """Path → where it is put in the stage; those that go with their directory have none."""
    wholes: set[bytes]
    """Directories that go with everything in them, in one rename."""


def choose_asides(removals: Sequence[Removal], unlinks: AbstractSet[bytes], stages: Stages, burst: Burst) -> Asides:
    """Give each removal its place in the stage, except `unlinks`, for which nothing is put aside.

    A directory comes before what is in it. Raises ApplyError and OSError where the disk refuses a stage.
    """
    doomed = {removal.path for removal in removals if removal.path not in unlinks}
    names: dict[bytes, bytes] = {}
    wholes: set[bytes] = set()
    inside: set[bytes] = set()
    for removal in removals:
        path = removal.path
        parent = parent_of(path)
        if parent in inside and path:
            if removal.is_directory:
                inside.add(path)
            continue
        if path in unlinks:
            continue
        # Opened now, since nothing new may be made any more once the intent is written.
        stages.for_directory(parent)
        names[path] = b"r%d" % len(names)
        if removal.is_directory and burst.holds_only(path, doomed):
            wholes.add(path)
            inside.add(path)
    return Asides(names, wholes)


class Survivors:
    """Finds the names that go while their file stands under another path."""

    def __init__(self, found: Mapping[bytes, Found | None], base: BaseReader, as_applied: AsApplied) -> None:
        """`found` is what the survey met; `as_applied` vouches for names whose ctime has moved."""
        self._found = found
        self._base = base
        self._as_applied = as_applied

    def among(self, gone: AbstractSet[bytes], linked: Mapping[bytes, DiskIdentity]) -> dict[bytes, bytes]:
        """Return the names among `gone` whose file stands on: path → the other one. `linked` are staged names.

        Keeping such a name aside would keep nothing, and would be one name too many for the file.
        """
        staged = {(here.device, here.inode): path for path, here in linked.items()}
        survivors = {}
        for path in gone:
            here = self._found.get(path)
            if here is None or here.kind is not Kind.FILE or (not staged and here.links == 1):
                continue
            other = staged.get((here.identity.device, here.identity.inode))
            if other is None:
                other = self._standing_name(path, here, lambda name: name not in gone and name not in linked)
            if other is not None and self._is_known(path, here.identity):
                survivors[path] = other
        return survivors

    def _standing_name(self, path: bytes, here: Found, stays: Callable[[bytes], bool]) -> bytes | None:
        known = self._base.get(path) if here.links > 1 else None
        if known is None or not known.entry.link:
            return None
        names: Sequence[Known] = self._base.names_of_link(known.entry.link)
        standing = [name.entry.path for name in names if name.identity.inode == here.identity.inode]
        return next((name for name in standing if stays(name)), None)

    def _is_known(self, path: bytes, identity: DiskIdentity) -> bool:
        """Tell whether the base knows what goes: of anything else the history must have the file itself."""
        known = self._base.get(path)
        return known is not None and self._as_applied(known, identity)
