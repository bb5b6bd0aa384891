"""One state of the index, read while it goes on changing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from syncer.index.store import IndexStore
from syncer.model import Entry
from syncer.summary import summarize
from tests.unit.index.rows import directory, file


def filled(tmp_path: Path, *names: bytes) -> IndexStore:
    store = IndexStore.open(tmp_path / "index.db")
    rows = [directory(b""), *(file(name, b"of " + name) for name in names)]
    store.commit_group("d", rows, [], [], torn=False)
    return store


def digest(name: bytes) -> bytes:
    return file(name, b"of " + name).entry.digest


def test_later_commits_do_not_show(tmp_path: Path) -> None:
    with filled(tmp_path, b"a", b"b") as store, store.snapshot("d") as snapshot:
        entries = snapshot.entries()
        assert next(entries).path == b""
        store.commit_group("d", [file(b"a", b"later"), file(b"c")], [b"b"], [], torn=True)
        assert [entry.path for entry in entries] == [b"a", b"b"]
        assert snapshot.head.seq == 3
        assert not snapshot.torn
        assert snapshot.count() == 3
        assert list(snapshot.changes_since(3)) == []
        with store.snapshot("d") as now:
            assert now.torn
            assert [(c.seq, c.path, c.entry is None) for c in now.changes_since(3)] == [
                (4, b"a", False),
                (6, b"b", True),
                (5, b"c", False),
            ]


def test_order_is_by_directory_then_name(tmp_path: Path) -> None:
    with filled(tmp_path, b"a/x", b"a-b", b"a", b"b", b"a/x/y", b"\xff") as store, store.snapshot("d") as snapshot:
        expected = [b"", b"a", b"a-b", b"b", b"\xff", b"a/x", b"a/x/y"]
        assert [entry.path for entry in snapshot.entries()] == expected
        # Both ways to read changes: most of all rows, and few of them.
        assert [change.path for change in snapshot.changes_since(0)] == expected
        assert [change.path for change in snapshot.changes_since(5)] == [b"\xff", b"a/x/y"]


def test_what_is_behind_a_cursor_is_counted(tmp_path: Path) -> None:
    before = time.time()
    with filled(tmp_path, b"a", b"bb") as store, store.snapshot("d") as snapshot:
        assert (snapshot.count_since(0), snapshot.bytes_since(0)) == (3, len(b"of a") + len(b"of bb"))
        assert (snapshot.count_since(3), snapshot.bytes_since(3)) == (0, 0)
        oldest = snapshot.oldest_since(1)
        assert oldest is not None
        assert before <= oldest <= time.time()
        assert snapshot.oldest_since(3) is None
        assert (snapshot.content_of(b"bb")[1], snapshot.content_of(b"no")) == (len(b"of bb"), (b"", 0))


def test_which_contents_a_target_holds(tmp_path: Path) -> None:
    with filled(tmp_path, b"a", b"b", b"c") as store:
        cursor = store.head("d").seq
        changed = file(b"a", b"of a", mode=0o600)
        store.commit_group("d", [changed, file(b"b", b"new"), file(b"n", b"of b")], [b"c"], [], torn=False)
        store.commit_group("d", [], [b"n"], [], torn=False)
        with store.snapshot("d") as snapshot:
            assert snapshot.holds_digest(digest(b"a"), cursor), "only its mode changed"
            assert snapshot.holds_digest(digest(b"c"), cursor), "deleted only later"
            assert not snapshot.holds_digest(file(b"b", b"new").entry.digest, cursor), "it came later"
            assert not snapshot.holds_digest(digest(b"b"), cursor), "overwritten, and what held it is gone"
            assert not snapshot.holds_digest(digest(b"c"), store.head("d").seq), "the target deleted it"
            assert not snapshot.holds_digest(b"", cursor)
            assert snapshot.paths_with_digest(digest(b"a")) == [b"a"]
            assert snapshot.paths_with_digest(digest(b"c")) == []


def test_the_summary_is_that_of_the_entries_and_cached(tmp_path: Path) -> None:
    with filled(tmp_path, b"a", b"b") as store:
        with store.snapshot("d") as snapshot:
            first = snapshot.summary()
            assert first == summarize(snapshot.entries())
        store.commit_group("d", [file(b"a", b"of a", inode=99)], [], [], torn=False)
        with store.snapshot("d") as snapshot:
            snapshot.entries = _unexpected  # type: ignore[method-assign]  # must not be asked again
            assert snapshot.summary() == first
        store.commit_group("d", [], [], [b"a"], torn=False)
        with store.snapshot("d") as snapshot:
            assert snapshot.summary() == summarize(snapshot.entries()) != first


def _unexpected() -> Iterator[Entry]:
    raise AssertionError("the entries were read again")


def test_connections_are_used_again_and_a_late_close_is_harmless(tmp_path: Path) -> None:
    store = filled(tmp_path, b"a")
    snapshots = [store.snapshot("d") for _ in range(6)]
    for snapshot in snapshots[1:]:
        snapshot.close()
        snapshot.close()
    assert len(store._idle) == 4
    store.close()
    assert [entry.path for entry in snapshots[0].entries()] == [b"", b"a"]
    snapshots[0].close()


def test_writers_and_readers_of_several_threads(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        failures: list[BaseException] = []

        def write(domain: str) -> None:
            try:
                for number in range(50):
                    store.commit_group(domain, [file(b"%d" % number)], [], [], torn=False)
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with store.snapshot("w0") as snapshot:
                assert len(list(snapshot.entries())) == snapshot.count() == snapshot.head.seq
        for thread in threads:
            thread.join()
        assert not failures
        assert [store.head(f"w{number}").seq for number in range(3)] == [50, 50, 50]


def test_deletions_tell_what_was_there_and_since_when(tmp_path: Path) -> None:
    with filled(tmp_path, b"a", b"b", b"c") as store:
        before = store.head("d").seq
        with store.snapshot("d") as snapshot:
            assert not snapshot.has_deletions_since(0)
        store.commit_group("d", [file(b"passing")], [], [], torn=False)
        store.commit_group("d", [file(b"a", b"edited")], [], [], torn=False)
        store.commit_group("d", [], [b"a", b"passing"], [], torn=False)
        head = store.head("d").seq
        with store.snapshot("d") as snapshot:
            assert snapshot.has_deletions_since(before)
            assert snapshot.has_deletions_since(head - 1)
            assert not snapshot.has_deletions_since(head)
            found = {item.entry.path: item for item in snapshot.deletions_since(before)}
        assert found[b"a"].was_there
        assert not found[b"passing"].was_there
        assert found[b"a"].entry.digest == file(b"a", b"edited").entry.digest


def test_what_comes_back_over_a_deletion_was_there_all_along(tmp_path: Path) -> None:
    """Else removing a tree, making it anew and removing it again would look like files that only passed."""
    with filled(tmp_path, b"a") as store:
        before = store.head("d").seq
        store.commit_group("d", [], [b"a"], [], torn=False)
        store.commit_group("d", [file(b"a")], [], [], torn=False)
        store.commit_group("d", [], [b"a"], [], torn=False)
        with store.snapshot("d") as snapshot:
            [found] = snapshot.deletions_since(before)
        assert found.was_there


def test_a_path_that_was_gone_at_first_is_new_when_it_is_back(tmp_path: Path) -> None:
    """A tree that is moved away, and later moved back."""
    with filled(tmp_path, b"a") as store:
        store.commit_group("d", [], [b"a"], [], torn=False)
        before = store.head("d").seq
        store.commit_group("d", [file(b"a")], [], [], torn=False)
        with store.snapshot("d") as snapshot:
            assert [entry.path for entry in snapshot.arrivals_since(before)] == [b"a"]
            assert not list(snapshot.arrivals_since(store.head("d").seq))
        store.commit_group("d", [], [b"a"], [], torn=False)
        with store.snapshot("d") as snapshot:
            assert [item.was_there for item in snapshot.deletions_since(before)] == [False]


def test_arrivals_are_new_paths_only(tmp_path: Path) -> None:
    with filled(tmp_path, b"a", b"b") as store:
        before = store.head("d").seq
        store.commit_group(
            "d", [file(b"a", b"of a", mode=0o600), file(b"b", b"new"), directory(b"c")], [], [], torn=False
        )
        with store.snapshot("d") as snapshot:
            assert {entry.path for entry in snapshot.arrivals_since(before)} == {b"c"}
            assert {change.path for change in snapshot.changes_since(before)} == {b"a", b"b", b"c"}
