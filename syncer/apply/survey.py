"""Looks at what stands where a transaction wants to write; changes nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

import blake3

from syncer.apply.access import Access
from syncer.apply.owners import Owners, same_attributes
from syncer.apply.plan import Found, Survey, content_known
from syncer.apply.values import BaseReader, Reach
from syncer.errors import ApplyError, BeneathRootError, Reason
from syncer.files import Root, own_attributes_at, raw_attributes_at
from syncer.model import Change, DiskIdentity, Entry, Kind, join, name_of, parent_of, shown

PIECE = 1 << 20
"""Bytes read at a time from a large file."""

UNHOLDABLE = frozenset((errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ))
"""What a file system answers to names that it cannot hold."""

_ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV))


def unholdable(error: OSError) -> str:
    """Return the reason of a problem with a name that the file system here cannot hold."""
    return f"cannot be held by the file system here ({os.strerror(error.errno or 0)}): rename it on production"


def found_of(result: os.stat_result, *, same: bool = False, blocker: str = "") -> Found:
    """Return what lstat or fstat said, in our words."""
    kind = Kind.UNKNOWN
    if stat.S_ISREG(result.st_mode):
        kind = Kind.FILE
    elif stat.S_ISDIR(result.st_mode):
        kind = Kind.DIRECTORY
    elif stat.S_ISLNK(result.st_mode):
        kind = Kind.SYMLINK
    return Found(
        kind,
        result.st_mode & 0o7777,
        result.st_uid,
        result.st_gid,
        result.st_atime_ns,
        identity_of(result),
        result.st_nlink,
        same,
        blocker,
    )


def identity_of(result: os.stat_result) -> DiskIdentity:
    """Return what decides whether a path's content must be read again."""
    return DiskIdentity(result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino, result.st_dev)


def digest_of(descriptor: int) -> bytes:
    """Return blake3 of all that a descriptor still has to read, in constant memory."""
    hasher = blake3.blake3()
    while piece := os.read(descriptor, PIECE):
        hasher.update(piece)
    return hasher.digest()


