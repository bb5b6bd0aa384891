"""Both trees become equal again after any interruption: kills, pauses, cuts, frozen and slow connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired

pytestmark = pytest.mark.soak


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two running nodes with a proxy between them, and a target that is given up after 2 s of silence."""
    with paired(tmp_path, start=False, proxy=True, target='timeout = "2s"\n') as found:
        edit(found, "start")
        found.production.start()
        found.wait_synced()
        yield found


def edit(pair: Pair, marker: str, files: int = 50) -> None:
    folder = pair.production.root / marker
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}.conf").write_text(f"{marker} {number}\n" * 50)


def test_production_killed_resumes(pair: Pair) -> None:
    full = pair.production.stream()["last_full"]
    edit(pair, "before")
    pair.production.kill()
    edit(pair, "meanwhile")
    pair.production.start()
    pair.wait_equal()
    assert pair.production.stream()["last_full"] in (full, None)


def test_failover_killed_resumes(pair: Pair) -> None:
    full = pair.production.stream()["last_full"]
    edit(pair, "before")
    pair.failover.kill()
    edit(pair, "meanwhile")
    pair.failover.start()
    pair.wait_equal()
    assert pair.production.stream()["last_full"] == full


def test_a_deleted_index_means_a_full_synchronization(pair: Pair) -> None:
    full = pair.production.stream()["last_full"]
    assert full is not None
    pair.production.stop()
    for file in pair.production.state.glob("index.db*"):
        file.unlink()
    edit(pair, "meanwhile")
    pair.production.start()
    pair.wait_equal()
    pair.wait_for(lambda stream: stream["last_full"] not in (None, full), "a full synchronization was done")


def test_a_cut_connection_comes_back(pair: Pair) -> None:
    assert pair.proxy is not None
    pair.proxy.cut()
    edit(pair, "meanwhile")
    pair.wait_for(lambda stream: stream["state"] == "unreachable", "production noticed")
    pair.production.cli("status", check=5)
    pair.proxy.restore()
    pair.wait_equal()


def test_a_frozen_connection_is_given_up_and_comes_back(pair: Pair) -> None:
    assert pair.proxy is not None
    pair.proxy.freeze()
    edit(pair, "meanwhile")
    pair.wait_for(lambda stream: stream["state"] == "unreachable", "production noticed")
    pair.proxy.restore()
    pair.wait_equal()


def test_a_paused_failover_is_given_up_and_comes_back(pair: Pair) -> None:
    pair.failover.pause()
    edit(pair, "meanwhile")
    pair.wait_for(lambda stream: stream["state"] == "unreachable", "production noticed")
    pair.failover.resume()
    pair.wait_equal()


def test_a_slow_connection_loses_nothing(pair: Pair) -> None:
    assert pair.proxy is not None
    pair.proxy.delay(0.02)
    edit(pair, "slow", files=200)
    pair.wait_equal()
