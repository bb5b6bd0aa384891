"""Tells whether a path whose ctime alone has moved is still what was applied there, by reading it.

An attempt that failed or died renames, links and takes back: that moves the ctime of what it touched, and nothing else.
Without this, all of that would count as edited on this node from then on.
"""

from __future__ import annotations

import os

from syncer.apply.owners import Owners, same_attributes
from syncer.apply.survey import digest_of, identity_of
from syncer.errors import BeneathRootError
from syncer.files import Root, raw_attributes_at
from syncer.model import DiskIdentity, Kind, Known, name_of, parent_of


class AsApplied:
    """Compares what stands beneath a root with what was applied there."""

    def __init__(self, root: Root, owners: Owners) -> None:
        """`owners` tell what an entry means here."""
        self._root = root
        self._owners = owners

    def __call__(self, known: Known, identity: DiskIdentity) -> bool:
        """Tell whether the path of `known`, found with `identity`, is as it was applied; reads it where it must."""
        if identity == known.identity:
            return True
        if known.racy or not _is_alike(identity, known.identity):
            return False
        try:
            return self._has_metadata(known, identity) and self._has_content(known, identity)
        except (OSError, BeneathRootError):
            # Nobody can vouch for what cannot be read.
            return False

    def _has_metadata(self, known: Known, identity: DiskIdentity) -> bool:
        entry, path = known.entry, known.entry.path
        here = self._root.lstat(path)
        if (
            here is None
            or not _is_alike(identity_of(here), identity)
            or (here.st_uid, here.st_gid) != self._owners.local(entry)
        ):
            return False
        if entry.kind is not Kind.SYMLINK and here.st_mode & 0o7777 != entry.mode:
            return False
        directory = self._root.directory(parent_of(path)) if path else self._root.descriptor
        return same_attributes(raw_attributes_at(directory, name_of(path)) or {}, self._owners.attributes(entry))

    def _has_content(self, known: Known, identity: DiskIdentity) -> bool:
        entry, path = known.entry, known.entry.path
        if entry.kind is Kind.SYMLINK:
            return os.readlink(name_of(path), dir_fd=self._root.directory(parent_of(path))) == entry.link_target
        if entry.kind is not Kind.FILE:
            return entry.kind is Kind.DIRECTORY
        descriptor = self._root.open_file(path)
        try:
            before = identity_of(os.fstat(descriptor))
            is_same = _is_alike(before, identity) and digest_of(descriptor) == entry.digest
            return is_same and identity_of(os.fstat(descriptor)) == before
        finally:
            os.close(descriptor)


def _is_alike(one: DiskIdentity, other: DiskIdentity) -> bool:
    """Compare all but the ctime, which each name that is staged for a file moves."""
    return one._replace(ctime_ns=0) == other._replace(ctime_ns=0)
