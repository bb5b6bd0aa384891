"""One transaction on its way to the disk: staged as contents arrive, then made visible in one burst."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from syncer.apply.burst import Burst
from syncer.apply.contents import SMALL, LocalContents, Writing, explained, mismatch, pieces, verified
from syncer.apply.metadata import Owners, may_set_owner
from syncer.apply.plan import Plan, Staged, identity_of
from syncer.apply.stage import Stage
from syncer.apply.values import Applied, BaseReader
from syncer.errors import PeerProtocolError
from syncer.files import Disk, Root
from syncer.model import DiskIdentity, Entry, Kind, Problem, name_of, parent_of

log = logging.getLogger(__name__)

FLUSHED_ONE_BY_ONE = 16
"""Files up to which each is flushed by itself; beyond, one flush of the whole file system is faster."""


class Attempt:
    """A transaction being applied; all methods block, and belong to one thread."""

    def __init__(
        self,
        domain: str,
        root: Root,
        plan: Plan,
        base: BaseReader,
        disk: Disk,
        owners: Owners,
        stage_on: Callable[[int, bytes], Stage],
    ) -> None:
        """Stage what needs no content: directories, symlinks, empty files, and contents that are here."""
        self._domain = domain
        self._root = root
        self._plan = plan
        self._disk = disk
        self._owners = owners
        self._stage_on = stage_on
        self._base = base
        self._stages: dict[int, Stage] = {}
        self._devices: dict[bytes, int] = {}
        self._areas: dict[bytes, Stage] = {}
        self._waiting: dict[bytes, list[Staged]] = {}
        self._identities: dict[bytes, DiskIdentity] = {}
        self._problems: list[Problem] = list(plan.problems)
        self._writing: Writing | None = None
        self._bytes = 0
        self._files = sum(1 for item in plan.staged if item.entry.kind is Kind.FILE)
        self._flush_each = self._files <= FLUSHED_ONE_BY_ONE
        self._looked_for: set[bytes] = set()
        try:
            self._stage_skeleton()
        except OSError as error:
            self.discard()
            raise explained(error, "staging a change") from error
        except BaseException:
            self.discard()
            raise

    def wanted(self, available: frozenset[bytes] = frozenset()) -> list[bytes]:
        """Return the digests that must come from the peer, in the order of need.

        What is here already is verified and staged instead, unless the peer has sent it (`available`).
        Raises ApplyError.
        """
        local = LocalContents(self._root, self._base)
        try:
            for digest in [digest for digest in self._waiting if digest not in available]:
                if digest not in self._looked_for:
                    self._looked_for.add(digest)
                    self._reuse(local, digest)
        except OSError as error:
            raise explained(error, "staging a change") from error
        return list(self._waiting)

    def write(self, digest: bytes, data: bytes, offset: int, more: bool) -> None:
        """Stage a content, or a piece of it; it is verified when it is complete.

        Raises PeerProtocolError where nobody wants it, ApplyError where it is damaged or the disk refuses.
        """
        waiting = self._waiting.get(digest)
        if not waiting:
            raise PeerProtocolError("the peer sent a content that nobody asked for")
        try:
            if offset == 0 and not more and self._writing is None:
                self._write_whole(digest, data)
            else:
                self._write_piece(waiting, data, offset, more)
        except OSError as error:
            raise explained(error, "writing a file") from error
        self._bytes += len(data)

    def finish(self) -> Applied:
        """Flush what is staged and make it visible; the caller commits what this returns.

        Raises ApplyError where the disk refuses.
        """
        if self._waiting or self._writing is not None:
            raise PeerProtocolError("the peer ended a transaction before all its contents had come")
        try:
            self._flush_staged()
            # The intent journal's place: what the burst will do is known and durable from here on.
            burst = Burst(self._domain, self._root, self._plan, self._base, self._disk, self._owners, self._areas)
            applied = burst.run(self._identities)
            return applied._replace(bytes=self._bytes, problems=[*self._problems, *applied.problems])
        except OSError as error:
            raise explained(error, "applying a change") from error
        finally:
            self._release()

    def discard(self) -> None:
        """Give the transaction up; nothing visible has changed."""
        if self._writing is not None:
            os.close(self._writing.descriptor)
            self._writing = None
        self._release()

    def _release(self) -> None:
        for stage in self._stages.values():
            try:
                stage.empty()
            except OSError as error:
                # The transaction's own outcome counts; the next one cleans before it begins.
                log.warning("the staging area of domain %s could not be emptied: %s", self._domain, error)
        self._stages.clear()
        self._root.close()

    def _stage_skeleton(self) -> None:
        for item in self._plan.staged:
            area = self._area_of(item)
            entry = item.entry
            if entry.kind is Kind.FILE and entry.size:
                self._waiting.setdefault(entry.digest, []).append(item)
                continue
            directory = area.area.directory(parent_of(item.place))
            name = name_of(item.place)
            if entry.kind is Kind.DIRECTORY:
                self._disk.make_directory(directory, name)
            elif entry.kind is Kind.SYMLINK:
                self._disk.make_symlink(directory, name, entry.link_target)
                self._own_symlink(entry, directory, name)
                self._disk.set_times_of(directory, name, entry.mtime_ns)
            else:
                self._complete(item, self._disk.create_file(directory, name))

    def _area_of(self, item: Staged) -> Stage:
        """Return the staging area on the file system where the item will stand."""
        if not item.top:
            return self._areas[item.place.partition(b"/")[0]]
        parent = parent_of(item.entry.path)
        device = self._devices.get(parent)
        if device is None:
            device = self._devices[parent] = os.fstat(self._root.directory(parent)).st_dev
        stage = self._stages.get(device)
        if stage is None:
            stage = self._stage_on(device, self._mount_top(parent, device))
            stage.take()
            self._stages[device] = stage
        self._areas[item.place] = stage
        return stage

    def _mount_top(self, directory: bytes, device: int) -> bytes:
        """Return the highest directory below the root on that file system; b"" where it is the root's own."""
        if os.fstat(self._root.descriptor).st_dev == device:
            return b""
        while directory and os.fstat(self._root.directory(parent_of(directory))).st_dev == device:
            directory = parent_of(directory)
        return directory

    def _create(self, item: Staged) -> int:
        area = self._area_of(item) if item.top else self._areas[item.place.partition(b"/")[0]]
        return self._disk.create_file(area.area.directory(parent_of(item.place)), name_of(item.place))

    def _write_whole(self, digest: bytes, data: bytes) -> None:
        items = self._waiting[digest]
        verified(digest, data, items[0].entry.size)
        del self._waiting[digest]
        for item in items:
            descriptor = self._create(item)
            self._disk.write(descriptor, data)
            self._complete(item, descriptor)

    def _write_piece(self, waiting: list[Staged], data: bytes, offset: int, more: bool) -> None:
        first = waiting[0]
        if self._writing is None:
            self._writing = Writing(first.entry.digest, first.entry.size, self._create(first))
        writing = self._writing
        if writing.digest != first.entry.digest:
            raise PeerProtocolError("the peer mixed the pieces of two contents")
        writing.add(self._disk, data, offset)
        if more:
            return
        writing.verify()
        self._writing = None
        del self._waiting[writing.digest]
        for item in waiting[1:]:
            self._copy(item, writing.descriptor)
        self._complete(first, writing.descriptor)

    def _copy(self, item: Staged, source: int) -> None:
        descriptor = self._create(item)
        self._disk.copy(source, descriptor, item.entry.size)
        self._complete(item, descriptor)

    def _reuse(self, local: LocalContents, digest: bytes) -> None:
        items = self._waiting[digest]
        found = local.find(items[0].entry)
        if found is None:
            return
        path, source = found
        try:
            if len(items) == 1 and self._link(items[0], path, source):
                del self._waiting[digest]
            elif items[0].entry.size <= SMALL:
                self._write_whole(digest, b"".join(pieces(source)))
            else:
                self._copy_verified(items, digest, source)
        finally:
            os.close(source)

    def _copy_verified(self, items: list[Staged], digest: bytes, source: int) -> None:
        """Copy a large local file; the copy is hashed, since the original may change meanwhile."""
        writing = Writing(digest, items[0].entry.size, self._create(items[0]))
        try:
            for piece in pieces(source):
                writing.add(self._disk, piece, writing.offset)
            writing.verify()
        except BaseException:
            os.close(writing.descriptor)
            raise
        del self._waiting[digest]
        for item in items[1:]:
            self._copy(item, writing.descriptor)
        self._complete(items[0], writing.descriptor)

    def _link(self, item: Staged, path: bytes, source: int) -> bool:
        """A renamed file needs no copy: give it its new name, where the old one goes in this transaction."""
        found = os.fstat(source)
        entry = item.entry
        same = (
            path in self._deleted_paths()
            and found.st_nlink == 1
            and found.st_mode & 0o7777 == entry.mode
            and found.st_mtime_ns == entry.mtime_ns
            and (found.st_uid, found.st_gid) == self._owners.of(entry)
        )
        area = self._area_of(item) if item.top else self._areas[item.place.partition(b"/")[0]]
        if not same or found.st_dev != os.fstat(area.area.descriptor).st_dev:
            return False
        target = area.area.directory(parent_of(item.place))
        directory = self._root.directory(parent_of(path))
        self._disk.link(directory, name_of(path), target, name_of(item.place))
        linked = os.stat(name_of(item.place), dir_fd=target, follow_symlinks=False)
        if linked.st_ino != found.st_ino or identity_of(linked)[:2] != identity_of(found)[:2]:
            # RACE: the name led to another file by then; what we linked is not what we verified.
            self._disk.unlink(target, name_of(item.place))
            return False
        return True

    def _deleted_paths(self) -> set[bytes]:
        if not hasattr(self, "_deleted"):
            self._deleted = set(self._plan.deletions)
        return self._deleted

    def _complete(self, item: Staged, descriptor: int) -> None:
        """Give a staged file its metadata, note what it looks like, and close it."""
        entry, disk = item.entry, self._disk
        try:
            uid, gid = self._owners.of(entry)
            self._own_file(entry, descriptor, uid, gid)
            disk.set_mode(descriptor, entry.mode)
            disk.set_times(descriptor, entry.mtime_ns)
            if self._flush_each:
                disk.flush_file(descriptor)
            self._identities[entry.path] = identity_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def _own_file(self, entry: Entry, descriptor: int, uid: int, gid: int) -> None:
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) == (uid, gid):
            return
        if may_set_owner(uid, gid):
            self._disk.set_owner(descriptor, uid, gid)
        else:
            self._problems.append(owner_problem(self._domain, entry))

    def _own_symlink(self, entry: Entry, directory: int, name: bytes) -> None:
        uid, gid = self._owners.of(entry)
        if (uid, gid) == (os.geteuid(), os.getegid()):
            return
        if may_set_owner(uid, gid):
            self._disk.set_owner_of(directory, name, uid, gid)
        else:
            self._problems.append(owner_problem(self._domain, entry))

    def _flush_staged(self) -> None:
        """Directories and symlinks have no cheap flush of their own, and many files are flushed together."""
        only_files = self._files == len(self._plan.staged)
        if self._flush_each and only_files:
            return
        for stage in self._stages.values():
            self._disk.flush_file_system(stage.area.descriptor)


def owner_problem(domain: str, entry: Entry) -> Problem:
    """Return the problem of an owner that this process may not give."""
    owner = f"{entry.owner or entry.uid}:{entry.group or entry.gid}"
    return Problem(domain, entry.path, f"owner {owner} cannot be set on failover: the agent does not run as root there")


__all__ = ["Attempt", "mismatch", "owner_problem"]
