"""Takes what a generation displaced from its stage into the history, some at a time.

The order is the promise: look and copy, then one commit that says what each thing was and which contents are
kept, then the renames into `kept`, then their flush, and only then what is left in the stage is removed. The
generation lets go of its stage when nothing is in it. A crash anywhere leaves each thing in the stage, or in
`kept` with its row; beginning again works from whatever is there.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syncer.apply.area import Area
from syncer.apply.check import EMPTY_DIGEST
from syncer.apply.displaced_thing import Thing, attributes_of, entry_of, open_thing, remove_thing
from syncer.apply.displaced_walk import things_of
from syncer.apply.keep_copy import copy_of_one_moment
from syncer.apply.kept import KeptContents
from syncer.apply.survey import digest_of, identity_of
from syncer.files import Disk, DiskError
from syncer.files.writers import nobody_writes
from syncer.model import Entry, Kind, name_of, parent_of
from syncer.state.base import Base
from syncer.state.generations import Displaced, Generation, end_stage, read_displaced, write_displaced
from syncer.state.kept import Kept, Unkept, needing, note_unkept, read_unkept, record_kept
from syncer.state.store import StateStore


class _Move(NamedTuple):
    """A file that becomes a kept content; `flush`: its bytes may not be durable yet."""

    area: Area
    place: bytes
    digest: bytes
    flush: bool


class _Batch:
    """What is to be recorded, renamed and removed for the things of one step."""

    def __init__(self) -> None:
        self.rows: list[Displaced] = []
        self.kept: dict[bytes, Kept] = {}
        self.unkept: list[Unkept] = []
        self.moves: list[_Move] = []
        self.drops: list[Thing] = []


class Intake:
    """Takes one generation in; used by one thread, between transactions."""

    def __init__(
        self,
        domain: str,
        generation: Generation,
        store: StateStore,
        disk: Disk,
        contents: KeptContents,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Begin, or begin again after a crash."""
        self._domain = domain
        self._number = generation.number
        self._stage = generation.stage
        self._store = store
        self._disk = disk
        self._contents = contents
        self._now = now
        self._rows = {row.path: row for row in read_displaced(store, domain, generation.number)}

    @property
    def number(self) -> int:
        """The generation."""
        return self._number

    def step(self, areas: Sequence[Area], limit: int) -> bool:
        """Take in up to `limit` things (several files count each); True where more is left.

        Raises DiskError where the disk refuses; the same step may then be tried again.
        """
        batch = _Batch()
        for thing in things_of(areas, self._stage, self._rows, self._disk):
            if len(batch.moves) + len(batch.drops) >= limit:
                self._carry_out(batch)
                return True
            self._look(areas, thing, batch)
        self._carry_out(batch)
        self._end(areas)
        return False

    def _look(self, areas: Sequence[Area], thing: Thing, batch: _Batch) -> None:
        kind = stat.S_IFMT(thing.here.st_mode)
        if kind == stat.S_IFDIR:
            if thing.emptied:
                batch.drops.append(thing)
            elif thing.path is not None:
                self._look_at_directory(thing, thing.path, batch)
            return
        if thing.path is None:
            batch.drops.append(thing)
        elif kind == stat.S_IFREG:
            self._look_at_file(areas, thing, thing.path, batch)
        elif kind == stat.S_IFLNK:
            self._look_at_link(thing, thing.path, batch)
        else:
            batch.unkept.append(Unkept(thing.path, "was a FIFO, a socket or a device, which is not kept"))
            batch.drops.append(thing)

    def _look_at_directory(self, thing: Thing, path: bytes, batch: _Batch) -> None:
        row = self._rows.get(path)
        if row is None or row.entry is None or row.entry.kind is not Kind.DIRECTORY:
            self._learn(batch, path, entry_of(path, Kind.DIRECTORY, thing))
        elif row.edited:
            # Mode and moments have changed on the way here, and were noted before; attributes were not.
            found = attributes_of(thing)
            if found != row.entry.attributes:
                self._learn(batch, path, row.entry._replace(attributes=found))

    def _look_at_link(self, thing: Thing, path: bytes, batch: _Batch) -> None:
        target = os.readlink(name_of(thing.place), dir_fd=thing.area.root.directory(parent_of(thing.place)))
        row = self._rows.get(path)
        known = row.entry if row is not None else None
        if known is None or known.kind is not Kind.SYMLINK or known.link_target != target:
            self._learn(batch, path, entry_of(path, Kind.SYMLINK, thing, link_target=target))
        batch.drops.append(thing)

    def _look_at_file(self, areas: Sequence[Area], thing: Thing, path: bytes, batch: _Batch) -> None:
        try:
            descriptor = open_thing(thing, self._disk)
        except PermissionError as error:
            batch.unkept.append(Unkept(path, f"cannot be read ({error.strerror})"))
            batch.drops.append(thing)
            return
        try:
            here = os.fstat(descriptor)
            expected = self._expected_digest(path, here)
            if here.st_size == 0:
                # Nothing to keep but the row.
                self._learn_file(batch, path, thing, EMPTY_DIGEST, expected)
                batch.drops.append(thing)
                return
            if here.st_nlink == 1 and nobody_writes(descriptor):
                self._take_file(areas, thing, path, descriptor, expected, batch)
            else:
                self._take_copy(areas, thing, path, descriptor, expected, batch)
        finally:
            os.close(descriptor)

    def _take_file(
        self, areas: Sequence[Area], thing: Thing, path: bytes, descriptor: int, expected: bytes, batch: _Batch
    ) -> None:
        """Move a file that is ours alone: no byte is copied."""
        here = os.fstat(descriptor)
        digest = expected or digest_of(descriptor)
        if not expected and identity_of(os.fstat(descriptor)) != identity_of(here):
            self._take_copy(areas, thing, path, descriptor, expected, batch)
            return
        self._learn_file(batch, path, thing, digest, expected)
        if self._is_held(areas, digest, here.st_size, batch):
            batch.drops.append(thing)
            return
        self._contents.prepare(thing.area)
        batch.moves.append(_Move(thing.area, thing.place, digest, flush=not expected))
        batch.kept[digest] = Kept(digest, here.st_size, thing.area.top)

    def _take_copy(
        self, areas: Sequence[Area], thing: Thing, path: bytes, descriptor: int, expected: bytes, batch: _Batch
    ) -> None:
        """Keep the bytes of a file that has another name, or that someone may still write to."""
        batch.drops.append(thing)
        here = os.fstat(descriptor)
        if expected and self._is_held(areas, expected, here.st_size, batch):
            return
        place, copy = self._contents.new_copy(thing.area)
        try:
            reason = copy_of_one_moment(self._disk, descriptor, copy, here, place)
            size = os.fstat(copy).st_size
            os.lseek(copy, 0, os.SEEK_SET)
            digest = b"" if reason else digest_of(copy)
        finally:
            os.close(copy)
        if reason:
            self._contents.drop_copy(thing.area, place)
            batch.unkept.append(Unkept(path, reason))
            return
        # What was copied is what is kept, whatever the row expected.
        self._learn_file(batch, path, thing, digest, expected if digest == expected else b"", size)
        if self._is_held(areas, digest, size, batch):
            self._contents.drop_copy(thing.area, place)
            return
        batch.moves.append(_Move(thing.area, place, digest, flush=True))
        batch.kept[digest] = Kept(digest, size, thing.area.top)

    def _expected_digest(self, path: bytes, here: os.stat_result) -> bytes:
        """Return the digest by the row where the file is still as the row says, else b""."""
        row = self._rows.get(path)
        entry = row.entry if row is not None else None
        if entry is None or entry.kind is not Kind.FILE:
            return b""
        if entry.size != here.st_size or entry.mtime_ns != here.st_mtime_ns:
            return b""
        return entry.digest if entry.size else EMPTY_DIGEST

    def _is_held(self, areas: Sequence[Area], digest: bytes, size: int, batch: _Batch) -> bool:
        return digest in batch.kept or self._contents.holds(areas, digest, size)

    def _learn_file(
        self, batch: _Batch, path: bytes, thing: Thing, digest: bytes, expected: bytes, size: int | None = None
    ) -> None:
        if digest != expected:
            entry = entry_of(path, Kind.FILE, thing, digest=digest)
            self._learn(batch, path, entry if size is None else entry._replace(size=size))

    def _learn(self, batch: _Batch, path: bytes, entry: Entry) -> None:
        """Note what really stood at a path: it was edited here, or nobody knew of it."""
        row = self._rows.get(path)
        learned = Displaced(path, entry, edited=True, place=row.place if row is not None else b"")
        self._rows[path] = learned
        batch.rows.append(learned)

    def _carry_out(self, batch: _Batch) -> None:
        if batch.rows or batch.kept or batch.unkept:
            with self._store.transaction() as writer:
                write_displaced(writer, self._domain, self._number, batch.rows)
                record_kept(writer, self._domain, batch.kept.values(), self._now())
                note_unkept(writer, self._domain, self._number, batch.unkept)
        # CRASH: from here on a file that is in `kept` already has its row; one that is not is still in the stage.
        for move in batch.moves:
            self._seal(move)
            self._contents.adopt(move.area, move.place, move.digest)
        for area in {id(move.area): move.area for move in batch.moves}.values():
            self._contents.flush(area)
        # CRASH: only what is durable in `kept`, or in a row, leaves the stage.
        for thing in batch.drops:
            remove_thing(thing, self._disk)

    def _seal(self, move: _Move) -> None:
        """Close a file to others and make it durable; its row remembers the mode that it had."""
        descriptor = move.area.root.open_file(move.place)
        try:
            here = os.fstat(descriptor)
            if stat.S_IMODE(here.st_mode) != 0o600 and os.geteuid() in (0, here.st_uid):
                self._disk.set_mode(descriptor, 0o600, move.place)
            if move.flush:
                self._disk.flush_file(descriptor, move.place)
        finally:
            os.close(descriptor)

    def _end(self, areas: Sequence[Area]) -> None:
        """Nothing is in the stage any more: let go of it."""
        self._note_vanished()
        for area in areas:
            area.root.forget(self._stage)
            try:
                self._disk.remove_directory(area.root.descriptor, self._stage, self._stage)
            except DiskError as error:
                if error.number != errno.ENOENT:
                    raise
                continue
            # CRASH: a stage that comes back after a power failure must still have its generation.
            self._disk.flush_directory(area.root.descriptor, self._stage)
        with self._store.transaction() as writer:
            end_stage(writer, self._domain, self._number)

    def _note_vanished(self) -> None:
        """Say which files were moved away and are neither in a stage nor kept: somebody took them."""
        known = read_unkept(self._store, self._domain, self._number)
        moved = {path for path, row in self._rows.items() if row.place}
        missing = []
        for path, row in self._rows.items():
            entry = row.entry
            if entry is None or entry.kind is not Kind.FILE or not entry.size or path in known:
                continue
            if not _lies_in(path, moved) or self._contents.is_recorded(entry.digest):
                continue
            if not self._is_elsewhere(entry.digest):
                missing.append(Unkept(path, "was not found where it had been put aside: is its file system mounted?"))
        if missing:
            with self._store.transaction() as writer:
                note_unkept(writer, self._domain, self._number, missing)

    def _is_elsewhere(self, digest: bytes) -> bool:
        """Tell whether a content stands in the tree, where its file has another name, or was displaced later."""
        later = any(number > self._number for number, _ in needing(self._store, self._domain, digest))
        return later or bool(Base(self._store).paths_with_digest(self._domain, digest))


def _lies_in(path: bytes, tops: set[bytes]) -> bool:
    while path:
        if path in tops:
            return True
        path = parent_of(path)
    return False
