"""Turns what lstat says of one path into what the index keeps: an entry, and the identity it was read at."""

from __future__ import annotations

import errno
import os
import stat
import time

from syncer.capture.contents import ContentCache
from syncer.capture.owners import Owners
from syncer.capture.reader import Reads, UnstableError, read_stable
from syncer.files import Attributes
from syncer.model import DiskIdentity, Entry, Kind, Known

RACY_NS = 20_000_000
"""A change within this time of the last one may leave the same ctime: coarse clocks tick every 4 to 10 ms."""

_UNSUPPORTED = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "FIFO",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_TRANSIENT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR))
"""Faults of this process or this moment: they say nothing of the file."""
_INT63 = 2**63 - 1
_SPREAD = 0x9E3779B97F4A7C15
"""An odd number without pattern, so that no device maps small inode numbers onto those of another."""
_INT64 = range(-(2**63), 2**63)


class Inspector:
    """Looks at single paths; opens files, but changes nothing."""

    def __init__(self, owners: Owners, contents: ContentCache | None, reads: Reads) -> None:
        self._owners = owners
        self._contents = contents
        self._reads = reads
        self.root_device = 0
        """Where inode numbers alone tell files apart."""

    def directory(self, path: bytes, descriptor: int, status: os.stat_result) -> Known:
        """Return an opened directory as it is; never racy, since what lies in it is looked at itself.

        `status` was taken before: a change of the attributes since then has the directory looked at again.
        """
        if status.st_mtime_ns not in _INT64:
            return unrepresentable(path, status)
        attributes = self._reads.attributes(descriptor, self._owners)
        return Known(self._entry(path, Kind.DIRECTORY, status, attributes), identity_of(status))

    def other(self, directory: int, name: str, path: bytes, status: os.stat_result) -> Known:
        """Return what is no directory; what cannot be read or copied is UNKNOWN, with the reason.

        Raises FileNotFoundError where it is gone meanwhile, and UnstableError.
        """
        form = stat.S_IFMT(status.st_mode)
        try:
            if status.st_mtime_ns not in _INT64:
                return unrepresentable(path, status)
            if form == stat.S_IFREG:
                return self._file(directory, name, path, status)
            if form == stat.S_IFLNK:
                return self._symlink(directory, name, path, status)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise_transient(error)
            return unreadable(path, status, error)
        return unknown(path, status, f"{_UNSUPPORTED.get(form, 'unsupported kind')}: not copied")

    def is_unchanged(self, known: Known, status: os.stat_result) -> bool:
        """Tell whether `status` shows exactly what is `known`, so that it need not be read."""
        entry, identity, racy = known
        kind, mode, uid, gid = entry.kind, status.st_mode, status.st_uid, status.st_gid
        if kind is Kind.FILE:
            same_kind = mode == stat.S_IFREG | entry.mode
        else:
            # What could not be read may be readable now, whatever its times say.
            same_kind = kind is Kind.SYMLINK and stat.S_ISLNK(mode)
        # A plain tuple, since making a DiskIdentity costs as much as all the rest.
        return (
            same_kind
            and not racy
            and identity == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
            and entry.uid == uid
            and entry.gid == gid
            and entry.owner == self._owners.users[uid]
            and entry.group == self._owners.groups[gid]
        )

    def _file(self, directory: int, name: str, path: bytes, status: os.stat_result) -> Known:
        after, digest, read_at, attributes = read_stable(
            directory, name, status, self._contents, self._reads, self._owners
        )
        entry = self._entry(path, Kind.FILE, after, attributes, digest=digest)
        return Known(entry, identity_of(after), _is_racy(after, read_at))

    def _symlink(self, directory: int, name: str, path: bytes, status: os.stat_result) -> Known:
        read_at = time.time_ns()
        target = os.fsencode(self._reads.read_link(name, dir_fd=directory))
        attributes = self._reads.attributes_of_link(name, self._owners, dir_fd=directory)
        after = self._reads.lstat(name, dir_fd=directory, follow_symlinks=False)
        if identity_of(after) != identity_of(status) or not stat.S_ISLNK(after.st_mode):
            raise UnstableError("it changes faster than it can be read")
        entry = self._entry(path, Kind.SYMLINK, after, attributes, target=target)
        return Known(entry, identity_of(after), _is_racy(after, read_at))

    def _entry(
        self,
        path: bytes,
        kind: Kind,
        status: os.stat_result,
        attributes: Attributes,
        *,
        digest: bytes = b"",
        target: bytes = b"",
    ) -> Entry:
        uid, gid = status.st_uid, status.st_gid
        mode = 0 if kind is Kind.SYMLINK else stat.S_IMODE(status.st_mode)
        owner, group = self._owners.users[uid], self._owners.groups[gid]
        size = link = 0
        if kind is Kind.FILE:
            size = status.st_size
            link = self._link(status) if status.st_nlink > 1 else 0
        encoded, flaw = attributes
        return Entry(
            path, kind, mode, uid, gid, owner, group, status.st_mtime_ns, size, digest, target, flaw, encoded, link
        )

    def _link(self, status: os.stat_result) -> int:
        """Return what the names of one file have in common: its inode, told apart from those of other mounts."""
        number = status.st_ino
        if status.st_dev != self.root_device:
            number ^= status.st_dev * _SPREAD
        return number & _INT63 or 1


def identity_of(status: os.stat_result) -> DiskIdentity:
    """Return what tells this state of a path from another without reading it."""
    return DiskIdentity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def unknown(path: bytes, status: os.stat_result | None, note: str) -> Known:
    """Return an UNKNOWN entry: nothing at or below it is deleted anywhere."""
    entry = Entry(path, Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", note)
    # Its times say nothing that anyone needs, and would make a change of each look at a busy socket.
    inode, device = (status.st_ino, status.st_dev) if status is not None else (0, 0)
    return Known(entry, DiskIdentity(0, 0, 0, inode, device))


def unreadable(path: bytes, status: os.stat_result | None, error: OSError) -> Known:
    """Return the UNKNOWN entry for a path that the file system does not let us read."""
    return unknown(path, status, f"cannot be read: {error.strerror or error}")


def raise_transient(error: OSError) -> None:
    """Raise UnstableError where trying again soon may do: the known state stays as it is until then."""
    if error.errno in _TRANSIENT:
        raise UnstableError(f"cannot be read now: {error.strerror}") from error


def unrepresentable(path: bytes, status: os.stat_result) -> Known:
    """Return the UNKNOWN entry for a path whose mtime lies beyond the years 1677 to 2262."""
    return unknown(path, status, "its modification time is outside of 1677 to 2262: set another with touch")


def _is_racy(status: os.stat_result, read_at: int) -> bool:
    return abs(read_at - status.st_ctime_ns) < RACY_NS
