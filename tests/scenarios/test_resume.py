"""After any interruption both sides become equal: by resuming where the run is known, else by comparing all."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired, wait_until

FILES = 200


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False, proxy=True, target='timeout = "2s"\n') as pair:
        for number in range(FILES):
            folder = pair.production.root / f"d{number % 10}"
            folder.mkdir(exist_ok=True)
            (folder / f"f{number}").write_bytes(b"%d" % number * 100)
        pair.start()
        pair.wait_equal()
        pair.wait_synced()
        yield pair


def edit(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        folder = pair.production.root / f"d{chance.randrange(10)}"
        file = folder / f"f{chance.randrange(FILES)}"
        if chance.random() < 0.3:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(chance.randbytes(chance.randrange(5000)))


def last_full(pair: Pair) -> str:
    found = pair.production.stream()["last_full"]
    assert isinstance(found, str)
    return found


@contextlib.contextmanager
def resumes(pair: Pair) -> Iterator[None]:
    """What happens within must be repaired without a full synchronization."""
    before = last_full(pair)
    yield
    pair.wait_equal()
    pair.wait_synced()
    assert last_full(pair) == before, "a full synchronization was made although the run is known"


@contextlib.contextmanager
def fills_anew(pair: Pair) -> Iterator[None]:
    """What happens within can only be repaired by a full synchronization."""
    before = last_full(pair)
    yield
    pair.wait_equal()
    pair.wait_synced()
    assert last_full(pair) != before, "no full synchronization was made although the run is not known"


def test_production_killed(pair: Pair) -> None:
    with resumes(pair):
        edit(pair, 1)
        pair.production.kill()
        edit(pair, 2)
        pair.production.start()


def test_failover_killed(pair: Pair) -> None:
    with resumes(pair):
        edit(pair, 1)
        pair.failover.kill()
        edit(pair, 2)
        pair.failover.start()


@pytest.mark.soak
def test_both_killed_again_and_again(pair: Pair) -> None:
    with resumes(pair):
        for round_ in range(4):
            edit(pair, round_)
            victim = pair.production if round_ % 2 else pair.failover
            victim.kill()
            edit(pair, round_ + 100)
            victim.start()


@pytest.mark.soak
def test_failover_stopped_for_a_while(pair: Pair) -> None:
    with resumes(pair):
        pair.failover.stop()
        edit(pair, 3)
        wait_until(lambda: pair.production.stream()["state"] == "unreachable", 60, "the loss was noticed")
        assert pair.production.cli("status", check=False).returncode == 5
        pair.failover.start()


@pytest.mark.soak
def test_connection_cut(pair: Pair) -> None:
    assert pair.proxy is not None
    with resumes(pair):
        edit(pair, 4)
        pair.proxy.cut()
        edit(pair, 5)
        pair.proxy.restore()


def test_connection_frozen(pair: Pair) -> None:
    assert pair.proxy is not None
    with resumes(pair):
        pair.proxy.freeze()
        edit(pair, 6)
        wait_until(lambda: pair.production.stream()["state"] != "streaming", 60, "the silence was noticed")
        pair.proxy.restore()


def test_failover_frozen(pair: Pair) -> None:
    with resumes(pair):
        pair.failover.pause()
        edit(pair, 7)
        wait_until(lambda: pair.production.stream()["state"] != "streaming", 60, "the silence was noticed")
        pair.failover.resume()


@pytest.mark.soak
def test_index_deleted(pair: Pair) -> None:
    with fills_anew(pair):
        pair.production.stop()
        for file in pair.production.state.glob("index.db*"):
            file.unlink()
        edit(pair, 8)
        pair.production.start()


def copy_index(pair: Pair, where: Path) -> None:
    where.mkdir()
    for file in pair.production.state.glob("index.db*"):
        shutil.copy(file, where)


def put_index_back(pair: Pair, where: Path) -> None:
    for file in pair.production.state.glob("index.db*"):
        file.unlink()
    for file in where.iterdir():
        shutil.copy(file, pair.production.state)


@pytest.mark.soak
def test_an_older_index_put_back_and_written_to(pair: Pair, tmp_path: Path) -> None:
    pair.production.stop()
    copy_index(pair, tmp_path / "copy")
    pair.production.start()
    edit(pair, 9)
    pair.wait_equal()
    pair.wait_synced()
    with fills_anew(pair):
        pair.production.stop()
        put_index_back(pair, tmp_path / "copy")
        edit(pair, 10)
        pair.production.start()


def test_the_indexs_tail_lost(pair: Pair) -> None:
    edit(pair, 11)
    pair.wait_synced()
    with fills_anew(pair):
        pair.production.kill()
        lose_tail(pair.production.state / "index.db")
        pair.production.start()


def lose_tail(index: Path) -> None:
    """Drop the newest changes, as a power failure does with what was not flushed."""
    for journal in (index.with_name("index.db-wal"), index.with_name("index.db-shm")):
        if journal.name.endswith("wal"):
            size = journal.stat().st_size
            with journal.open("r+b") as file:
                file.truncate(size // 8)
        else:
            journal.unlink()
    with contextlib.closing(sqlite3.connect(index)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
