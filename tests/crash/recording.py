"""A Disk that carries everything out and keeps the model of what is durable, and that makes the wreck real."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from syncer.files import Disk, DiskError, Observer
from tests.crash.durable import Durable, Inode, Metadata, NameChange, Node, Wreck
from tests.crash.receiver import HIDDEN, Place

POOL = "pool"


class RecordingDisk(Disk):
    """Changes the real disk below a place, and notes what of it is not durable yet.

    Nothing that is removed goes for good: it waits in a pool, so that a lost removal brings back the very inode.
    """

    def __init__(self, place: Place, observer: Observer) -> None:
        super().__init__(observer)
        self.model = Durable()
        self._observer = observer
        self._place = place
        self._pools: dict[int, Path] = {}
        self._anchors: dict[Inode, Path] = {}
        """Directories that never move: the folder, the root, mounts and what leads to them."""
        self._graves = 0
        for anchor in (place.folder, place.root, *self._mounts()):
            self._anchors[_inode(os.stat(anchor))] = anchor
        for inode, path in self._anchors.items():
            if inode[0] not in self._pools:
                before = path.stat()
                pool = self._pools[inode[0]] = path / (POOL if path == place.folder else HIDDEN)
                pool.mkdir(exist_ok=True)
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._learn(place.folder)

    def create_file(self, directory: int, name: bytes, path: bytes = b"", mode: int = 0o600) -> int:
        """Create, and note the name."""
        descriptor = super().create_file(directory, name, path, mode)
        self._note_new(directory, name, Node(_metadata(descriptor), b"", durable=False))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview, path: bytes = b"") -> None:
        """Write, and note the bytes."""
        super().write(descriptor, data, path)
        self._note_data(descriptor)

    def copy_range(self, source: int, target: int, count: int, path: bytes = b"") -> int:
        """Copy, and note the bytes."""
        copied = super().copy_range(source, target, count, path)
        self._note_data(target)
        return copied

    def clone(self, source: int, target: int, path: bytes = b"") -> None:
        """Clone, and note the bytes."""
        super().clone(source, target, path)
        self._note_data(target)

    def set_owner(self, descriptor: int, uid: int, gid: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_owner(descriptor, uid, gid, path)
        self._note_metadata(descriptor)

    def set_mode(self, descriptor: int, mode: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_mode(descriptor, mode, path)
        self._note_metadata(descriptor)

    def set_mode_of_unreadable(self, descriptor: int, mode: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_mode_of_unreadable(descriptor, mode, path)
        self._note_metadata(descriptor)

    def set_times(self, descriptor: int, atime_ns: int, mtime_ns: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_times(descriptor, atime_ns, mtime_ns, path)
        self._note_metadata(descriptor)

    def remove_attribute(self, descriptor: int, attribute: str, path: bytes = b"") -> None:
        """Change, and note."""
        super().remove_attribute(descriptor, attribute, path)
        self._note_metadata(descriptor)

    def set_size(self, descriptor: int, size: int, path: bytes = b"") -> None:
        """Change, and note the bytes."""
        super().set_size(descriptor, size, path)
        self._note_data(descriptor)

    def set_attribute(self, descriptor: int, attribute: str, value: bytes, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_attribute(descriptor, attribute, value, path)
        self._note_metadata(descriptor)

    def set_attribute_at(self, directory: int, name: bytes, attribute: str, value: bytes, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_attribute_at(directory, name, attribute, value, path)
        self._note_metadata_at(directory, name)

    def remove_attribute_at(self, directory: int, name: bytes, attribute: str, path: bytes = b"") -> None:
        """Change, and note."""
        super().remove_attribute_at(directory, name, attribute, path)
        self._note_metadata_at(directory, name)

    def set_owner_at(self, directory: int, name: bytes, uid: int, gid: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_owner_at(directory, name, uid, gid, path)
        self._note_metadata_at(directory, name)

    def set_times_at(self, directory: int, name: bytes, atime_ns: int, mtime_ns: int, path: bytes = b"") -> None:
        """Change, and note."""
        super().set_times_at(directory, name, atime_ns, mtime_ns, path)
        self._note_metadata_at(directory, name)

    def make_directory(self, directory: int, name: bytes, mode: int = 0o700, path: bytes = b"") -> None:
        """Make, and note the name."""
        super().make_directory(directory, name, mode, path)
        self._note_new(directory, name, Node(_metadata_at(directory, name), durable=False))

    def make_symlink(self, directory: int, name: bytes, target: bytes, path: bytes = b"") -> None:
        """Make, and note the name."""
        super().make_symlink(directory, name, target, path)
        self._note_new(directory, name, Node(_metadata_at(directory, name), target=target, durable=False))

    def make_whiteout(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Make, and note the name."""
        super().make_whiteout(directory, name, path)
        self._note_new(directory, name, Node(_metadata_at(directory, name), durable=False))

    def link(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Link, and note the name."""
        super().link(source_directory, source, directory, name, path)
        self._note_names((directory, name, None, _inode_at(directory, name)))

    def rename(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Rename; what it replaces goes to the pool first, which nobody can see in between."""
        try:
            self._observer("rename", path)
            moved, old = _inode_at(source_directory, source), _inode_at(directory, name)
            if old is not None and old != moved:
                self._require_replaceable(source_directory, source, directory, name)
                self._bury(directory, name)
            os.rename(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
        except OSError as error:
            raise DiskError("rename", path, error) from error
        if old != moved:
            self._note_rename(source_directory, source, directory, name, moved, old)

    def rename_new(self, source_directory: int, source: bytes, directory: int, name: bytes, path: bytes = b"") -> None:
        """Rename to a free name, and note both."""
        moved = _inode_at(source_directory, source)
        super().rename_new(source_directory, source, directory, name, path)
        self._note_rename(source_directory, source, directory, name, moved, None)

    def exchange(self, directory: int, name: bytes, other_directory: int, other: bytes, path: bytes = b"") -> None:
        """Swap, and note both names."""
        one, two = _inode_at(directory, name), _inode_at(other_directory, other)
        super().exchange(directory, name, other_directory, other, path)
        self._note_names((directory, name, one, two), (other_directory, other, two, one))

    def unlink(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Remove a name; the last one of an inode goes to the pool."""
        try:
            self._observer("unlink", path)
            here = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(here.st_mode) or here.st_nlink > 1:
                os.unlink(name, dir_fd=directory)
            else:
                self._bury(directory, name)
        except OSError as error:
            raise DiskError("unlink", path, error) from error
        self._note_names((directory, name, _inode(here), None))

    def remove_directory(self, directory: int, name: bytes, path: bytes = b"") -> None:
        """Remove an empty directory, to the pool."""
        try:
            self._observer("remove_directory", path)
            inode = _inode_at(directory, name)
            if inode in self._anchors or not _is_empty_directory(directory, name):
                os.rmdir(name, dir_fd=directory)
            self._bury(directory, name)
        except OSError as error:
            raise DiskError("remove_directory", path, error) from error
        self._note_names((directory, name, inode, None))

    def flush_file(self, descriptor: int, path: bytes = b"") -> None:
        """Flush, in the model."""
        super().flush_file(descriptor, path)
        self._flush_one(descriptor)

    def flush_directory(self, descriptor: int, path: bytes = b"") -> None:
        """Flush, in the model."""
        super().flush_directory(descriptor, path)
        self._flush_one(descriptor)

    def flush_filesystem(self, descriptor: int, path: bytes = b"") -> None:
        """Flush, in the model; the real one would only cost time."""
        try:
            self._observer("flush_filesystem", path)
        except OSError as error:
            raise DiskError("flush_filesystem", path, error) from error
        self.model.flush_filesystem(os.fstat(descriptor).st_dev)

    def strew(self, wreck: Wreck) -> None:
        """Make the disk what `wreck` says; every inode that it names is the one that was there."""
        real = self._gather()
        placed: dict[Inode, Path] = {}
        for inode, path in self._anchors.items():
            self._assemble(wreck, inode, path, real, placed)
        for inode, path in placed.items():
            if inode in wreck.data and path.read_bytes() != wreck.data[inode]:
                path.write_bytes(wreck.data[inode])
        # Deepest first: what is done in a directory moves its mtime.
        for inode, path in sorted((placed | self._anchors).items(), key=lambda item: -len(item[1].parts)):
            _describe(path, wreck.metadata[inode])

    def _mounts(self) -> Iterator[Path]:
        for parent, names, _ in os.walk(self._place.root):
            for name in names:
                path = Path(parent) / name
                if path.is_mount():
                    yield path

    def _learn(self, folder: Path) -> None:
        """Take all that is there as durable."""
        pending = [folder]
        while pending:
            path = pending.pop()
            here = path.lstat()
            data = path.read_bytes() if stat.S_ISREG(here.st_mode) else None
            target = os.readlink(os.fsencode(path)) if stat.S_ISLNK(here.st_mode) else b""
            node = self.model.nodes[_inode(here)] = Node(_metadata(path), data, target, durable=True)
            if stat.S_ISDIR(here.st_mode):
                for item in path.iterdir():
                    if item not in self._pools.values() and item != self._place.state:
                        node.names[os.fsencode(item.name)] = _inode(item.lstat())
                        pending.append(item)

    def _bury(self, directory: int, name: bytes) -> None:
        self._graves += 1
        pool = self._pools[os.fstat(directory).st_dev]
        os.rename(name, pool / f"grave-{self._graves}", src_dir_fd=directory)

    def _require_replaceable(self, source_directory: int, source: bytes, directory: int, name: bytes) -> None:
        """Fail as rename does where a directory and something else meet, or a directory is not empty."""
        source_is = stat.S_ISDIR(os.stat(source, dir_fd=source_directory, follow_symlinks=False).st_mode)
        target_is = stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
        if source_is is not target_is or (target_is and not _is_empty_directory(directory, name)):
            os.rename(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)

    def _note_new(self, directory: int, name: bytes, node: Node) -> None:
        inode = _inode_at(directory, name)
        assert inode is not None, "it was made just now"
        self.model.nodes[inode] = node
        self._note_names((directory, name, None, inode))

    def _note_rename(
        self, source_directory: int, source: bytes, directory: int, name: bytes, moved: Inode | None, old: Inode | None
    ) -> None:
        self._note_names((source_directory, source, moved, None), (directory, name, old, moved))

    def _note_names(self, *changes: tuple[int, bytes, Inode | None, Inode | None]) -> None:
        self.model.change_names(*(NameChange(_inode(os.fstat(fd)), name, old, new) for fd, name, old, new in changes))
        for descriptor in {change[0] for change in changes}:
            self._note_metadata(descriptor)

    def _note_data(self, descriptor: int) -> None:
        here = os.fstat(descriptor)
        self.model.nodes[_inode(here)].write(os.pread(descriptor, here.st_size, 0))
        self._note_metadata(descriptor)

    def _note_metadata(self, descriptor: int) -> None:
        self.model.nodes[_inode(os.fstat(descriptor))].describe(_metadata(descriptor))

    def _note_metadata_at(self, directory: int, name: bytes) -> None:
        inode = _inode_at(directory, name)
        assert inode is not None, "it was changed just now"
        self.model.nodes[inode].describe(_metadata_at(directory, name))

    def _flush_one(self, descriptor: int) -> None:
        here = os.fstat(descriptor)
        flush = self.model.flush_directory if stat.S_ISDIR(here.st_mode) else self.model.flush_file
        flush(_inode(here))

    def _gather(self) -> dict[Inode, Path]:
        """Move every inode to the pool of its device, and return where each lies."""
        real: dict[Inode, Path] = {}
        for pool in self._pools.values():
            for item in pool.iterdir():
                real[_inode(item.lstat())] = item
        for path in self._anchors.values():
            self._empty(path, real)
        for path in list(real.values()):
            if stat.S_ISDIR(path.lstat().st_mode):
                self._empty(path, real)
        return real

    def _empty(self, directory: Path, real: dict[Inode, Path]) -> None:
        for item in list(directory.iterdir()):
            here = item.lstat()
            inode = _inode(here)
            if inode in self._anchors or item in self._pools.values() or item == self._place.state:
                continue
            if stat.S_ISDIR(here.st_mode):
                self._empty(item, real)
            if inode in real:
                item.unlink()
                continue
            self._graves += 1
            real[inode] = self._pools[inode[0]] / f"gathered-{self._graves}"
            item.rename(real[inode])

    def _assemble(
        self, wreck: Wreck, inode: Inode, path: Path, real: dict[Inode, Path], placed: dict[Inode, Path]
    ) -> None:
        for name, child in wreck.names[inode].items():
            if child in self._anchors:
                continue
            there = path / os.fsdecode(name)
            if child in placed:
                os.link(placed[child], there, follow_symlinks=False)
                continue
            os.rename(real[child], there)
            placed[child] = there
            if child in wreck.names:
                self._assemble(wreck, child, there, real, placed)


def _inode(here: os.stat_result) -> Inode:
    return here.st_dev, here.st_ino


def _inode_at(directory: int, name: bytes) -> Inode | None:
    try:
        return _inode(os.stat(name, dir_fd=directory, follow_symlinks=False))
    except OSError:
        # The operation itself says why, as it does without a model.
        return None


def _is_empty_directory(directory: int, name: bytes) -> bool:
    here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        return not os.listdir(here)
    finally:
        os.close(here)


def _metadata(which: int | Path) -> Metadata:
    if isinstance(which, int):
        # This also works where the descriptor was opened with O_PATH.
        return _metadata_of(os.fstat(which), f"/proc/self/fd/{which}")
    here = which.lstat()
    return _metadata_of(here, None if stat.S_ISLNK(here.st_mode) else which)


def _metadata_at(directory: int, name: bytes) -> Metadata:
    here = os.stat(name, dir_fd=directory, follow_symlinks=False)
    link = stat.S_ISLNK(here.st_mode)
    return _metadata_of(here, None if link else f"/proc/self/fd/{directory}/{os.fsdecode(name)}")


def _metadata_of(here: os.stat_result, path: str | Path | None) -> Metadata:
    found: tuple[tuple[str, bytes], ...] = ()
    if path is not None:
        found = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    return Metadata(here.st_mode, here.st_uid, here.st_gid, here.st_atime_ns, here.st_mtime_ns, found)


def _describe(path: Path, metadata: Metadata) -> None:
    if os.geteuid() == 0:
        os.chown(path, metadata.uid, metadata.gid, follow_symlinks=False)
    if not stat.S_ISLNK(metadata.mode):
        path.chmod(stat.S_IMODE(metadata.mode))
        for name in os.listxattr(path):
            if name not in dict(metadata.attributes):
                os.removexattr(path, name)
        for name, value in metadata.attributes:
            os.setxattr(path, name, value)
    os.utime(path, ns=(metadata.atime_ns, metadata.mtime_ns), follow_symlinks=False)
