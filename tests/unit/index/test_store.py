"""Rows, seqs, runs and damage of index.db."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from syncer.errors import IndexStoreError
from syncer.index.store import IndexStore
from syncer.model import Cursor, DiskIdentity, Known
from tests.unit.index.rows import directory, file, unknown


def fill(store: IndexStore, *names: bytes, domain: str = "d") -> Cursor:
    rows = [directory(b""), *(file(name, b"of " + name) for name in names)]
    return Cursor(*store.commit_group(domain, rows, [], [], torn=False))


def test_each_change_gets_the_next_seq_and_unchanged_rows_none(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        assert store.head("d").seq == 0
        assert fill(store, b"a", b"b").seq == 3
        assert fill(store, b"a", b"b").seq == 3
        assert store.commit_group("d", [file(b"a", b"new")], [b"b"], [], torn=True).seq == 5
        assert (store.seq_of("d", b"a"), store.seq_of("d", b"b"), store.seq_of("d", b"c")) == (4, 5, None)
        assert store.count("d") == 2


def test_a_deletion_of_what_is_not_known_is_none(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        before = fill(store, b"a")
        assert store.commit_group("d", [], [b"never"], [], torn=False).seq == before.seq
        store.commit_group("d", [], [b"a"], [], torn=False)
        assert store.commit_group("d", [], [b"a"], [], torn=False).seq == before.seq + 1


def test_a_refreshed_row_keeps_its_seq_and_a_resent_one_gets_a_new_one(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        store.commit_group("d", [file(b"a", racy=True)], [], [], torn=False)
        assert store.commit_group("d", [file(b"a", inode=7)], [], [], torn=False).seq == 1
        assert store.get("d", b"a") == file(b"a", inode=7)
        assert store.commit_group("d", [file(b"a", inode=7)], [], [], torn=False, resend={b"a"}).seq == 2


def test_children_are_those_of_one_directory_and_never_the_root(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        rows = [directory(b""), directory(b"a"), file(b"a/x"), file(b"a-b"), directory(b"a/s"), file(b"a/s/deep")]
        store.commit_group("d", rows, [], [], torn=False)
        assert store.children("d", b"").keys() == {b"a", b"a-b"}
        assert store.children("d", b"a") == {b"x": file(b"a/x"), b"s": directory(b"a/s")}
        assert store.get("d", b"") == directory(b"")
        assert store.children("other", b"") == {}


def test_every_field_comes_back(tmp_path: Path) -> None:
    entry = file(b"d\xff/n\n", b"y" * 9).entry._replace(
        mode=0o7777, uid=2**32 - 2, gid=5, owner="üser", group="", mtime_ns=-(2**62), note="n"
    )
    known = Known(entry, DiskIdentity(9, -3, 2**62, 2**64 - 1, 2**63), racy=True)
    with IndexStore.open(tmp_path / "index.db") as store:
        store.commit_group("d", [known], [], [], torn=False)
        assert store.get("d", b"d\xff/n\n") == known
        assert store.children("d", b"d\xff") == {b"n\n": known}


def test_names_of_hard_links(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        store.commit_group("d", [file(b"a", inode=5), file(b"s/b", inode=5), file(b"c", inode=6)], [], [], torn=False)
        assert sorted(store.paths_of_inode("d", 1, 5)) == [b"a", b"s/b"]
        assert store.paths_of_inode("d", 2, 5) == []
        store.commit_group("d", [], [b"a"], [], torn=False)
        assert store.paths_of_inode("d", 1, 5) == [b"s/b"]


def test_unknown_rows_are_listed_with_their_reason(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        store.commit_group("d", [unknown(b"z", "socket"), unknown(b"s/a"), file(b"f")], [], [], torn=False)
        assert store.unknowns("d", 10) == [(b"z", "socket"), (b"s/a", "cannot be read")]
        assert len(store.unknowns("d", 1)) == 1


def test_what_lies_below_an_unreadable_directory_is_hidden_not_deleted(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        rows = [directory(b""), directory(b"s"), file(b"s/a"), directory(b"s/t"), file(b"s/t/b"), file(b"s-x")]
        before = store.commit_group("d", rows, [], [], torn=False).seq
        assert store.commit_group("d", [unknown(b"s")], [], [], torn=False).seq == before + 1
        assert store.children("d", b"s") == {}
        assert store.count("d") == 3
        with store.snapshot("d") as snapshot:
            assert [change.path for change in snapshot.changes_since(before)] == [b"s"]
            assert [entry.path for entry in snapshot.entries()] == [b"", b"s", b"s-x"]


def test_what_is_gone_once_the_directory_can_be_read_again_becomes_a_deletion(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        rows = [directory(b""), directory(b"s"), file(b"s/a"), file(b"s/b"), directory(b"s/t"), file(b"s/t/c")]
        store.commit_group("d", rows, [], [], torn=False)
        before = store.commit_group("d", [unknown(b"s")], [], [], torn=False).seq
        store.commit_group("d", [directory(b"s"), file(b"s/a"), unknown(b"s/t")], [], [], torn=False)
        with store.snapshot("d") as snapshot:
            changes = {change.path: change.entry is not None for change in snapshot.changes_since(before)}
        # What lies below s/t is still not known to be gone.
        assert changes == {b"s": True, b"s/a": True, b"s/b": False, b"s/t": True}
        assert store.count("d") == 4
        store.commit_group("d", [], [b"s/t"], [], torn=False)
        assert store.seq_of("d", b"s/t/c") == store.head("d").seq


def test_forgotten_rows_vanish_without_a_seq(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        before = fill(store, b"a", b"b")
        assert store.commit_group("d", [], [], [b"a", b"never"], torn=False).seq == before.seq
        assert store.get("d", b"a") is None
        assert store.count("d") == 2
        with store.snapshot("d") as snapshot:
            assert [change.path for change in snapshot.changes_since(0)] == [b"", b"b"]


def test_domains_do_not_meet(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        fill(store, b"a", domain="one")
        fill(store, b"b", b"c", domain="two")
        assert (store.head("one").seq, store.head("two").seq) == (2, 3)
        assert store.head("one").run != store.head("two").run
        assert store.get("one", b"b") is None


def test_a_cursor_of_an_earlier_run_resumes_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    first = IndexStore.open(path)
    cursor = fill(first, b"a", b"b")
    # No close: the process was killed. Another connection sees what was committed.
    with IndexStore.open(path) as second:
        assert second.head("d").seq == cursor.seq
        assert second.head("d").run != cursor.run
        assert second.is_resumable("d", cursor)
        assert second.is_resumable("d", cursor._replace(seq=1))
        assert not second.is_resumable("d", cursor._replace(seq=cursor.seq + 1))
        fill(second, b"a", b"b", b"c")
        # A seq that only the new run gave is not one of the old run.
        assert not second.is_resumable("d", cursor._replace(seq=cursor.seq + 1))
        head = Cursor(*second.head("d"))
        assert second.is_resumable("d", head)
        assert second.is_resumable("d", head._replace(seq=cursor.seq))
        assert not second.is_resumable("d", head._replace(seq=cursor.seq - 1))
    first.close()


def test_a_foreign_index_or_run_does_not_resume(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "one.db") as store, IndexStore.open(tmp_path / "two.db") as other:
        cursor = fill(store, b"a")
        fill(other, b"a")
        assert not other.is_resumable("d", cursor)
        assert not other.is_resumable("d", cursor._replace(index_id=other.index_id))


def test_an_older_copy_put_back_and_written_to_does_not_resume(tmp_path: Path) -> None:
    path, copy = tmp_path / "index.db", tmp_path / "copy.db"
    with IndexStore.open(path) as store:
        early = fill(store, b"a")
    shutil.copy(path, copy)
    with IndexStore.open(path) as store:
        late = fill(store, b"a", b"b")
        assert store.is_resumable("d", early)
    shutil.copy(copy, path)
    with IndexStore.open(path) as store:
        fill(store, b"a", b"other")
        assert store.head("d").seq >= late.seq
        assert not store.is_resumable("d", late)
        assert store.is_resumable("d", early)


def test_a_lost_tail_does_not_resume(tmp_path: Path) -> None:
    path, copy = tmp_path / "index.db", tmp_path / "copy.db"
    store = IndexStore.open(path)
    kept = fill(store, b"a")
    store.close()
    store = IndexStore.open(path)
    same_run = Cursor(*store.head("d"))
    # The copy holds the run already, but not what it gave afterwards: so a power failure leaves it.
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, copy)
    lost = fill(store, b"a", b"b")
    store.close()
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    shutil.copy(copy, path)
    with IndexStore.open(path) as again:
        assert lost.run == same_run.run
        assert not again.is_resumable("d", lost)
        assert again.is_resumable("d", same_run)
        assert again.is_resumable("d", kept)


def test_a_deleted_file_is_a_new_index(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with IndexStore.open(path) as store:
        cursor = fill(store, b"a")
    path.unlink()
    with IndexStore.open(path) as store:
        assert not store.was_rebuilt
        assert store.index_id != cursor.index_id
        assert not store.is_resumable("d", cursor)


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 8000, None])
def test_a_damaged_file_is_set_aside_once(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "index.db"
    for attempt in (1, 2):
        with IndexStore.open(path) as store:
            cursor = fill(store, *(b"%d" % number for number in range(2000)))
        whole = path.read_bytes()
        path.write_bytes(damage or whole[:8192] + b"\xaa" * 4096 + whole[12288:])
        with IndexStore.open(path) as store:
            assert store.was_rebuilt
            assert not store.is_resumable("d", cursor)
            assert store.count("d") == 0
        assert [item.name for item in tmp_path.glob("*damaged*")] == [f"index.db.damaged-{attempt}"]


def test_a_file_of_a_newer_version_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with IndexStore.open(path) as store:
        assert store.was_rebuilt


def test_a_path_that_cannot_be_used_is_an_error_not_a_new_index(tmp_path: Path) -> None:
    (tmp_path / "index.db").mkdir()
    with pytest.raises(IndexStoreError, match=r"index\.db: cannot be read or written"):
        IndexStore.open(tmp_path / "index.db")


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        fill(store, b"a")
        for item in tmp_path.iterdir():
            assert stat.S_IMODE(item.stat().st_mode) == 0o600, item


def test_pruned_tombstones_raise_the_floor(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        names = [b"%d" % number for number in range(10)]
        cursor = fill(store, *names)
        for name in names:
            store.commit_group("d", [], [name], [], torn=False)
        store.prune_tombstones("d", 10)
        assert store.is_resumable("d", cursor)
        store.prune_tombstones("d", 4)
        head = Cursor(*store.head("d"))
        assert not store.is_resumable("d", cursor)
        assert store.is_resumable("d", head._replace(seq=head.seq - 4))
        assert not store.is_resumable("d", head._replace(seq=head.seq - 5))
        with store.snapshot("d") as snapshot:
            assert snapshot.count_since(0) == 5
    with IndexStore.open(tmp_path / "index.db") as store:
        assert not store.is_resumable("d", cursor)


def test_an_empty_tree_is_said_to_be_empty(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        assert store.is_empty("d")
        fill(store, b"a")
        assert not store.is_empty("d")
        store.commit_group("d", [], [b"a"], [], torn=False)
        assert store.is_empty("d")


def test_a_group_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with IndexStore.open(tmp_path / "index.db") as store:
        before = fill(store, b"a")
        broken = file(b"b")._replace(identity=DiskIdentity(2**70, 0, 0, 0, 0))
        with pytest.raises(OverflowError):
            store.commit_group("d", [file(b"c"), broken], [b"a"], [], torn=False)
        assert store.head("d").seq == before.seq
        assert store.get("d", b"a") is not None
        assert store.get("d", b"c") is None
