"""A copy for a drill is the tree as it stood at one moment, with all that a service sees of it."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from syncer.drill import shadow
from syncer.drill.place import remove_tree
from syncer.drill.shadow import DrillEndedError, DrillError, copy_tree


class Seen(NamedTuple):
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: object


def seen(root: Path) -> dict[str, Seen]:
    found = {}
    for path in sorted([root, *root.rglob("*")]):
        here = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = Seen(here.st_mode, (here.st_uid, here.st_gid), here.st_mtime_ns, content)
    return found


def copied(root: Path, target: Path, tell: shadow.Tell = lambda paths, size: None) -> shadow.Copied:
    state = root.parent / "state"
    state.mkdir(exist_ok=True)
    return copy_tree(root, target, state, tell, threading.Event())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "big").write_bytes(os.urandom((1 << 20) + 17))
    (root / "sub" / "link").symlink_to("../a")
    os.link(root / "a", root / "sub" / "same")
    (root / "sub" / "deep" / "closed").write_text("x")
    (root / "sub" / "deep" / "closed").chmod(0o600)
    (root / "sub" / "deep").chmod(0o2750)
    os.utime(root / "a", ns=(1, 123456789))
    return root


def test_a_copy_is_equal(root: Path, tmp_path: Path) -> None:
    done = copied(root, tmp_path / "copy")
    assert seen(root) == seen(tmp_path / "copy")
    assert (done.files, done.skipped, done.is_one_state) == (4, (), True)
    one, two = tmp_path / "copy" / "a", tmp_path / "copy" / "sub" / "same"
    assert one.stat().st_ino == two.stat().st_ino != (root / "a").stat().st_ino
    remove_tree(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_syncers_own_is_left_out_and_what_is_no_file_is_named(root: Path, tmp_path: Path) -> None:
    (root / ".syncer").mkdir()
    (root / ".syncer" / "staged").write_text("x")
    os.mkfifo(root / "sub" / "pipe")
    state = root / "state"
    state.mkdir()
    (state / "identity.key").write_text("secret")
    done = copy_tree(root, tmp_path / "copy", state, lambda paths, size: None, threading.Event())
    assert done.skipped == ("sub/pipe",)
    assert not (tmp_path / "copy" / ".syncer").exists()
    assert not (tmp_path / "copy" / "state").exists()


def test_what_changes_while_it_is_copied_is_copied_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "EVERY", 1)
    calls = []

    def once(paths: int, size: int) -> None:
        calls.append(paths)
        if len(calls) == 3:
            (root / "a").write_text("changed behind the copy")

    done = copied(root, tmp_path / "copy", once)
    assert done.is_one_state
    assert (tmp_path / "copy" / "a").read_text() == "changed behind the copy"

    def always(paths: int, size: int) -> None:
        (root / "a").write_text(str(len(calls)))
        calls.append(paths)

    assert not copied(root, tmp_path / "other", always).is_one_state


def test_a_full_disk_is_said_before_it_is_full(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "EVERY", 1)
    monkeypatch.setattr(shadow, "ROOM_LEFT", shutil.disk_usage(tmp_path).total + 1)
    with pytest.raises(DrillError, match="has no room for a copy"):
        copied(root, tmp_path / "copy")


def test_a_copy_that_nobody_waits_for_ends(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "EVERY", 1)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(DrillEndedError):
        copy_tree(root, tmp_path / "copy", tmp_path, lambda paths, size: None, stopping)


def test_a_root_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DrillError, match="cannot be copied"):
        copied(tmp_path / "nowhere", tmp_path / "copy")
