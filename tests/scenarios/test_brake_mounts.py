"""A file system that goes or comes at or below a root deletes nothing: the target is suspended, and says which."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired, wait_until
from tests.scenarios.test_brake import engaged, names, until_suspended

pytestmark = [pytest.mark.serial, pytest.mark.needs_root, pytest.mark.needs("mount", "umount")]


def mount(disk: Path, point: Path) -> None:
    subprocess.run(["mount", "--bind", str(disk), str(point)], check=True)


def unmount(point: Path) -> None:
    """Unmount as soon as nobody has a file open there: a scan may be under way."""
    wait_until(lambda: subprocess.run(["umount", str(point)], check=False).returncode == 0, 60, f"{point} was free")


@contextmanager
def mounted(disk: Path, point: Path) -> Iterator[None]:
    """Mount `disk` at `point`; whatever is mounted there at the end is unmounted."""
    mount(disk, point)
    try:
        yield
    finally:
        while point.is_mount() or subprocess.run(["mountpoint", "-q", str(point)], check=False).returncode == 0:
            subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory that plays a disk: what lies in it comes back with the mount."""
    found = tmp_path / "disk"
    found.mkdir()
    for number in range(5):
        (found / f"on-disk{number}").write_text(str(number))
    return found


@pytest.fixture
def below(tmp_path: Path, disk: Path) -> Iterator[Pair]:
    """A pair whose production has the disk mounted at root/data; five files are far below the brake."""
    with paired(tmp_path, start=False) as pair:
        (pair.production.root / "data").mkdir()
        (pair.production.root / "beside").write_text("x")
        with mounted(disk, pair.production.root / "data"):
            pair.start()
            pair.wait_equal()
            yield pair
            pair.end()


@pytest.fixture
def at_root(tmp_path: Path, disk: Path) -> Iterator[Pair]:
    """A pair whose production's root is a mount point, over a directory that holds another file."""
    with paired(tmp_path, start=False) as pair:
        (pair.production.root / "beneath-the-mount").write_text("x")
        with mounted(disk, pair.production.root):
            pair.start()
            pair.wait_equal()
            yield pair
            pair.end()


def test_guarantee_7_a_mount_below_the_root_that_goes_suspends_until_it_is_back(below: Pair, disk: Path) -> None:
    data = below.production.root / "data"
    before = names(below.failover.root)
    unmount(data)
    reason = until_suspended(below)
    assert f"is not mounted at {data} any more" in reason
    assert engaged(below) == 1
    assert names(below.failover.root) == before
    below.production.cli("snapshot", check=4)
    (below.production.root / "late").write_text("held back with the rest")
    assert below.production.json("diff", "dr-a", expected=(3,))
    assert names(below.failover.root) == before
    mount(disk, data)
    below.wait_equal()
    assert names(below.failover.root) == {*before, "late"}


@pytest.mark.soak
def test_a_mount_that_is_meant_to_be_gone_can_be_approved(below: Pair) -> None:
    unmount(below.production.root / "data")
    until_suspended(below)
    assert below.production.stream()["approval"]["deletions"] == 5
    below.production.cli("approve", "dr-a", "--yes")
    below.wait_equal()
    assert names(below.failover.root) == {"data", "beside"}
    (below.production.root / "later").write_text("x")
    below.wait_equal()


@pytest.mark.soak
def test_a_mount_that_did_not_come_up_at_boot_suspends(below: Pair, disk: Path) -> None:
    before = names(below.failover.root)
    below.production.stop()
    unmount(below.production.root / "data")
    below.production.start()
    assert "any more" in until_suspended(below)
    assert names(below.failover.root) == before
    mount(disk, below.production.root / "data")
    below.wait_equal()
    assert names(below.failover.root) == before


def test_a_mount_that_appears_suspends(below: Pair, disk: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    point = below.production.root / "new"
    point.mkdir()
    (point / "covered").write_text("x")
    below.wait_equal()
    before = names(below.failover.root)
    with mounted(other, point):
        assert f"was mounted at {point}" in until_suspended(below)
        assert names(below.failover.root) == before
    below.wait_equal()
    assert names(below.failover.root) == before


def test_a_root_whose_mount_goes_suspends_until_it_is_back(at_root: Pair, disk: Path) -> None:
    before = names(at_root.failover.root)
    unmount(at_root.production.root)
    reason = until_suspended(at_root)
    assert str(at_root.production.root) in reason
    assert names(at_root.failover.root) == before
    mount(disk, at_root.production.root)
    at_root.wait_equal()
    assert names(at_root.failover.root) == before


@pytest.mark.soak
def test_a_root_whose_mount_is_meant_to_be_gone_can_be_approved(at_root: Pair) -> None:
    unmount(at_root.production.root)
    until_suspended(at_root)
    wait_until(lambda: at_root.production.stream()["approval"], 60, "it was scanned and can be approved")
    at_root.production.cli("approve", "dr-a", "--yes")
    at_root.wait_equal()
    assert names(at_root.failover.root) == {"beneath-the-mount"}


def test_a_mount_of_failover_that_goes_suspends_and_a_snapshot_fills_what_is_left(tmp_path: Path, disk: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        (pair.production.root / "data").mkdir()
        (pair.production.root / "data" / "x").write_text("x")
        (pair.failover.root / "data").mkdir()
        for path in disk.iterdir():
            path.unlink()
        with mounted(disk, pair.failover.root / "data"):
            pair.start()
            pair.wait_equal()
            pair.failover.stop()
            unmount(pair.failover.root / "data")
            pair.failover.start()
            assert "on failover" in until_suspended(pair)
            (pair.production.root / "data" / "y").write_text("y")
            assert names(pair.failover.root) == {"data"}
            mount(disk, pair.failover.root / "data")
            pair.wait_equal()
            unmount(pair.failover.root / "data")
            until_suspended(pair)
            pair.production.cli("snapshot", "--yes")
            pair.wait_equal()
            pair.end()
