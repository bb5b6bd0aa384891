from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.demo import steps, tree
from syncer.demo.comparison import differences
from syncer.demo.node import wait_until
from syncer.demo.report import Reporter
from syncer.demo.steps import Stage, Step
from syncer.errors import UnreachableError


def test_a_copy_has_only_what_every_user_may_read(tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "root"
    (source / "open").mkdir(parents=True)
    (source / "open" / "file").write_text("x")
    (source / "open" / "file").chmod(0o644)
    (source / "secret").write_text("x")
    (source / "secret").chmod(0o640)
    (source / "closed").mkdir(mode=0o700)
    (source / "closed" / "file").write_text("x")
    (source / "link").symlink_to("open")
    os.mkfifo(source / "pipe", 0o644)
    (source / "large").write_bytes(b"x" * (tree.FILE_BYTES_MAX + 1))
    source.chmod(0o755)
    (source / "open").chmod(0o755)
    root.mkdir()
    assert tree.copy_readable(source, root) == 3
    for name in ("secret", "closed", "pipe", "large"):
        path = source / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lines = [line for line in differences(source, root) if not line.startswith(".: the mtimes")]
    assert lines == []


def test_a_machine_with_little_of_its_own_gets_a_made_up_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(tree, "SOURCE", tmp_path / "etc")
    assert "made-up" in tree.fill(tmp_path / "root")
    assert sum(1 for _ in (tmp_path / "root").rglob("*")) == 605


def copy_once(left: Path, right: Path) -> None:
    found = {path: path.lstat() for path in left.rglob("*")}
    for path in sorted(right.rglob("*"), reverse=True):
        if left / path.relative_to(right) not in found:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path, status in found.items():
        there = right / path.relative_to(left)
        if stat.S_ISDIR(status.st_mode):
            there.mkdir(exist_ok=True)
        else:
            there.unlink(missing_ok=True)
            shutil.copy2(path, there, follow_symlinks=False)


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Stage]:
    """A stage on which a thread copies the whole tree again and again: slow, but a replicator."""
    left, right = tmp_path / "left", tmp_path / "right"
    left.mkdir()
    right.mkdir()
    ended = threading.Event()

    def copy() -> None:
        while not ended.is_set():
            # What goes while it is copied is seen to in the next round.
            with contextlib.suppress(FileNotFoundError):
                copy_once(left, right)

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield Stage(left, right)
    finally:
        ended.set()
        thread.join()


def test_every_step_of_the_demo_measures_an_arrival(replicated: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BURST_FILES", 30)
    monkeypatch.setattr(steps, "FOLDER_FILES", 10)
    monkeypatch.setattr(steps, "SINGLE_EDITS", 3)
    found = [replicated.prepare(), replicated.edit_one_file()[0]]
    found += [
        act()
        for act in (
            replicated.save_atomically,
            replicated.swap_symlink,
            replicated.rename_folder,
            replicated.burst,
            replicated.switch_branch,
            replicated.delete_folder,
        )
    ]
    assert [step.paths for step in found] == [10, 1, 1, 1, 10, 30, 18, 11]
    contents = replicated.edits_during_an_outage("x")
    assert replicated.wait(replicated.arrived(contents), "back", 30).paths == 30


def test_what_does_not_arrive_ends_the_wait() -> None:
    with pytest.raises(UnreachableError, match=r"waited 0.01 s in vain until pigs flew"):
        wait_until(lambda: False, 0.01, "pigs flew")


def test_the_report_is_plain_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=False)
    with reporter.doing("something"):
        reporter.chapter("One")
    reporter.step(Step("a step", 0.012, 3))
    reporter.verdict("good", [])
    reporter.verdict("bad", [f"x{n}\udcff" for n in range(30)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "a step ...." in out
    assert "12 ms  3 paths" in out
    assert "✓ good: no difference" in out
    assert "✗ bad: 30 differences" in out
    assert "x19\\xff" in out
    assert "x20" not in out
    Reporter(quiet=True).chapter("Two")
    assert capsys.readouterr().out == ""
