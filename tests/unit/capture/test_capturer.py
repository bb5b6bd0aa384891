"""The whole of capture on a real tree: hints, scans, index, states, requests."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from syncer.capture import tree_capture
from syncer.capture.ignore import Scope
from syncer.capture.reader import Reads
from syncer.errors import SyncerError
from syncer.index.store import IndexStore
from syncer.model import Cursor, Patterns
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
    """Once of a few times: what holds a move back does so always, a machine that is busy only now and then."""
    with Running(tmp_path) as running:

        def captured() -> float:
            (running.root / "f").touch()
            running.flush()
            moved = time.monotonic()
            (running.root / "f").rename(tmp_path / "outside")
            running.wait(lambda: running.index.get("d", b"f") is None)
            return time.monotonic() - moved

        assert any(captured() < 0.3 for _ in range(20))


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

        deadline = time.monotonic() + 60.0
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
    with Running(tmp_path, settle=0.5, settle_max=20.0) as running:
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


def test_directory_times_alone_are_recorded_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer and shorter than a second, so that it does not matter how fast this goes.
    monkeypatch.setattr(tree_capture, "DIRECTORY_TIME_SECONDS", 600.0)
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
            assert reached.wait(60.0)
        assert running.index.head("d").seq == 2
        # Whoever asks for all of it gets it at once, and nobody needs to ask.
        monkeypatch.setattr(tree_capture, "DIRECTORY_TIME_SECONDS", 0.3)
        assert running.flush().seq == 3
        (running.root / "x.swp").unlink()
        running.wait(lambda: running.index.head("d").seq == 4)


def test_everything_is_scanned_on_a_timer(tmp_path: Path) -> None:
    with Running(tmp_path, rescan=0.1) as running:
        running.wait(lambda: bool(running.states) and running.state.scans >= 3)


def test_other_times_count_from_the_next_group_on(tmp_path: Path) -> None:
    with Running(tmp_path, settle=60.0, settle_max=60.0) as running:
        running.flush()
        running.capturer.retime(0.0, 0.5, 3600.0)
        (running.root / "f").touch()
        running.wait(lambda: running.index.get("d", b"f") is not None)
        assert running.state.scans == 1
        running.capturer.retime(0.0, 0.5, 0.1)
        running.wait(lambda: running.state.scans >= 4)


def test_content_that_changed_gets_a_fresh_seq_even_where_it_is_the_same(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        before = running.flush()
        running.capturer.content_changed(b"f")
        running.wait(lambda: (running.index.seq_of("d", b"f") or 0) > before.seq)
        running.capturer.content_changed(b"never")
        assert running.flush().seq == before.seq + 1


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
                assert go_on.wait(60.0)
            return os.listdir(descriptor)

    root = tmp_path / "root"
    for name in "amz":
        (root / name).mkdir(parents=True)
        (root / name / "f").touch()
    with Running(tmp_path, reads=Slow()) as running:
        running.flush()
        block = True
        running.watcher.overflow()
        assert blocked.wait(60.0)
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
            assert go_on.wait(60.0)
            return os.listdir(descriptor)

    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    with Running(tmp_path, reads=Slow()) as running:
        assert entered.wait(60.0)
        waiting = running.capturer.flush()
        stopper = threading.Thread(target=running.capturer.stop)
        stopper.start()
        go_on.set()
        stopper.join()
        with pytest.raises(SyncerError, match="stopping"):
            waiting.result(60.0)
        with pytest.raises(SyncerError, match="stopping"):
            running.capturer.flush().result(60.0)
        assert running.index.count("d") == 0


def test_the_index_may_be_deleted_between_two_runs(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        (running.root / "f").touch()
        cursor = Cursor(*running.flush())
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    with Running(tmp_path) as running:
        running.assert_equal()
        assert not running.index.is_resumable("d", cursor)


def test_several_domains_share_index_and_watcher(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "unused.db"), Running(tmp_path) as one:
        (tmp_path / "other").mkdir()
        two = Running(tmp_path / "other")
        with two:
            (one.root / "a").touch()
            (two.root / "b").touch()
            one.assert_equal()
            two.assert_equal()
