"""The contents that the history holds on the disk: one file a digest, in a private directory beside the root.

They lie in `kept` of the area of the mount that they come from, so that a rename brings them there. What was
found damaged lies in `damaged` until no generation names it any more.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence

from syncer.apply.area import Area
from syncer.files import Disk, DiskError
from syncer.model import DIGEST_SIZE, join
from syncer.state.kept import Kept, find_kept
from syncer.state.store import StateStore

KEPT = b"kept"
DAMAGED = b"damaged"
_COPY_PREFIX = b"new-"


class KeptContents:
    """One domain's kept contents; used by one thread."""

    def __init__(self, domain: str, store: StateStore, disk: Disk) -> None:
        """Nothing is opened or made yet."""
        self._domain = domain
        self._store = store
        self._disk = disk
        self._copies = 0

    def holds(self, areas: Sequence[Area], digest: bytes, size: int) -> bool:
        """Tell whether a content is recorded and its file there, of the right size."""
        known = find_kept(self._store, self._domain, digest)
        area = None if known is None or known.size != size else _area_of(areas, known.top)
        if area is None:
            return False
        found = _look(area, path_of(digest))
        return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == size

    def is_recorded(self, digest: bytes) -> bool:
        """Tell whether a content is, or is about to be, kept."""
        return find_kept(self._store, self._domain, digest) is not None

    def open(self, areas: Sequence[Area], digest: bytes) -> int | None:
        """Return a descriptor of a kept content for reading, which the caller closes; None where it is not there."""
        known = find_kept(self._store, self._domain, digest)
        area = None if known is None else _area_of(areas, known.top)
        if known is None or area is None:
            return None
        try:
            descriptor = area.root.open_file(path_of(digest))
        except FileNotFoundError:
            return None
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_size == known.size:
            return descriptor
        os.close(descriptor)
        return None

    def prepare(self, area: Area) -> None:
        """Make the directory that takes the contents of an area, durably, where it is missing."""
        self._make(area, KEPT)

    def new_copy(self, area: Area) -> tuple[bytes, int]:
        """Create an empty file for a copy; return its path in the area and a descriptor for both ways."""
        self.prepare(area)
        while True:
            self._copies += 1
            name = b"%s%d" % (_COPY_PREFIX, self._copies)
            try:
                return join(KEPT, name), self._disk.create_file(area.root.directory(KEPT), name, name)
            except DiskError as error:
                # A copy that a crash left: it is swept later, and its name is free then.
                if error.number != errno.EEXIST:
                    raise

    def drop_copy(self, area: Area, path: bytes) -> None:
        """Remove a copy that is not needed."""
        self._disk.unlink(area.root.directory(KEPT), path.rpartition(b"/")[2], path)

    def adopt(self, area: Area, place: bytes, digest: bytes) -> None:
        """Rename a file of the area to where its content belongs; durable after `flush`."""
        parent, _, name = place.rpartition(b"/")
        target = os.dup(area.root.directory(KEPT))
        try:
            self._disk.rename(area.root.directory(parent), name, target, digest.hex().encode(), place)
        finally:
            os.close(target)

    def flush(self, area: Area) -> None:
        """Make the names of adopted contents durable."""
        self._disk.flush_directory(area.root.directory(KEPT), KEPT)

    def remove(self, areas: Sequence[Area], contents: Iterable[Kept]) -> list[bytes]:
        """Remove contents; return the digests of those that are gone, the rest lies on a mount that is not here."""
        gone = []
        for content in contents:
            area = _area_of(areas, content.top)
            if area is None:
                continue
            for directory in (KEPT, DAMAGED):
                self._unlink(area, directory, content.digest.hex().encode())
            gone.append(content.digest)
        return gone

    def set_aside(self, areas: Sequence[Area], content: Kept) -> None:
        """Move a damaged content to where nothing takes it for a good one; one that is gone needs no moving."""
        area = _area_of(areas, content.top)
        if area is None or _look(area, path_of(content.digest)) is None:
            return
        self._make(area, DAMAGED)
        name = content.digest.hex().encode()
        target = os.dup(area.root.directory(DAMAGED))
        try:
            self._disk.rename(area.root.directory(KEPT), name, target, name, path_of(content.digest))
        finally:
            os.close(target)

    def sweep(self, areas: Sequence[Area], is_needed: Iterable[bytes]) -> list[Kept]:
        """Remove what a crash left; return the contents that are there, needed, and recorded nowhere.

        `is_needed`: digests that some generation names.
        """
        needed = set(is_needed)
        found: list[Kept] = []
        for area in areas:
            for directory in (KEPT, DAMAGED):
                for name in _names(area, directory):
                    digest = _digest(name)
                    if digest is None or digest not in needed:
                        self._unlink(area, directory, name)
                    elif directory == KEPT and find_kept(self._store, self._domain, digest) is None:
                        here = _look(area, join(KEPT, name))
                        found += [Kept(digest, here.st_size, area.top)] if here is not None else []
        return found

    def _make(self, area: Area, name: bytes) -> None:
        if _look(area, name) is not None:
            return
        try:
            self._disk.make_directory(area.descriptor, name, 0o700, name)
        except DiskError as error:
            if error.number != errno.EEXIST:
                raise
        # CRASH: what is kept is only as durable as the name of the directory that it lies in.
        self._disk.flush_directory(area.descriptor, name)

    def _unlink(self, area: Area, directory: bytes, name: bytes) -> None:
        try:
            self._disk.unlink(area.root.directory(directory), name, join(directory, name))
        except FileNotFoundError:
            return
        except DiskError as error:
            if error.number != errno.ENOENT:
                raise


def path_of(digest: bytes) -> bytes:
    """Return where a content lies in its area."""
    return join(KEPT, digest.hex().encode())


def _area_of(areas: Sequence[Area], top: bytes) -> Area | None:
    return next((area for area in areas if area.top == top), None)


def _look(area: Area, path: bytes) -> os.stat_result | None:
    try:
        return area.root.lstat(path)
    except FileNotFoundError:
        return None


def _names(area: Area, directory: bytes) -> list[bytes]:
    try:
        return [name for name, is_directory in area.root.entries(directory) if not is_directory]
    except FileNotFoundError:
        return []


def _digest(name: bytes) -> bytes | None:
    """Return the digest that a file is named by, or None where it is something else."""
    try:
        digest = bytes.fromhex(name.decode("ascii"))
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_SIZE else None
