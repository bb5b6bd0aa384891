"""Looking into node.db: what is found is right beside a writer and after a crash, and nothing changes by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from syncer.errors import StateError
from syncer.model import Mode
from syncer.state.inspection import inspect
from syncer.state.peers import Peer, add_peer
from syncer.state.store import StateStore

PEER = Peer("id", "dr-a", b"pem", "print", 1.0)


def shape(directory: Path) -> list[tuple[str, bytes]]:
    """Return the files with their bytes; the index of the log (-shm) is memory that happens to be a file."""
    return sorted((file.name, file.read_bytes()) for file in directory.iterdir() if not file.name.endswith("-shm"))


def test_what_an_open_database_holds_is_seen_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with StateStore.open(directory, create=True) as store:
        store.set_mode(Mode.FAILOVER)
        add_peer(store, PEER)
        before = shape(directory)
        found = inspect(directory)
        assert (found.node_id, found.mode, found.peers, found.damage) == (store.node_id, Mode.FAILOVER, (PEER,), ())
        assert found.schema == found.known_schema
        assert shape(directory) == before
        # A writer is not in its way, nor it in the writer's.
        with store.transaction() as writer:
            writer.execute("UPDATE node SET mode = NULL")
            assert inspect(directory).mode is Mode.FAILOVER
        assert inspect(directory).mode is None


def test_a_closed_database_gets_no_log(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with StateStore.open(directory, create=True) as store:
        add_peer(store, PEER)
    names = sorted(directory.iterdir())
    assert inspect(directory).peers == (PEER,)
    assert sorted(directory.iterdir()) == names


@pytest.mark.parametrize("lost", ["", "node.db-shm"])
def test_after_a_crash_the_log_counts_and_stays(tmp_path: Path, lost: str) -> None:
    directory, crashed = tmp_path / "state", tmp_path / "crashed"
    with StateStore.open(directory, create=True) as store:
        add_peer(store, PEER)
        shutil.copytree(directory, crashed)
    if lost:
        (crashed / lost).unlink()
    before = shape(crashed)
    assert inspect(crashed).peers == (PEER,)
    assert shape(crashed) == before
    with StateStore.open(crashed) as store:
        assert store.mode() is None


def test_what_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="run `syncer init`"):
        inspect(tmp_path)
    (tmp_path / "node.db").mkdir()
    with pytest.raises(StateError, match="is not a file"):
        inspect(tmp_path)
    (tmp_path / "node.db").rmdir()
    (tmp_path / "node.db").touch()
    with pytest.raises(StateError, match="restore a backup"):
        inspect(tmp_path)
