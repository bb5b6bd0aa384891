"""Capture where something is lost: the root, events, watches, or what a file holds."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from syncer.capture import capturer as capturer_module
from syncer.capture.moving import MovingReads
from syncer.capture.owners import Owners
from syncer.capture.reader import Reads, read_stable
from syncer.capture.state import OVERFLOWED
from syncer.errors import IndexStoreError, UnavailableRootError
from syncer.model import Kind
from tests.unit.capture.trees import Running
from tests.waiting import wait_until


def test_a_missing_root_suspends_and_deletes_nothing(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        head = running.flush()
        running.root.rename(tmp_path / "away")
        running.wait(lambda: running.state.state == "unavailable")
        assert "mount or create it" in running.state.reason
        with pytest.raises(UnavailableRootError):
            running.flush()
        assert running.index.head("d") == head
        (tmp_path / "away" / "g").touch()
        (tmp_path / "away").rename(running.root)
        running.wait(lambda: running.state.state == "watching")
        running.assert_equal()
        (running.root / "h").touch()
        running.wait(lambda: running.index.get("d", b"h") is not None)


def test_a_root_that_is_deleted_and_made_again_is_watched_anew(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        running.flush()
        for number in range(3):
            shutil.rmtree(running.root)
            running.root.mkdir()
            (running.root / f"g{number}").touch()
            running.wait(lambda name=b"g%d" % number: running.index.get("d", name) is not None)  # type: ignore[misc]
            running.assert_equal()
            (running.root / f"h{number}").touch()
            running.wait(lambda name=b"h%d" % number: running.index.get("d", name) is not None)  # type: ignore[misc]


def test_a_root_that_is_replaced_without_an_event_is_noticed(tmp_path: Path) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    for path in (real, other):
        path.mkdir()
    (other / "x").touch()
    link = tmp_path / "link"
    link.symlink_to(real)
    with Running(tmp_path, root=link) as running:
        running.flush()
        link.unlink()
        link.symlink_to(other)
        running.wait(lambda: running.index.get("d", b"x") is not None)
        (other / "y").touch()
        running.wait(lambda: running.index.get("d", b"y") is not None)


def test_a_root_that_is_missing_at_the_start(tmp_path: Path) -> None:
    with Running(tmp_path, root=tmp_path / "later") as running:
        running.wait(lambda: bool(running.states) and running.state.state == "unavailable")
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "f").touch()
        running.wait(lambda: running.state.state == "watching")
        assert running.state.scans == 1
        running.assert_equal()


def test_an_emptied_root_is_recorded_as_it_is(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        running.flush()
        assert not running.index.is_empty("d")
        (running.root / "f").unlink()
        running.assert_equal()
        assert running.index.is_empty("d")


def test_lost_events_are_made_up_by_a_scan(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        running.flush()
        # As if the queue had overflowed: nothing is heard of this.
        running.capturer._watch.begin_sweep()
        running.capturer._watch.end_sweep()
        (running.root / "a" / "b").mkdir(parents=True)
        (running.root / "a" / "b" / "f").touch()
        running.watcher.overflow()
        running.wait(lambda: running.state.scans == 2)
        running.assert_equal()
        assert running.state.overflows == 1
        # It was to be seen before it was over.
        shown = [(state.state, state.reason, state.scans) for state in running.states if state.overflows]
        assert shown[0] == ("degraded", OVERFLOWED, 1)
        assert shown[-1] == ("watching", "", 2)
        (running.root / "a" / "b" / "g").touch()
        running.wait(lambda: running.index.get("d", b"a/b/g") is not None)


def test_where_watches_are_lacking_everything_is_scanned_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturer_module, "DEGRADED_SECONDS", 0.1)
    running = Running(tmp_path)
    (running.root / "a").mkdir()
    add = running.watcher.add
    refusing = True

    def lacking(directory: int, receiver: object) -> tuple[int, int]:
        if refusing and os.readlink(f"/proc/self/fd/{directory}").endswith("/a"):
            raise OSError(errno.ENOSPC, "inotify watch limit reached")
        return add(directory, receiver)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(running.watcher, "add", lacking)
    with running:
        running.wait(lambda: bool(running.states) and running.state.state == "degraded")
        assert "max_user_watches" in running.state.reason
        assert (running.state.directories, running.state.watched) == (2, 1)
        (running.root / "a" / "f").touch()
        running.wait(lambda: running.index.get("d", b"a/f") is not None)
        (running.root / "a" / "g").touch()
        running.assert_equal()
        refusing = False
        running.wait(lambda: running.state.state == "watching")
        (running.root / "a" / "h").touch()
        running.wait(lambda: running.index.get("d", b"a/h") is not None)


def test_what_gives_no_events_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturer_module, "remote_kind", lambda root: "nfs4")
    monkeypatch.setattr(capturer_module, "POLL_SECONDS", 0.1)
    with Running(tmp_path) as running:
        running.wait(lambda: bool(running.states) and running.state.state == "polling")
        assert "nfs4" in running.state.reason
        assert running.state.watched == 0
        (running.root / "f").touch()
        running.wait(lambda: running.index.get("d", b"f") is not None)
        (running.root / "g").touch()
        running.assert_equal()


def test_files_that_never_stand_still_are_problems_and_hold_up_nothing(tmp_path: Path) -> None:
    growing = True

    class Growing(Reads):
        @staticmethod
        def read(descriptor: int, size: int) -> bytes:
            if growing and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/log"):
                with open(tmp_path / "root" / "log", "ab") as file:
                    file.write(b"+")
            return os.read(descriptor, size)

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "log").write_bytes(b"1")
    with Running(tmp_path, reads=Growing()) as running:
        (running.root / "f").touch()
        running.wait(lambda: running.index.get("d", b"f") is not None)
        running.wait(lambda: [problem.path for problem in running.state.problems] == [b"log"])
        assert "changes faster" in running.state.problems[0].reason
        assert running.index.get("d", b"log") is None
        growing = False
        running.wait(lambda: running.index.get("d", b"log") is not None)
        running.wait(lambda: running.state.problems == ())


def test_what_cannot_be_copied_is_a_problem_until_it_is_gone(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        os.mkfifo(running.root / "pipe")
        running.wait(lambda: bool(running.states and running.state.problems))
        assert running.state.problems[0][1:] == (b"pipe", "FIFO: not copied")
        (running.root / "pipe").unlink()
        running.wait(lambda: running.state.problems == ())


def test_an_error_of_the_index_ends_capture_loudly(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        running.flush()

        def broken(*_: object, **__: object) -> None:
            raise IndexStoreError("the disk is gone")

        running.index.commit_group = broken  # type: ignore[method-assign,assignment]
        (running.root / "f").touch()
        running.capturer.join(60.0)
        assert not running.capturer.is_alive()
        assert [type(error) for error in running.failures] == [IndexStoreError]
        running.failures.clear()


def test_a_directory_that_cannot_be_read_is_unknown_and_comes_back(tmp_path: Path) -> None:
    broken = False

    class Faulty(Reads):
        @staticmethod
        def names(descriptor: int) -> list[str]:
            if broken and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/d"):
                raise OSError(errno.EIO, "Input/output error")
            return os.listdir(descriptor)

    with Running(tmp_path, reads=Faulty()) as running:
        (running.root / "d").mkdir()
        for name in "xy":
            (running.root / "d" / name).touch()
        before = running.flush()
        broken = True
        running.watcher.overflow()
        running.wait(lambda: bool(running.state.problems))
        with running.index.snapshot("d") as snapshot:
            changes = list(snapshot.changes_since(before.seq))
        assert [(change.path, change.entry and change.entry.kind) for change in changes] == [(b"d", Kind.UNKNOWN)]
        (running.root / "d" / "x").unlink()
        broken = False
        running.watcher.overflow()
        running.wait(lambda: not running.state.problems)
        running.assert_equal()
        with running.index.snapshot("d") as snapshot:
            gone = [change.path for change in snapshot.changes_since(before.seq) if change.entry is None]
        assert gone == [b"d/x"]


def test_a_thread_that_hangs_at_a_file_does_not_move_and_one_that_sleeps_does(tmp_path: Path) -> None:
    hanging, released = threading.Event(), threading.Event()

    class Hanging(Reads):
        @staticmethod
        def open(name: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
            if name == "hangs":
                hanging.set()
                assert released.wait(20)
            return os.open(name, flags, dir_fd=dir_fd)

    with Running(tmp_path, reads=Hanging()) as running:
        running.flush()
        moved = running.capturer.beat().moved_at
        wait_until(lambda: running.capturer.beat().moved_at > moved, 20, "an idle thread looked around")
        (running.root / "hangs").write_text("x")
        assert hanging.wait(20)
        beat = running.capturer.beat()
        assert beat.alive
        (running.root / "later").write_text("x")
        wait_until(lambda: running.capturer.beat().waiting, 20, "a path waited")
        assert running.capturer.beat().moved_at == beat.moved_at
        released.set()
        running.wait(lambda: running.index.get("d", b"later") is not None)
        wait_until(lambda: running.capturer.beat().moved_at > beat.moved_at, 20, "it moved again")
    assert not running.capturer.beat().alive


def test_reading_a_large_file_is_moving(tmp_path: Path) -> None:
    moved = 0

    def move() -> None:
        nonlocal moved
        moved += 1

    (tmp_path / "large").write_bytes(bytes(5 << 20))
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        reading = read_stable(directory, "large", os.stat(tmp_path / "large"), None, MovingReads(move), Owners())
    finally:
        os.close(directory)
    assert reading is not None
    assert moved > 2
