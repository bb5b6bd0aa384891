"""Which mounts make up the place of a root, from the kernel's own words (proc(5))."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncer.capture.root_shape import MountLine, MountTable, ShapeWatch, known_uuids, parsed, shape_of
from syncer.model import Mount, RootShape

ROOT_LINE = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def lines(table: bytes) -> list[MountLine]:
    return [line for line in map(parsed, table.splitlines()) if line is not None]


def shape(
    table: bytes, top: bytes = b"/srv/tree", uuids: dict[str, str] | None = None
) -> set[tuple[bytes, str, bytes]]:
    found = shape_of(lines(ROOT_LINE + table), top, uuids or {}, is_link=False)
    return {tuple(mount) for mount in found.mounts}  # type: ignore[misc]  # a NamedTuple is this tuple


HOLDS = (b"", "ext4 /dev/sda1", b"/srv/tree")


def test_a_line_is_read_with_its_escapes_and_optional_fields() -> None:
    line = rb"36 35 98:0 /mnt\0401 /mnt/a\011b rw,noatime master:1 propagate_from:2 - nfs4 host:/x\134y rw,errors=c"
    assert parsed(line) == MountLine("98:0", b"/mnt 1", b"/mnt/a\tb", "nfs4", "host:/x\\y")
    assert parsed(b"") is None
    assert parsed(b"1 2 3 - ext4") is None


def test_a_source_that_is_no_text_is_named_as_it_can_be_stored() -> None:
    found = parsed(b"36 35 0:40 / /mnt rw - tmpfs \xffx rw")
    assert found is not None
    assert found.source == "\\xffx"


def test_the_file_system_that_holds_the_root_is_part_of_its_shape() -> None:
    assert shape(b"") == {HOLDS}


def test_mounts_at_and_below_the_root_count_and_others_do_not() -> None:
    table = (
        b"30 21 0:40 / /srv/tree/data rw - tmpfs tmpfs rw\n"
        b"31 21 0:41 / /srv/tree-beside rw - tmpfs tmpfs rw\n"
        b"32 21 0:42 / /mnt rw - tmpfs tmpfs rw\n"
    )
    assert shape(table) == {HOLDS, (b"data", "tmpfs tmpfs", b"/")}
    assert shape(b"30 21 8:2 /sub /srv/tree rw - ext4 /dev/sdb1 rw\n") == {(b"", "ext4 /dev/sdb1", b"/sub")}


def test_a_mount_above_the_root_tells_which_directory_of_it_is_the_root() -> None:
    assert shape(b"30 21 8:2 /a /srv rw - xfs /dev/sdb1 rw\n") == {(b"", "xfs /dev/sdb1", b"/a/tree")}


def test_of_several_mounts_at_one_point_the_last_counts() -> None:
    table = (
        b"30 21 0:40 / /srv/tree/data rw - tmpfs one rw\n31 30 0:41 / /srv/tree/data rw - tmpfs two rw\n"
        b"32 21 0:42 / /srv/tree rw - tmpfs three rw\n33 21 0:43 / /srv/tree rw - tmpfs four rw\n"
    )
    assert shape(table) == {(b"", "tmpfs four", b"/"), (b"data", "tmpfs two", b"/")}


def test_the_uuid_names_a_file_system_whatever_its_device_is_called() -> None:
    one = shape(b"30 21 8:17 / /srv/tree/data rw - ext4 /dev/sdb1 rw\n", uuids={"8:17": "1234-ab"})
    other = shape(b"30 21 8:33 / /srv/tree/data rw - ext4 /dev/sdc1 rw\n", uuids={"8:33": "1234-ab"})
    assert one == other == {HOLDS, (b"data", "UUID=1234-ab", b"/")}


def test_a_renumbered_device_without_uuid_is_the_same() -> None:
    before = shape(b"30 21 0:40 / /srv/tree/data rw - nfs4 host:/x rw\n")
    assert before == shape(b"99 21 0:77 / /srv/tree/data rw - nfs4 host:/x rw\n")


def test_uuids_are_links_to_devices_and_a_machine_may_have_none(tmp_path: Path) -> None:
    (tmp_path / "by-uuid").mkdir()
    (tmp_path / "by-uuid" / "12-34").symlink_to("/dev/null")
    assert known_uuids(tmp_path / "by-uuid") == {"/dev/null": "12-34", "1:3": "12-34"}
    assert known_uuids(tmp_path / "none") == {}


class FakeTable:
    """A list of mounts that tests write."""

    def __init__(self) -> None:
        self.text = ROOT_LINE
        self.moved = True
        self.reads = 0

    def has_changed(self) -> bool:
        moved, self.moved = self.moved, False
        return moved

    def read(self) -> bytes:
        self.reads += 1
        return self.text


def test_the_list_is_read_again_only_when_something_moved(tmp_path: Path) -> None:
    table = FakeTable()
    watch = ShapeWatch(tmp_path, table)
    assert watch.look().moved
    for _ in range(3):
        assert not watch.look().moved
    assert table.reads == 1
    table.text += b"30 21 0:40 / %s/data rw - tmpfs t rw\n" % bytes(tmp_path)
    table.moved = True
    assert Mount(b"data", "tmpfs t", b"/") in watch.look().shape.mounts
    assert table.reads == 2


def test_a_root_that_becomes_a_link_changes_and_a_link_to_elsewhere_does_so_by_its_place(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    watch = ShapeWatch(root, FakeTable())
    before = watch.look().shape
    assert not before.is_link
    root.rmdir()
    assert watch.look().shape == before, "a missing root is said elsewhere"
    (tmp_path / "other").mkdir()
    root.symlink_to(tmp_path / "other")
    assert watch.look().shape.is_link


def test_without_the_kernels_list_nothing_is_known_and_nothing_changes(tmp_path: Path) -> None:
    watch = ShapeWatch(tmp_path, MountTable(tmp_path / "none"))
    assert watch.look().shape == RootShape(False, frozenset()) == watch.look().shape


@contextmanager
def tmpfs(point: Path) -> Iterator[Callable[[], None]]:
    """Mount a file system; yields what unmounts it."""
    subprocess.run(["mount", "-t", "tmpfs", "ours", str(point)], check=True)
    gone = False

    def unmount() -> None:
        nonlocal gone
        subprocess.run(["umount", str(point)], check=True)
        gone = True

    try:
        yield unmount
    finally:
        if not gone:
            subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_the_kernel_tells_of_each_move_even_of_one_that_is_over(tmp_path: Path) -> None:
    point = tmp_path / "with blank"
    point.mkdir()
    watch = ShapeWatch(tmp_path)
    before = watch.look().shape
    assert not watch.look().moved
    with tmpfs(point) as unmount:
        during = watch.look()
        assert during.moved
        assert during.shape.mounts - before.mounts == {Mount(b"with blank", "tmpfs ours", b"/")}
        unmount()
    with tmpfs(point) as unmount:
        unmount()
    after = watch.look()
    assert (after.shape, after.moved) == (before, True)
