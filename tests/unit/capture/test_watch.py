"""The adapter on watchdog: what it hears, what it promises, and what it needs of watchdog's inside."""

from __future__ import annotations

import errno
import inspect
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from syncer.capture.tree_watch import TreeWatch
from syncer.capture.watch import MASK, EventReceiver, Watcher


class Hearing:
    """A watcher with one tree, and a way to wait for its hints."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.failures: list[BaseException] = []
        self.woken = threading.Event()
        self.watcher = Watcher(self.failures.append)
        self.tree = TreeWatch(self.watcher, self.woken.set)

    def enter(self, path: bytes = b"") -> None:
        descriptor = os.open(os.path.join(os.fsencode(self.root), path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.tree.enter(path, descriptor)
        finally:
            os.close(descriptor)

    def delivered(self) -> None:
        """Return once every event of before was delivered."""
        reached = threading.Event()
        assert self.watcher.barrier(reached.set)
        assert reached.wait(60.0)

    def hints(self) -> tuple[set[bytes], set[bytes], str]:
        self.delivered()
        found = self.tree.take()
        return (found.dirty, found.fresh, found.everything) if found else (set(), set(), "")


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Hearing]:
    root = tmp_path / "root"
    root.mkdir()
    found = Hearing(root)
    found.enter()
    yield found
    found.tree.close()
    found.watcher.close()
    assert not found.failures


def test_watchdog_still_has_what_the_adapter_reaches_into() -> None:
    """Fails when watchdog changes: then read its source, and syncer/capture/watch.py with it."""
    reader = inotify_c.InotifyFD()
    try:
        for name in ("_inotify_fd", "_lock", "_watch_for_wd", "_closed", "_get_or_create_watch"):
            assert hasattr(reader, name), name
    finally:
        for descriptor in (reader._inotify_fd, reader._kill_r, reader._kill_w):
            os.close(descriptor)
    assert list(inspect.signature(inotify_c.InotifyFD.add_callback).parameters) == [
        "self",
        "path",
        "mask",
        "callback",
        "id_",
    ]
    assert "on_queue_overflow" in inspect.getsource(inotify_c.InotifyFD.handle_event)
    assert "errno.EACCES" in inspect.getsource(inotify_c.InotifyFD._raise_error)


def test_what_each_change_hints_at(hearing: Hearing) -> None:
    root = hearing.root
    (root / "f").write_bytes(b"x")
    assert hearing.hints() == ({b"f", b""}, set(), "")
    (root / "f").write_bytes(b"y")
    assert hearing.hints() == ({b"f"}, set(), "")
    (root / "f").chmod(0o600)
    assert hearing.hints() == ({b"f"}, set(), "")
    (root / "d").mkdir()
    assert hearing.hints() == ({b"d", b""}, {b"d"}, "")
    hearing.enter(b"d")
    (root / "f").rename(root / "d" / "g")
    assert hearing.hints() == ({b"f", b"", b"d/g", b"d"}, set(), "")
    (root / "d").rename(root / "e")
    assert hearing.hints() == ({b"d", b"e", b""}, {b"e"}, "")
    (root / "e" / "g").unlink()
    # Until the scan has entered e, its watch still knows it as d.
    assert hearing.hints() == ({b"d/g", b"d"}, set(), "")
    hearing.enter(b"e")
    (root / "e" / "h").symlink_to("x")
    assert hearing.hints() == ({b"e/h", b"e"}, set(), "")
    assert hearing.tree.watched == 2
    assert not hearing.tree.pending()


def test_a_name_that_is_not_utf8(hearing: Hearing) -> None:
    with open(os.fsencode(hearing.root) + b"/\xff\n", "wb"):
        pass
    assert hearing.hints()[0] == {b"\xff\n", b""}


def test_a_move_is_heard_at_once(hearing: Hearing, tmp_path: Path) -> None:
    """The observer of watchdog holds an unmatched move back for half a second, with everything behind it.

    It does so always; a busy machine is late only now and then.
    """

    def heard_at_once() -> bool:
        (hearing.root / "f").touch()
        hearing.hints()
        hearing.woken.clear()
        (hearing.root / "f").rename(tmp_path / "outside")
        is_heard = hearing.woken.wait(0.3)
        assert hearing.hints()[0] == {b"f", b""}
        return is_heard

    assert any(heard_at_once() for _ in range(20))


def test_a_file_that_stays_open_is_hinted_at_when_asked_for(hearing: Hearing) -> None:
    with open(hearing.root / "log", "wb") as file:
        hearing.hints()
        for _ in range(100):
            file.write(b"line\n")
            file.flush()
        assert hearing.hints() == (set(), set(), "")
        assert hearing.tree.pending()
        hearing.tree.note_open_files()
        assert hearing.hints() == ({b"log"}, set(), "")
        file.write(b"last")
    assert hearing.hints() == ({b"log"}, set(), "")
    hearing.tree.note_open_files()
    assert hearing.hints() == (set(), set(), "")


def test_entering_again_needs_no_new_watch_and_warns_of_nothing(hearing: Hearing) -> None:
    for _ in range(3):
        hearing.enter()
    (hearing.root / "f").touch()
    assert hearing.hints()[0] == {b"f", b""}
    assert hearing.tree.watched == 1


def test_a_directory_that_was_deleted_and_made_again_is_to_be_entered_again(hearing: Hearing) -> None:
    for _ in range(20):
        (hearing.root / "d").mkdir()
        hearing.hints()
        hearing.enter(b"d")
        (hearing.root / "d").rmdir()
        (hearing.root / "d").mkdir()
        # The inode is often the same: before the end of the old watch was heard, it looks as if it were watched.
        hearing.enter(b"d")
        dirty, fresh, _ = hearing.hints()
        assert b"d" in dirty
        assert b"d" in fresh
        hearing.enter(b"d")
        (hearing.root / "d" / "f").touch()
        assert b"d/f" in hearing.hints()[0]
        (hearing.root / "d" / "f").unlink()
        (hearing.root / "d").rmdir()
        hearing.hints()


def test_what_moved_out_is_not_heard_of_any_more(hearing: Hearing, tmp_path: Path) -> None:
    (hearing.root / "a" / "b").mkdir(parents=True)
    for path in (b"a", b"a/b"):
        hearing.enter(path)
    hearing.hints()
    (hearing.root / "a").rename(tmp_path / "outside")
    hearing.hints()
    hearing.tree.forget([b"a", b"a/b", b"never"])
    (tmp_path / "outside" / "b" / "f").touch()
    assert hearing.hints() == (set(), set(), "")
    assert hearing.tree.watched == 1


def test_a_sweep_ends_what_it_did_not_come_across(hearing: Hearing) -> None:
    for name in ("a", "b"):
        (hearing.root / name).mkdir()
        hearing.enter(name.encode())
    hearing.tree.begin_sweep()
    hearing.enter()
    hearing.enter(b"b")
    hearing.tree.end_sweep()
    hearing.hints()
    (hearing.root / "a" / "f").touch()
    (hearing.root / "b" / "f").touch()
    assert hearing.hints()[0] == {b"b/f", b"b"}


@pytest.mark.parametrize("how", ["delete", "move"])
def test_a_root_that_goes_away_means_everything(hearing: Hearing, how: str) -> None:
    if how == "delete":
        hearing.root.rmdir()
    else:
        hearing.root.rename(hearing.root.with_name("away"))
    assert "root" in hearing.hints()[2]


def test_lost_events_mean_everything_and_no_watch_is_believed(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hearing.root / "d").mkdir()
    hearing.enter(b"d")
    hearing.hints()
    hearing.tree.on_queue_overflow()
    assert hearing.hints()[2] == "the kernel's event queue overflowed"
    assert hearing.tree.overflows == 1
    asked: list[int] = []
    add = hearing.watcher.add

    def noted(directory: int, receiver: EventReceiver) -> tuple[int, int]:
        asked.append(directory)
        return add(directory, receiver)

    monkeypatch.setattr(hearing.watcher, "add", noted)
    hearing.enter()
    hearing.enter(b"d")
    hearing.enter(b"d")
    assert len(asked) == 2
    (hearing.root / "d" / "f").touch()
    assert hearing.hints()[0] == {b"d/f", b"d"}
    assert hearing.tree.watched == 2


def test_a_watch_that_cannot_be_added_is_counted_and_explained(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    for name in ("a", "b"):
        (hearing.root / name).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(hearing.watcher, "add", refuse)
        hearing.enter(b"a")
        hearing.enter(b"b")
    limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert hearing.tree.unwatched == 2
    assert f"max_user_watches to at least {limit + 2}" in hearing.tree.degraded()
    hearing.enter(b"a")
    assert hearing.tree.unwatched == 1
    hearing.tree.forget([b"b"])
    assert hearing.tree.degraded() == ""


def test_a_directory_that_the_kernel_refuses_leaves_no_watch_minus_one(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, path: bytes, mask: int) -> int:
        import ctypes

        ctypes.set_errno(errno.EACCES)
        return -1

    (hearing.root / "a").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(inotify_c, "inotify_add_watch", refuse)
        hearing.enter(b"a")
    assert hearing.tree.unwatched == 1
    assert "Permission denied" in hearing.tree.degraded()
    reader = hearing.watcher._inotify
    assert reader is not None
    assert -1 not in reader._watch_for_wd


def test_where_no_instance_is_left_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse() -> int:
        import ctypes

        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_init", refuse)
    watcher = Watcher(lambda error: None)
    assert "fs.inotify.max_user_instances" in watcher.unusable
    assert not watcher.unread()
    assert not watcher.barrier(lambda: None)
    tree = TreeWatch(watcher, lambda: None)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    tree.enter(b"", descriptor)
    os.close(descriptor)
    assert tree.unwatched == 1
    watcher.close()


def test_a_fault_in_the_reader_is_reported(hearing: Hearing) -> None:
    failed = threading.Event()
    failures: list[BaseException] = []

    def report(error: BaseException) -> None:
        failures.append(error)
        failed.set()

    watcher = Watcher(report)

    class Broken(TreeWatch):
        def on_event(self, event: inotify_c.InotifyEvent) -> None:
            raise ValueError("broken")

    tree = Broken(watcher, lambda: None)
    descriptor = os.open(hearing.root, os.O_RDONLY)
    tree.enter(b"", descriptor)
    os.close(descriptor)
    (hearing.root / "f").touch()
    assert failed.wait(60.0)
    assert isinstance(failures[0], ValueError)
    watcher.close()


def test_one_watcher_serves_several_trees(hearing: Hearing, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    tree = TreeWatch(hearing.watcher, lambda: None)
    descriptor = os.open(other, os.O_RDONLY)
    tree.enter(b"", descriptor)
    os.close(descriptor)
    (other / "f").touch()
    assert hearing.hints() == (set(), set(), "")
    hints = tree.take()
    assert hints is not None
    assert hints.dirty == {b"f", b""}
    tree.close()
    (hearing.root / "g").touch()
    assert hearing.hints()[0] == {b"g", b""}


def test_only_the_events_that_are_needed_are_asked_for() -> None:
    unwanted = inotify_c.InotifyConstants.IN_OPEN | inotify_c.InotifyConstants.IN_ACCESS
    assert not MASK & (unwanted | inotify_c.InotifyConstants.IN_CLOSE_NOWRITE)
