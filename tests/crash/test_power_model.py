"""The model of lost power against itself: what is flushed stays, what is not may go, and nothing impossible appears."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncer.files import Disk
from tests.crash.receiver import Place
from tests.crash.recording import RecordingDisk

Act = Callable[[Disk, int], None]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.root.mkdir()
    (place.root / "d").mkdir()
    (place.root / "old").write_bytes(b"old")
    return place


def wrecks(place: Place, act: Act) -> Iterator[dict[str, bytes | None]]:
    """Yield every tree that may be found after `act` and a power failure: name → bytes, None of a directory."""
    number, count = 0, 1
    while number < count:
        folder = Place(place.folder / f"copy-{number}")
        folder.root.mkdir(parents=True)
        (folder.root / "d").mkdir()
        (folder.root / "old").write_bytes(b"old")
        disk = RecordingDisk(folder, lambda name, path: None)
        root = os.open(folder.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            act(disk, root)
        finally:
            os.close(root)
        found = list(disk.model.wrecks(1, 64))
        count = len(found)
        disk.strew(found[number])
        yield {
            str(path.relative_to(folder.root)): None if path.is_dir() else path.read_bytes()
            for path in sorted(folder.root.rglob("*"))
        }
        number += 1


def create(disk: Disk, root: int, name: bytes = b"new", *, flush: bool) -> None:
    descriptor = disk.create_file(root, name)
    disk.write(descriptor, b"new")
    if flush:
        disk.flush_file(descriptor)
    os.close(descriptor)


def contents(place: Place, act: Act, name: str) -> set[bytes | str | None]:
    return {tree.get(name, "absent") for tree in wrecks(place, act)}


def test_what_is_not_flushed_may_be_anything_it_was(place: Place) -> None:
    found = contents(place, lambda disk, root: create(disk, root, flush=False), "new")
    assert found == {"absent", b"", b"\0\0\0", b"new"}


def test_a_flushed_file_may_still_lack_its_name(place: Place) -> None:
    assert contents(place, lambda disk, root: create(disk, root, flush=True), "new") == {"absent", b"new"}


def test_a_flushed_name_may_still_lack_its_bytes(place: Place) -> None:
    def act(disk: Disk, root: int) -> None:
        create(disk, root, flush=False)
        disk.flush_directory(root)

    assert contents(place, act, "new") == {b"", b"\0\0\0", b"new"}


@pytest.mark.parametrize("flush", ["both", "file system"])
def test_what_is_flushed_stays(place: Place, flush: str) -> None:
    def act(disk: Disk, root: int) -> None:
        create(disk, root, flush=flush == "both")
        if flush == "both":
            disk.flush_directory(root)
        else:
            disk.flush_filesystem(root)

    assert contents(place, act, "new") == {b"new"}


def test_a_renamed_file_is_at_one_name_exactly(place: Place) -> None:
    def act(disk: Disk, root: int) -> None:
        disk.rename(root, b"old", root, b"other")

    for tree in wrecks(place, act):
        assert [name for name in ("old", "other") if name in tree] in (["old"], ["other"])


def test_an_unflushed_file_renamed_over_an_old_one_may_empty_it(place: Place) -> None:
    def act(disk: Disk, root: int) -> None:
        create(disk, root, flush=False)
        disk.rename(root, b"new", root, b"old")

    assert contents(place, act, "old") == {b"old", b"", b"\0\0\0", b"new"}


def test_flushing_the_target_directory_keeps_all_that_a_rename_needs(place: Place) -> None:
    def act(disk: Disk, root: int) -> None:
        create(disk, root, flush=True)
        inner = os.open(b"d", os.O_RDONLY, dir_fd=root)
        disk.rename(root, b"new", inner, b"moved")
        disk.flush_directory(inner)
        os.close(inner)

    assert contents(place, act, "d/moved") == {b"new"}


def test_a_lost_removal_brings_the_same_inode_back(place: Place) -> None:
    disk = RecordingDisk(place, lambda name, path: None)
    before = (place.root / "old").stat()
    root = os.open(place.root, os.O_RDONLY)
    disk.unlink(root, b"old")
    assert not (place.root / "old").exists()
    lost, kept = disk.model.wrecks(1, 8), 0
    for wreck in lost:
        disk.strew(wreck)
        if (place.root / "old").exists():
            kept += 1
            after = (place.root / "old").stat()
            assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (
                before.st_ino,
                before.st_mtime_ns,
                before.st_mode,
            )
    assert kept > 0
    os.close(root)


def test_metadata_is_as_old_as_its_last_flush(place: Place) -> None:
    disk = RecordingDisk(place, lambda name, path: None)
    descriptor = os.open(place.root / "old", os.O_RDONLY)
    disk.set_mode(descriptor, 0o600)
    disk.flush_file(descriptor)
    disk.set_mode(descriptor, 0o640)
    disk.set_mode(descriptor, 0o666)
    modes = {
        wreck.metadata[(found.st_dev, found.st_ino)].mode & 0o7777
        for found in [os.fstat(descriptor)]
        for wreck in disk.model.wrecks(1, 64)
    }
    os.close(descriptor)
    assert modes == {0o600, 0o640, 0o666}


def test_every_operation_of_the_disk_is_in_the_model() -> None:
    known = {"milestone"}
    operations = {name for name, _ in inspect.getmembers(Disk, inspect.isfunction) if not name.startswith("_")}
    assert operations - known <= set(vars(RecordingDisk)), "an operation that the power model does not know"
