"""Read-only mounts over roots: made in one step, found again, taken away, and never another's."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.capture.root_shape import ShapeWatch
from syncer.errors import RefusedError, StateError
from syncer.procedures.read_only import ReadOnlyRoots, mounts_at, topmost
from syncer.state.processes import boot_id

TABLE = rb"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 8:1 /etc/web /etc/web ro,relatime - ext4 /dev/sda1 rw
31 30 8:1 /etc/web /etc/web rw,relatime - ext4 /dev/sda1 rw
32 31 8:1 /etc/web/a\040b /etc/web/a\040b ro - ext4 /dev/sda1 rw
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder with a link to it; whatever covers it is taken away afterwards."""
    folder = tmp_path / "ro ot"
    folder.mkdir()
    (folder / "file").write_text("x")
    (tmp_path / "link").symlink_to(folder)
    yield tmp_path / "link"
    while mounts_at(Path("/proc/self/mountinfo").read_bytes(), os.fsencode(folder)):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_mounts_are_told_apart_by_their_point_and_order() -> None:
    found = mounts_at(TABLE, b"/etc/web")
    assert [mount.number for mount in found] == [b"30", b"31"]
    top = topmost(found)
    assert top is not None
    assert (top.number, top.is_read_only) == (b"31", False)
    assert [mount.is_read_only for mount in mounts_at(TABLE, b"/etc/web/a b")] == [True]
    assert topmost(mounts_at(TABLE, b"/etc")) is None


def test_what_syncer_writes_to_is_never_made_read_only(tmp_path: Path) -> None:
    roots = ReadOnlyRoots("boot")
    (tmp_path / "link").symlink_to(tmp_path)
    if os.geteuid() == 0:
        assert roots.refusal(tmp_path / "web", [tmp_path / "state"]) == ""
        assert "syncer itself writes to" in roots.refusal(tmp_path, [tmp_path / "link" / "state"])
    else:
        assert "only root" in roots.refusal(tmp_path, [])


@pytest.mark.serial
@pytest.mark.needs_root
def test_a_root_is_covered_and_uncovered(root: Path) -> None:
    roots, folder = ReadOnlyRoots(boot_id()), root.resolve()
    inner = folder / "inner"
    inner.mkdir()
    _mount(b"tmpfs", inner)
    shape = ShapeWatch(root).look().shape
    identity = (os.stat(root).st_dev, os.stat(root).st_ino)
    planned = roots.plan(root)
    assert not roots.stands(planned)
    with (folder / "file").open("a") as held:
        roots.make(planned)
        assert roots.stands(planned)
        for path in (folder / "new", inner / "new", folder / "file"):
            with pytest.raises(OSError, match="Read-only"):
                path.write_text("y")
        held.write("still open")
    # What watches the root sees the same one.
    assert ShapeWatch(root).look().shape == shape
    assert (os.stat(root).st_dev, os.stat(root).st_ino) == identity
    assert (root / "file").read_text() == "xstill open"
    # Another life of the machine has none of this one's mounts.
    assert not ReadOnlyRoots("later").stands(planned)
    roots.undo(planned)
    assert not roots.stands(planned)
    (folder / "new").write_text("y")
    (inner / "new").write_text("y")
    subprocess.run(["umount", "--lazy", str(inner)], check=True)


@pytest.mark.serial
@pytest.mark.needs_root
def test_what_somebody_else_mounted_stays(root: Path) -> None:
    roots, folder = ReadOnlyRoots(boot_id()), root.resolve()
    planned = roots.plan(root)
    roots.make(planned)
    _mount(b"tmpfs", folder)
    with pytest.raises(StateError, match="something else was mounted over"):
        roots.undo(planned)
    subprocess.run(["umount", str(folder)], check=True)
    roots.undo(planned)
    with pytest.raises(RefusedError, match="cannot be made read-only"):
        roots.make(planned._replace(root=os.fsencode(folder / "missing")))


def _mount(kind: bytes, folder: Path) -> None:
    assert ctypes.CDLL(None, use_errno=True).mount(kind, os.fsencode(folder), kind, 0, None) == 0
