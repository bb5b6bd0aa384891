from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from syncer.errors import StateError
from syncer.model import Mode, Term
from syncer.state.lock import Holder, LockedError, StateLock, holder_of
from syncer.state.store import StateStore
from syncer.state.term import observe_term, read_term


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_directory_and_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with StateStore.open(tmp_path / "deep" / "state", create=True) as store:
            store.set_mode(Mode.FENCED)
            names = sorted(path.name for path in (tmp_path / "deep" / "state").iterdir())
            assert names == ["node.db", "node.db-shm", "node.db-wal"]
            assert {mode_of(tmp_path / "deep" / "state" / name) for name in names} == {0o600}
            assert mode_of(tmp_path / "deep" / "state") == 0o700
    finally:
        os.umask(before)


def test_what_is_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    with StateStore.open(tmp_path, create=True) as first:
        node_id = first.node_id
        assert str(uuid.UUID(node_id)) == node_id
        assert first.mode() is None
        first.set_mode(Mode.FAILOVER)
    # Creating is for what is missing; what is there stays.
    with StateStore.open(tmp_path, create=True) as second:
        assert (second.node_id, second.mode()) == (node_id, Mode.FAILOVER)


def test_every_commit_is_flushed(store: StateStore) -> None:
    with store.read() as reader:
        assert reader.execute("PRAGMA synchronous").fetchone() == (2,)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert reader.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_every_table_is_strict(store: StateStore) -> None:
    with store.read() as reader:
        tables = reader.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables
    assert all(re.search(r"\) STRICT(, WITHOUT ROWID)?$", sql) for (sql,) in tables)


def test_an_error_rolls_back(store: StateStore) -> None:
    def fail() -> None:
        with store.transaction():
            store.set_mode(Mode.FENCED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert store.mode() is None
    store.set_mode(Mode.PRODUCTION)
    assert store.mode() is Mode.PRODUCTION


def test_threads_take_turns(store: StateStore) -> None:
    def raise_term() -> None:
        for _ in range(25):
            with store.transaction():
                counter = read_term(store).counter
                observe_term(store, Term(counter + 1, "n"))

    threads = [threading.Thread(target=raise_term) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_term(store).counter == 100


def test_a_missing_state_says_what_to_do(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StateError, match="run `syncer init`"):
            StateStore.open(directory)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    StateStore.open(tmp_path, create=True).close()
    tmp_path.chmod(mode)
    with pytest.raises(StateError, match="chmod 700"):
        StateStore.open(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    StateStore.open(directory, create=True).close()
    os.chown(directory, 12345, 12345)
    with pytest.raises(StateError, match="belongs to user 12345"):
        StateStore.open(directory)


def test_a_file_instead_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="is not a directory"):
        StateStore.open(tmp_path / "state", create=True)
    with pytest.raises(StateError, match="cannot be created"):
        StateStore.open(tmp_path / "state" / "deeper", create=True)


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    StateStore.open(tmp_path, create=True).close()
    (tmp_path / "node.db").chmod(0o666)
    with StateStore.open(tmp_path):
        assert mode_of(tmp_path / "node.db") == 0o600


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "node.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="cannot be opened"):
        StateStore.open(tmp_path, create=True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("damage", ["header", "page", "truncated", "empty"])
def test_a_damaged_file_is_refused_with_the_cure(tmp_path: Path, damage: str) -> None:
    StateStore.open(tmp_path, create=True).close()
    path = tmp_path / "node.db"
    data = path.read_bytes()
    page = 4096
    path.write_bytes(
        {
            "header": b"x" * 100 + data[100:],
            "page": data[:page] + b"\xff" * page + data[2 * page :],
            "truncated": data[: len(data) // 2],
            "empty": b"",
        }[damage]
    )
    with pytest.raises(StateError, match="restore a backup"):
        StateStore.open(tmp_path)


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    StateStore.open(tmp_path, create=True).close()
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StateError, match=r"written by a newer syncer \(schema 999"):
        StateStore.open(tmp_path)


def test_a_full_disk_is_one_sentence_and_loses_nothing(store: StateStore) -> None:
    with store.read() as reader:
        pages = reader.execute("PRAGMA page_count").fetchone()[0]
        reader.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with store.transaction() as writer:
            store.set_mode(Mode.FENCED)
            writer.execute("INSERT INTO problem VALUES ('d', zeroblob(1000000), 'r')")

    with pytest.raises(StateError, match="no space is left"):
        fill()
    assert store.mode() is None


def test_a_fault_of_the_caller_is_no_state_error(store: StateStore) -> None:
    def twice() -> None:
        with store.transaction() as writer:
            for _ in range(2):
                writer.execute("INSERT INTO target VALUES ('t', 'n', 'n')")

    with pytest.raises(sqlite3.IntegrityError):
        twice()


def test_terms_are_only_raised(store: StateStore) -> None:
    assert read_term(store) == Term(0, "")
    steps = [
        (Term(1, "b"), Term(1, "b")),
        (Term(1, "a"), Term(1, "b")),
        (Term(0, "z"), Term(1, "b")),
        (Term(1, "c"), Term(1, "c")),
        (Term(2, "a"), Term(2, "a")),
        (Term(2, "a"), Term(2, "a")),
    ]
    for seen, expected in steps:
        observe_term(store, seen)
        assert read_term(store) == expected


HOLD = """
import sys
from pathlib import Path
from syncer.state.lock import StateLock
StateLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_held_by_another_process_names_it_and_ends_with_it(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            assert holder_of(tmp_path) == Holder(process.pid, is_agent=False)
            with pytest.raises(LockedError, match=f"is used by process {process.pid}; wait until that has ended"):
                StateLock.acquire(tmp_path)
        finally:
            process.kill()
            process.wait()
    # The pid is still written there, but the kernel has given the lock up.
    assert holder_of(tmp_path) is None
    with StateLock.acquire(tmp_path) as lock:
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
        assert mode_of(tmp_path / "lock") == 0o600
        lock.release()
    with StateLock.acquire(tmp_path, for_agent=True):
        assert holder_of(tmp_path) == Holder(os.getpid(), is_agent=True)
        with pytest.raises(LockedError, match=f"is used by process {os.getpid()}, an agent: stop it, or ask it"):
            StateLock.acquire(tmp_path)


def test_a_lock_needs_its_directory(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="run `syncer init`"):
        StateLock.acquire(tmp_path / "nowhere")
