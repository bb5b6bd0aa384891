"""Stages that belong to no generation: contents that an interrupted transaction had staged, used again by digest."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

from syncer.apply.area import Area
from syncer.apply.survey import digest_of
from syncer.files import Disk
from syncer.model import join, name_of, parent_of


class Left(NamedTuple):
    """A staged file of an earlier attempt: `path` is relative to the area."""

    area: Area
    path: bytes


def remove_leftovers(area: Area, needed: Collection[bytes], keep: int = 0) -> None:
    """Remove the stages of an area whose names are not `needed`, but for the `keep` newest of them.

    Those keep no second name of anything: a file of the tree would look as if somebody else had given it one.
    """
    found = [name for name in area.stages() if name not in needed]
    found.sort(key=lambda name: os.stat(name, dir_fd=area.descriptor).st_ctime_ns)
    for name in found[: len(found) - keep]:
        area.remove_tree(name)
    for name in found[len(found) - keep :]:
        for path, here in list(_files(area, name)):
            if here.st_nlink > 1:
                area.unlink(path)


class Leftovers:
    """What earlier attempts left in the areas; looked through at the first question, by size and digest."""

    def __init__(self, areas: list[Area], needed: Collection[bytes]) -> None:
        """Look in the stages of `areas` whose names are not `needed` by anyone."""
        self._stages = [(area, name) for area in areas for name in area.stages() if name not in needed]
        self._by_digest: dict[bytes, Left] | None = None

    def take(self, digest: bytes, sizes: Collection[int], disk: Disk, directory: int, name: bytes) -> bool:
        """Move a file with this content to `name` in `directory`; False where none of these has it.

        `sizes` are all that this transaction needs, so that nothing else is read. The content was read in the
        moment before: nobody else can enter the area.
        """
        if self._by_digest is None:
            self._by_digest = {}
            for area, stage in self._stages:
                for path, found in _files(area, stage):
                    if found.st_size in sizes and found.st_nlink == 1:
                        self._note(area, path)
        left = self._by_digest.pop(digest, None)
        if left is None:
            return False
        disk.rename_new(left.area.root.directory(parent_of(left.path)), name_of(left.path), directory, name, left.path)
        return True

    def _note(self, area: Area, path: bytes) -> None:
        assert self._by_digest is not None, "looked through at the first question"
        descriptor = area.root.open_file(path)
        try:
            self._by_digest.setdefault(digest_of(descriptor), Left(area, path))
        finally:
            os.close(descriptor)


def _files(area: Area, stage: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    waiting = [stage]
    while waiting:
        directory = waiting.pop()
        for name, is_directory in area.root.entries(directory):
            path = join(directory, name)
            if is_directory:
                waiting.append(path)
                continue
            found = area.root.lstat(path)
            if found is not None and stat.S_ISREG(found.st_mode):
                yield path, found
