from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.errors import BeneathRootError, Reason
from syncer.files import Disk, DiskError, Resolution, Root, write_atomically


@pytest.fixture(params=Resolution)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/f").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_bytes(b"outside")
    os.symlink(tmp_path / "outside", tmp_path / "root/l")
    os.symlink(b"a", tmp_path / "root/inner")
    with Root(tmp_path / "root", resolution=request.param, kept=2) as opened:
        yield opened


def test_a_path_beneath_is_opened(root: Root) -> None:
    descriptor = root.open_file(b"a/b/f")
    assert os.read(descriptor, 10) == b"inside"
    os.close(descriptor)
    assert root.entries(b"a") == [(b"b", True)]
    assert root.lstat(b"a/none") is None


@pytest.mark.parametrize("path", [b"l", b"l/f", b"inner/b", b"../outside", b"a/../../outside", b"/etc", b"a/b/f"])
def test_links_files_and_escapes_are_refused_on_the_way(root: Root, path: bytes) -> None:
    with pytest.raises(BeneathRootError):
        root.directory(path)


def test_a_link_is_not_opened_as_a_file(root: Root) -> None:
    with pytest.raises(BeneathRootError):
        root.open_file(b"l")


def test_kept_descriptors_are_bounded_and_dropped_when_forgotten(root: Root, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"root/d{number}").mkdir()
        root.directory(b"d%d" % number)
    before = len(os.listdir("/proc/self/fd"))
    root.directory(b"a")
    assert len(os.listdir("/proc/self/fd")) == before
    os.rename(tmp_path / "root/a", tmp_path / "root/moved")
    root.forget(b"a")
    with pytest.raises(FileNotFoundError):
        root.directory(b"a")


def test_a_fifo_is_opened_without_waiting(root: Root, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root/pipe")
    os.close(root.open_file(b"pipe"))


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, Reason.DISK_FULL), (errno.EDQUOT, Reason.DISK_FULL), (errno.EIO, Reason.IO)],
)
def test_what_the_system_refuses_says_operation_path_and_reason(number: int, reason: Reason) -> None:
    error = DiskError("create_file", b"x\xff", OSError(number, os.strerror(number)))
    assert error.reason is reason
    assert "create file" in str(error)
    str(error).encode()


def test_the_observer_is_told_before_and_can_fail_an_operation(tmp_path: Path) -> None:
    seen = []

    def stop(operation: str, path: bytes) -> None:
        seen.append((operation, path))
        raise OSError(errno.EIO, "stopped")

    with Root(tmp_path) as root, pytest.raises(DiskError):
        Disk(stop).make_directory(root.descriptor, b"d", path=b"shown/d")
    assert seen == [("make_directory", b"shown/d")]
    assert os.listdir(tmp_path) == []


def test_flushes_that_are_done_are_measured(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    seen: list[tuple[str, float]] = []
    disk = Disk(flushed=lambda what, seconds: seen.append((what, seconds)))
    with Root(tmp_path) as root, (tmp_path / "f").open("rb") as file:
        disk.flush_file(file.fileno())
        disk.flush_directory(root.descriptor)
        disk.flush_filesystem(root.descriptor)
        closed = os.dup(root.descriptor)
        os.close(closed)
        with pytest.raises(DiskError):
            disk.flush_file(closed)
    assert [what for what, _ in seen] == ["file", "directory", "filesystem"]
    assert all(0 < seconds < 60 for _, seconds in seen)


def test_exchange_swaps_a_file_and_a_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    with Root(tmp_path) as root:
        Disk().exchange(root.descriptor, b"d", root.descriptor, b"f", b"d")
    assert (tmp_path / "d").is_file()
    assert (tmp_path / "f").is_dir()


def test_own_files_are_replaced_whole_with_exactly_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomically(path, b"old", 0o600)
    write_atomically(path, b"new", 0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["key"]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def stop(operation: str, _: bytes) -> None:
        if operation == "rename":
            raise OSError(errno.EIO, "stopped")

    write_atomically(tmp_path / "key", b"old")
    with pytest.raises(DiskError):
        write_atomically(tmp_path / "key", b"new", disk=Disk(stop))
    assert (tmp_path / "key").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["key"]
