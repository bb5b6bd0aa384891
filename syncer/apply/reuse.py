"""Finds contents that this disk already has, verified at that moment, so that the peer need not send them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import blake3

from syncer.apply.build import NO_LINK, Builder, Place
from syncer.apply.contents import Contents, Need
from syncer.apply.leftovers import Leftovers
from syncer.apply.owners import same_attributes
from syncer.apply.plan import Step
from syncer.apply.survey import digest_of, identity_of
from syncer.apply.values import BaseReader
from syncer.errors import ApplyError, BeneathRootError, Reason
from syncer.files import Disk, DiskError, Root, raw_attributes
from syncer.model import DiskIdentity, name_of, parent_of, shown

SMALL = 1 << 16
"""Bytes up to which a content is read into memory at once."""


class LocalContents:
    """Supplies contents from the domain's own files."""

    def __init__(
        self,
        root: Root,
        base: BaseReader,
        builder: Builder,
        disk: Disk,
        vanishing: AbstractSet[bytes],
        leftovers: Leftovers | None,
        *,
        flush_each: bool,
    ) -> None:
        """Read below `root` what `base` says is there; `vanishing` names go with this transaction.

        `leftovers` are what an interrupted attempt had staged.
        """
        self._root = root
        self._base = base
        self._builder = builder
        self._disk = disk
        self._vanishing = vanishing
        self._leftovers = leftovers
        self._flush_each = flush_each
        self._looked_for: set[bytes] = set()
        self.linked: dict[bytes, tuple[Place, DiskIdentity]] = {}
        """New paths that share the inode of a file that goes, and how it was when it was verified."""

    def supply(self, contents: Contents, available: AbstractSet[bytes]) -> None:
        """Stage every needed content that is found here, but those the peer has sent already."""
        needs = contents.needs()
        sizes = {need.want.size for need in needs} if self._leftovers is not None else set()
        for need in needs:
            digest = need.want.digest
            if digest in available or digest in self._looked_for:
                continue
            self._looked_for.add(digest)
            if self._supply_one(need) or self._take_leftover(need, sizes):
                contents.supplied(need)

    def require_unchanged(self) -> None:
        """Raise ApplyError where a linked file was written to since it was verified."""
        for path, (place, identity) in self.linked.items():
            here = place.stage.root.lstat(place.path)
            if here is None or identity_of(here) != identity:
                raise ApplyError(
                    f"the file that becomes {shown(path)!a} was changed on failover while it was applied: "
                    "it is tried again",
                    Reason.CONTENT_MISMATCH,
                )

    def _supply_one(self, need: Need) -> bool:
        for path in self._candidates(need):
            try:
                descriptor = self._root.open_file(path)
            except (OSError, BeneathRootError):
                # The base remembers it, the disk has it no longer: the next one, or the peer.
                continue
            try:
                here = os.fstat(descriptor)
                if stat.S_ISREG(here.st_mode) and here.st_size == need.want.size:
                    if self._link(path, descriptor, here, need):
                        return True
                    if self._copy(descriptor, need):
                        return True
            finally:
                os.close(descriptor)
        return False

    def _take_leftover(self, need: Need, sizes: AbstractSet[int]) -> bool:
        """Take over a file that an interrupted attempt had staged."""
        place, step = need.files[0]
        if self._leftovers is None or place.stage.area.top:
            return False
        directory, name = place.stage.root.directory(parent_of(place.path)), name_of(place.path)
        if not self._leftovers.take(need.want.digest, sizes, self._disk, directory, name):
            return False
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except PermissionError:
            # It has its final mode already, and that one forbids its owner to read.
            self._disk.unlink(directory, name, step.path)
            return False
        try:
            self._builder.seal(descriptor, step, place)
            for other, other_step in need.files[1:]:
                self._builder.copy_file(descriptor, other, other_step)
        finally:
            os.close(descriptor)
        return True

    def _candidates(self, need: Need) -> Iterator[bytes]:
        for _, step in need.files:
            if step.found is not None and step.found.same:
                yield step.path
        yield from self._base.paths_with_digest(need.want.digest)

    def _link(self, path: bytes, descriptor: int, here: os.stat_result, need: Need) -> bool:
        """Give a file that goes anyway its new name in the stage: nothing is copied, however large it is."""
        if len(need.files) != 1 or path not in self._vanishing or here.st_nlink != 1:
            return False
        place, step = need.files[0]
        if (
            step.entry.link
            or not _has_metadata(here, step)
            or not same_attributes(raw_attributes(descriptor), step.attributes)
        ):
            return False
        directory, name = place.stage.root.directory(parent_of(place.path)), name_of(place.path)
        try:
            self._disk.link(self._root.directory(parent_of(path)), name_of(path), directory, name, step.path)
        except DiskError as error:
            if error.number not in NO_LINK:
                raise
            return False
        # RACE: read after it was linked, so that what was linked is what is verified; a later writer is
        # noticed by the identity, just before the burst.
        identity = identity_of(os.fstat(descriptor))
        linked = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if identity_of(linked) != identity or digest_of(descriptor) != need.want.digest:
            self._disk.unlink(directory, name, step.path)
            return False
        if self._flush_each:
            self._disk.flush_file(descriptor, step.path)
        self.linked[step.path] = (place, identity)
        return True

    def _copy(self, descriptor: int, need: Need) -> bool:
        """Copy into the stage and verify the copy, so that a writer in between does no harm."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        if need.want.size <= SMALL:
            data = os.read(descriptor, SMALL + 1)
            if blake3.blake3(data).digest() != need.want.digest:
                return False
            for place, step in need.files:
                self._builder.write_file(place, step, data)
            return True
        return self._copy_large(descriptor, need)

    def _copy_large(self, source: int, need: Need) -> bool:
        for number, (place, step) in enumerate(need.files):
            target = self._builder.create(place, step)
            if target < 0:
                continue
            try:
                self._builder.copy(source, target, step)
                os.lseek(target, 0, os.SEEK_SET)
                if digest_of(target) != need.want.digest:
                    directory = place.stage.root.directory(parent_of(place.path))
                    self._disk.unlink(directory, name_of(place.path), step.path)
                    return False
                self._builder.seal(target, step, place)
                for other, other_step in need.files[number + 1 :]:
                    self._builder.copy_file(target, other, other_step)
            finally:
                os.close(target)
            return True
        return True


def _has_metadata(here: os.stat_result, step: Step) -> bool:
    return (
        here.st_mode & 0o7777 == step.entry.mode
        and here.st_mtime_ns == step.entry.mtime_ns
        and here.st_uid == step.uid
        and here.st_gid == step.gid
    )
