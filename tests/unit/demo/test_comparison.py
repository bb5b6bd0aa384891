from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.demo.comparison import differences
from syncer.demo.story import rsync_differences


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees with every kind of path."""
    left, right = tmp_path / "left", tmp_path / "right"
    (left / "folder" / "empty").mkdir(parents=True)
    (left / "folder" / "file").write_bytes(b"x" * 5000)
    (left / "link").symlink_to("folder/file")
    (left / "dangling").symlink_to("nowhere")
    with open(os.fsencode(left) + b"/caf\xe9", "wb") as odd:
        odd.write(b"odd")
    shutil.copytree(left, right, symlinks=True)
    for path in (left, *left.rglob("*")):
        copy = right / path.relative_to(left)
        found = path.lstat()
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
    return left, right


def keeping_mtimes(root: Path, change: Callable[[], object]) -> None:
    times = {path: path.lstat() for path in (root, *root.rglob("*"))}
    change()
    for path, found in times.items():
        if os.path.lexists(path):
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def same_size_edit(root: Path) -> None:
    (root / "folder" / "file").write_bytes(b"y" * 5000)


def test_equal_trees_have_no_differences(pair: tuple[Path, Path]) -> None:
    assert differences(*pair) == []


@pytest.mark.needs("rsync")
def test_rsync_agrees(pair: tuple[Path, Path]) -> None:
    assert rsync_differences(*pair) == []
    (pair[1] / "more").touch()
    found = rsync_differences(*pair)
    assert found is not None
    assert "*deleting   more" in found


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (same_size_edit, "folder/file: the bytes differ"),
        (lambda root: (root / "link").unlink(), "link: is missing on the right"),
        (lambda root: (root / "more").touch(), "more: is missing on the left"),
        (
            lambda root: (root / "folder" / "file").chmod(0o600),
            "folder/file: the modes differ (100644, 100600)",
        ),
        (lambda root: (root / "folder" / "empty").rmdir(), "folder/empty: is missing on the right"),
        (
            lambda root: ((root / "link").unlink(), (root / "link").symlink_to("other")),
            "link: the symlinks point to different places",
        ),
        (
            lambda root: ((root / "link").unlink(), (root / "link").mkdir()),
            "link: is a symlink on the left and a directory on the right",
        ),
    ],
)
def test_one_difference_is_found_and_named(
    pair: tuple[Path, Path], change: Callable[[Path], object], line: str
) -> None:
    (pair[0] / "folder" / "file").chmod(0o644)
    (pair[1] / "folder" / "file").chmod(0o644)
    keeping_mtimes(pair[1], lambda: change(pair[1]))
    assert differences(*pair) == [line]


@pytest.mark.parametrize("name", [".", "folder", "folder/file", "link"])
def test_an_mtime_counts_for_every_kind(pair: tuple[Path, Path], name: str) -> None:
    os.utime(pair[1] / name, ns=(0, 1), follow_symlinks=False)
    [line] = differences(*pair)
    assert line.startswith(f"{name}: the mtimes differ")


@pytest.mark.needs_root
def test_an_owner_counts(pair: tuple[Path, Path]) -> None:
    os.chown(pair[1] / "link", 12345, 54321, follow_symlinks=False)
    assert len(differences(*pair)) == 2
