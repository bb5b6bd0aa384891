"""The whole of capture on a real tree: hints, scans, index, states, requests."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from syncer.capture import capturer as capturer_module
from syncer.capture.ignore import Scope
from syncer.capture.reader import Reads
from syncer.errors import IndexStoreError, SyncerError, UnavailableRootError
from syncer.index.store import IndexStore
from syncer.model import Cursor, Kind, Patterns
from tests.unit.capture.trees import Running, scanned


def test_the_first_scan_and_then_every_change(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "before").write_bytes(b"1")
    with Running(tmp_path) as running:
        running.wait(lambda: bool(running.states) and running.state.scans == 1)
        assert running.state.state == "watching"
        assert running.state.entries == 2
        assert (running.state.directories, running.state.watched) == (1, 1)
        assert running.entries().keys() == {b"", b"before"}
        (running.root / "new").write_bytes(b"2")
        running.wait(lambda: running.index.get("d", b"new") is not None)
        running.assert_equal()


def test_many_kinds_of_edits_end_equal(tmp_path: Path) -> None:
    with Running(tmp_path, settle=0.005) as running:
        root = running.root
        (root / "a" / "b" / "c").mkdir(parents=True)
        for number in range(50):
            (root / "a" / f"f{number}").write_bytes(b"%d" % number)
        running.assert_equal()
        (root / "a").rename(root / "z")
        (root / "z" / "f1").rename(root / "f1")
        (root / "z" / "f2").unlink()
        (root / "z" / "f2").mkdir()
        (root / "z" / "f2" / "x").touch()
        (root / "link").symlink_to("z")
        running.assert_equal()
        shutil.rmtree(root / "z" / "f2")
        (root / "z" / "f2").write_bytes(b"a file again")
        (root / "link").unlink()
        (root / "link").symlink_to("elsewhere")
        (root / "z" / "f3").chmod(0o600)
        temporary = root / "z" / ".f4.tmp"
        temporary.write_bytes(b"saved as editors do")
        temporary.rename(root / "z" / "f4")
        running.assert_equal()
        shutil.rmtree(root / "z")
        running.assert_equal()


def test_a_new_tree_and_a_file_in_it_at_once_loses_nothing(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        for number in range(300):
            path = running.root / f"{number}" / "b" / "c"
            path.mkdir(parents=True)
            (path / "f").write_bytes(b"%d" % number)
        running.assert_equal()
        assert len(running.entries()) == 1 + 300 * 4
        assert running.state.scans == 1, "by events, not by a scan of everything"


def test_a_move_out_of_the_tree_is_captured_within_300_ms(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        running.flush()
        (running.root / "f").rename(tmp_path / "outside")
        running.wait(lambda: running.index.get("d", b"f") is None, 0.3)


def test_a_subtree_that_moved_out_is_not_watched(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "a" / "b").mkdir(parents=True)
        running.flush()
        assert running.state.watched == 3
        (running.root / "a").rename(tmp_path / "outside")
        running.flush()
        before = running.flush()
        assert running.state.watched == 1
        (tmp_path / "outside" / "b" / "f").touch()
        assert running.flush() == before
        (tmp_path / "outside").rename(running.root / "back")
        running.assert_equal()
        assert running.state.watched == 3


def test_two_edits_of_one_size_and_a_restored_mtime(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        path = running.root / "f"
        for number in range(100):
            path.write_bytes(b"%03d" % number)
        os.utime(path, ns=(7, 7))
        running.assert_equal()
        path.write_bytes(b"xyz")
        os.utime(path, ns=(7, 7))
        running.assert_equal()


def test_a_racy_file_gets_clean_without_a_new_seq(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").write_bytes(b"x")
        head = running.flush()

        def clean() -> bool:
            known = running.index.get("d", b"f")
            return known is not None and not known.racy

        deadline = time.monotonic() + 5.0
        while not clean():
            assert time.monotonic() < deadline
            running.flush()
        assert running.flush().seq <= head.seq + 1


def test_hard_links_change_together(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "s").mkdir()
        (running.root / "a").write_bytes(b"1")
        running.flush()
        os.link(running.root / "a", running.root / "s" / "b")
        running.assert_equal()
        (running.root / "s" / "b").write_bytes(b"22")
        running.assert_equal()
        (running.root / "a").chmod(0o600)
        running.assert_equal()


def test_a_group_is_one_step_of_the_head(tmp_path: Path) -> None:
    with Running(tmp_path, settle=0.1) as running:
        running.flush()
        count = len(running.heads)
        for number in range(100):
            (running.root / f"{number}").touch()
        running.wait(lambda: len(running.entries()) == 101)
        assert len(running.heads) == count + 1
        with running.index.snapshot("d") as snapshot:
            assert not snapshot.torn


def test_a_stream_of_changes_is_recorded_torn_and_completed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    goes_on = True
    written = 0

    class Meanwhile(Reads):
        """Each file that is read finds another one written by then: no group ever ends by itself."""

        @staticmethod
        def read(descriptor: int, size: int) -> bytes:
            nonlocal written
            if goes_on:
                written += 1
                (tmp_path / "root" / f"{written}").write_bytes(b"1")
            return os.read(descriptor, size)

    with Running(tmp_path, settle=0.02, settle_max=0.1, reads=Meanwhile()) as running:
        running.flush()
        (running.root / "f").write_bytes(b"1")
        count = len(running.heads)
        torn = False

        def is_torn() -> bool:
            nonlocal torn
            with running.index.snapshot("d") as snapshot:
                torn = torn or snapshot.torn
            return torn and len(running.heads) >= count + 3

        try:
            running.wait(is_torn)
        finally:
            goes_on = False
        running.assert_equal()
        with running.index.snapshot("d") as snapshot:
            assert not snapshot.torn


def test_directory_times_alone_are_recorded_at_most_once_a_second(tmp_path: Path) -> None:
    scope = Scope(Patterns(("**",), ("*.swp",)))
    with Running(tmp_path, scope=scope) as running:
        running.flush()
        (running.root / "x.swp").touch()
        running.wait(lambda: running.index.head("d").seq == 2)
        for _ in range(3):
            (running.root / "x.swp").unlink()
            (running.root / "x.swp").touch()
            reached = threading.Event()
            running.watcher.barrier(reached.set)
            assert reached.wait(5.0)
        assert running.index.head("d").seq == 2
        # Whoever asks for all of it gets it at once, and nobody needs to ask.
        assert running.flush().seq == 3
        (running.root / "x.swp").unlink()
        running.wait(lambda: running.index.head("d").seq == 4)


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


def test_everything_is_scanned_on_a_timer(tmp_path: Path) -> None:
    with Running(tmp_path, rescan=0.1) as running:
        running.wait(lambda: bool(running.states) and running.state.scans >= 3)


def test_content_that_changed_gets_a_fresh_seq_even_where_it_is_the_same(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        before = running.flush()
        running.capturer.content_changed(b"f")
        running.wait(lambda: (running.index.seq_of("d", b"f") or 0) > before.seq)
        running.capturer.content_changed(b"never")
        assert running.flush().seq == before.seq + 1


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


def test_a_file_that_is_held_open_is_captured_within_seconds(tmp_path: Path) -> None:
    with Running(tmp_path) as running, open(running.root / "log", "wb", buffering=0) as file:
        file.write(b"line")
        running.wait(lambda: (known := running.index.get("d", b"log")) is not None and known.entry.size == 4)
        file.write(b" and more")
        running.wait(lambda: (known := running.index.get("d", b"log")) is not None and known.entry.size == 13)
        file.write(b"!")
        running.assert_equal()


def test_excluded_and_own_files_are_never_in_the_index(tmp_path: Path) -> None:
    scope = Scope(Patterns(("**",), ("*.swp",)), [b"state"])
    root = tmp_path / "root"
    (root / "state").mkdir(parents=True)
    with Running(tmp_path, scope=scope) as running:
        for path in ("state/node.db", "x.swp", "ok"):
            (root / path).touch()
        (root / ".syncer").mkdir()
        (root / ".syncer" / "1").touch()
        running.flush()
        assert running.entries().keys() == {b"", b"ok"}
        assert running.state.watched == 1


def test_changed_patterns_forget_without_deleting(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "a").touch()
        (running.root / "b").touch()
        before = running.flush()
    with Running(tmp_path, scope=Scope(Patterns(("**",), ("b",)))) as running:
        assert running.flush().seq == before.seq
        assert running.entries().keys() == {b"", b"a"}


def test_a_restart_finds_what_happened_meanwhile_and_resumes(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        for name in ("a", "b", "c"):
            (running.root / name).write_bytes(name.encode())
        cursor = Cursor(*running.flush())
    (tmp_path / "root" / "a").unlink()
    (tmp_path / "root" / "b").write_bytes(b"changed")
    with Running(tmp_path) as running:
        running.assert_equal()
        assert running.index.is_resumable("d", cursor)
        with running.index.snapshot("d") as snapshot:
            assert {c.path for c in snapshot.changes_since(cursor.seq)} == {b"", b"a", b"b"}


def test_a_large_first_scan_is_recorded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.capture.tree_capture.FINDINGS_AT_ONCE", 10)
    root = tmp_path / "root"
    for number in range(57):
        (root / str(number % 7)).mkdir(parents=True, exist_ok=True)
        (root / str(number % 7) / str(number)).touch()
    with Running(tmp_path) as running:
        running.flush()
        assert running.entries() == scanned(root)
        with running.index.snapshot("d") as snapshot:
            assert not snapshot.torn


def test_changes_pass_while_everything_is_scanned(tmp_path: Path) -> None:
    blocked, go_on = threading.Event(), threading.Event()
    block = False

    class Slow(Reads):
        @staticmethod
        def names(descriptor: int) -> list[str]:
            if block and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/m"):
                blocked.set()
                assert go_on.wait(10.0)
            return os.listdir(descriptor)

    root = tmp_path / "root"
    for name in "amz":
        (root / name).mkdir(parents=True)
        (root / name / "f").touch()
    with Running(tmp_path, reads=Slow()) as running:
        running.flush()
        block = True
        running.watcher.overflow()
        assert blocked.wait(10.0)
        scans = running.state.scans
        for name in "amz":
            (root / name / "f").write_bytes(b"now")
            (root / name / "g").touch()
        block = False
        go_on.set()
        running.wait(lambda: running.state.scans == scans + 1)
        running.assert_equal()


def test_a_stop_ends_a_long_scan_and_answers_those_who_wait(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Reads):
        @staticmethod
        def names(descriptor: int) -> list[str]:
            entered.set()
            assert go_on.wait(10.0)
            return os.listdir(descriptor)

    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    with Running(tmp_path, reads=Slow()) as running:
        assert entered.wait(10.0)
        waiting = running.capturer.flush()
        stopper = threading.Thread(target=running.capturer.stop)
        stopper.start()
        go_on.set()
        stopper.join()
        with pytest.raises(SyncerError, match="stopping"):
            waiting.result(5.0)
        with pytest.raises(SyncerError, match="stopping"):
            running.capturer.flush().result(5.0)
        assert running.index.count("d") == 0


def test_an_error_of_the_index_ends_capture_loudly(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        running.flush()

        def broken(*_: object, **__: object) -> None:
            raise IndexStoreError("the disk is gone")

        running.index.commit_group = broken  # type: ignore[method-assign,assignment]
        (running.root / "f").touch()
        running.capturer.join(5.0)
        assert not running.capturer.is_alive()
        assert [type(error) for error in running.failures] == [IndexStoreError]
        running.failures.clear()


def test_the_index_may_be_deleted_between_two_runs(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        cursor = Cursor(*running.flush())
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    with Running(tmp_path) as running:
        running.assert_equal()
        assert not running.index.is_resumable("d", cursor)


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


def test_several_domains_share_index_and_watcher(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "unused.db"), Running(tmp_path) as one:
        (tmp_path / "other").mkdir()
        two = Running(tmp_path / "other")
        with two:
            (one.root / "a").touch()
            (two.root / "b").touch()
            one.assert_equal()
            two.assert_equal()