class Surveyor:
    """Gathers a Survey."""

    def __init__(self, root: Root, base: BaseReader, reach: Reach, access: Access, owners: Owners) -> None:
        """Look below `root`; `access` opens what the agent's user had locked for itself."""
        self._owners = owners
        self._root = root
        self._base = base
        self._reach = reach
        self._access = access
        self._survey = Survey({}, {}, {})

    def run(self, changes: Sequence[Change]) -> Survey:
        """Return what was seen; ApplyError(CURSOR_MISMATCH) where a directory is missing here."""
        found, parents, flaws = self._survey.found, self._survey.parents, self._survey.flaws
        # Nothing lies below these now, whatever is to stand there.
        absent: set[bytes] = set()
        expected: set[bytes] = set()
        for _, path, entry in changes:
            parent = parent_of(path)
            if path and parent not in parents and parent not in absent:
                there = found.get(parent) or self._directory(parent)
                if there is not None and there.kind is Kind.DIRECTORY:
                    parents[parent] = there
                else:
                    absent.add(parent)
            if path and parent in absent:
                if entry is not None and parent not in expected:
                    self._require_expected(path, expected, flaws)
                here = None
            else:
                here = self._look(path, entry)
            if here is not None:
                found[path] = here
            if entry is not None:
                expected.add(path)
        return self._survey

    def _require_expected(self, path: bytes, expected: set[bytes], flaws: dict[bytes, str]) -> None:
        """Make sure that a missing directory comes with the same changes: else someone removed it here."""
        parent = parent_of(path)
        if parent in flaws:
            flaws[path] = flaws[parent]
        elif not self._reach.is_protected(path) and self._reach.may_descend(path):
            raise ApplyError(
                f"the directory {shown(parent)!a} is missing on failover though it was filled before: "
                "the domain is synchronized fully",
                Reason.CURSOR_MISMATCH,
            )

    def _directory(self, path: bytes) -> Found | None:
        """Return what a parent directory is, or None where there is no real directory."""
        try:
            return found_of(os.fstat(self._access.directory(path)))
        except (FileNotFoundError, BeneathRootError):
            return None
        except OSError as error:
            if error.errno in UNHOLDABLE:
                self._survey.flaws[path] = unholdable(error)
                return None
            raise

    def _look(self, path: bytes, entry: Entry | None) -> Found | None:
        """Return what stands at `path`, and whether it is what `entry` asks for."""
        try:
            if path:
                parent = self._access.directory(parent_of(path))
                here = os.stat(name_of(path), dir_fd=parent, follow_symlinks=False)
            else:
                here = os.fstat(self._root.descriptor)
        except BeneathRootError:
            return None
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            if error.errno in UNHOLDABLE:
                self._survey.flaws[path] = unholdable(error)
                return None
            raise
        found = found_of(here)
        if entry is None:
            return found
        if found.kind is Kind.DIRECTORY and entry.kind in (Kind.FILE, Kind.SYMLINK):
            return found._replace(blocker=self._blocker(path))
        if found.kind is not entry.kind:
            return found
        if not self._is_same(path, entry, found):
            return found._replace(same=False, same_attributes=False)
        if self._has_attributes(path, entry):
            return found._replace(same=True)
        return found._replace(same=True, same_attributes=False, attributes=self._own_attributes(path))

    def _has_attributes(self, path: bytes, entry: Entry) -> bool:
        """Tell whether the attributes are as wanted: asking the kernel costs less than asking the base."""
        try:
            directory = self._root.directory(parent_of(path)) if path else self._root.descriptor
            here = raw_attributes_at(directory, name_of(path))
        except (OSError, BeneathRootError):
            # It is set anew, and what stands in the way says so then.
            return False
        if here is None:
            return False
        return same_attributes(here, self._owners.attributes(entry))

    def _own_attributes(self, path: bytes) -> bytes:
        try:
            directory = self._root.directory(parent_of(path)) if path else self._root.descriptor
            return own_attributes_at(directory, name_of(path))
        except (OSError, BeneathRootError):
            # Nobody can keep what cannot be read.
            return b""

    def _is_same(self, path: bytes, entry: Entry, found: Found) -> bool:
        if entry.kind is Kind.SYMLINK:
            return os.readlink(name_of(path), dir_fd=self._root.directory(parent_of(path))) == entry.link_target
        if entry.kind is not Kind.FILE:
            return True
        if found.identity.size != entry.size:
            return False
        answer = content_known(entry, found.identity, self._base.get(path))
        return self._read_same(path, entry) if answer is None else answer

    def _read_same(self, path: bytes, entry: Entry) -> bool:
        try:
            descriptor = self._root.open_file(path)
        except (OSError, BeneathRootError):
            # Unreadable or just replaced: then its content is fetched, which needs no reading.
            return False
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return False
            return digest_of(descriptor) == entry.digest and identity_of(os.fstat(descriptor)) == identity_of(before)
        finally:
            os.close(descriptor)

    def _blocker(self, top: bytes) -> str:
        """Say what keeps a directory from being replaced by a file or a link, or return ""."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            if self._root.is_on_other_mount(directory) is not self._root.is_on_other_mount(parent_of(top)):
                return f"cannot be replaced: another file system is mounted at {shown(directory)!a}"
            for name, is_directory in self._root.entries(directory):
                path = join(directory, name)
                ours = is_directory or self._is_copyable(path)
                if not ours or self._reach.is_protected(path) or not self._reach.may_descend(path):
                    return _still_holds(path)
                if is_directory:
                    waiting.append(path)
        return ""

    def _is_copyable(self, path: bytes) -> bool:
        here = self._root.lstat(path)
        return here is None or stat.S_ISREG(here.st_mode) or stat.S_ISLNK(here.st_mode)


def _still_holds(path: bytes) -> str:
    return (
        f"cannot be replaced: its directory here still holds {shown(path)!a}, which is not synchronized: move it away"
    )
