"""A root that is missing, vanishes, moves or is emptied never deletes anything on failover."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False) as pair:
        fill(pair.production.root)
        pair.start()
        pair.wait_equal()
        yield pair


def fill(root: Path) -> None:
    root.mkdir(exist_ok=True)
    for number in range(20):
        (root / f"f{number}").write_text(str(number))
    (root / "sub").mkdir()
    (root / "sub" / "x").write_text("x")


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def until_suspended(pair: Pair, what: str) -> None:
    wait_until(lambda: pair.production.stream()["state"] == "suspended", 30.0, what)


def test_a_root_that_moves_away_suspends_and_its_return_resumes(pair: Pair, tmp_path: Path) -> None:
    before = names(pair.failover.root)
    pair.production.root.rename(tmp_path / "away")
    until_suspended(pair, "the missing root suspended the target")
    found = pair.production.cli("status", check=4)
    assert str(pair.production.root) in found.stdout
    assert names(pair.failover.root) == before
    (tmp_path / "away").rename(pair.production.root)
    (pair.production.root / "late").write_text("x")
    pair.wait_equal()


@pytest.mark.soak
def test_a_root_missing_at_the_start_suspends(pair: Pair, tmp_path: Path) -> None:
    before = names(pair.failover.root)
    pair.production.stop()
    pair.production.root.rename(tmp_path / "away")
    pair.production.start()
    until_suspended(pair, "the missing root suspended the target")
    assert names(pair.failover.root) == before
    (tmp_path / "away").rename(pair.production.root)
    pair.wait_equal()


def test_an_emptied_root_waits_for_a_person(pair: Pair) -> None:
    before = names(pair.failover.root)
    # At once: on a busy machine the first few deletions would settle by themselves, and those may pass.
    pair.production.pause()
    for path in pair.production.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pair.production.resume()
    until_suspended(pair, "the emptied root suspended the target")
    assert names(pair.failover.root) == before
    assert pair.production.cli("snapshot", check=False).returncode == 4
    assert names(pair.failover.root) == before
    pair.production.cli("approve", "dr-a", "--yes")
    pair.wait_equal()
    assert names(pair.failover.root) == set()


@pytest.mark.soak
def test_an_emptied_root_that_is_filled_again_goes_on_by_itself(pair: Pair) -> None:
    shutil.rmtree(pair.production.root / "sub")
    for path in pair.production.root.iterdir():
        path.unlink()
    until_suspended(pair, "the emptied root suspended the target")
    fill(pair.production.root)
    pair.wait_equal()


def test_a_recreated_root_is_watched_anew(pair: Pair) -> None:
    shutil.rmtree(pair.production.root)
    until_suspended(pair, "the missing root suspended the target")
    fill(pair.production.root)
    pair.wait_equal()
    (pair.production.root / "sub" / "later").write_text("seen")
    pair.wait_equal()


def test_special_files_are_problems_and_the_rest_goes_on(pair: Pair) -> None:
    os.mkfifo(pair.production.root / "fifo")
    (pair.production.root / "after").write_text("x")
    wait_until((pair.failover.root / "after").exists, 60, "the rest went on")
    wait_until(lambda: pair.production.status()["problems_count"] == 1, 60, "the FIFO is shown")
    [problem] = pair.production.status()["domains"][0]["problems"]
    assert problem["path"] == "fifo"
    assert "FIFO" in problem["reason"]
    assert not (pair.failover.root / "fifo").exists()


@pytest.mark.soak
def test_a_file_that_becomes_unhandled_stays_on_failover(pair: Pair) -> None:
    (pair.production.root / "f1").unlink()
    os.mkfifo(pair.production.root / "f1")
    (pair.production.root / "after").write_text("x")
    wait_until((pair.failover.root / "after").exists, 60, "the rest went on")
    pair.production.cli("snapshot", check=False)
    assert stat.S_ISREG((pair.failover.root / "f1").lstat().st_mode)


def test_the_first_synchronization_onto_other_files_waits_for_a_person(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        fill(pair.production.root)
        (pair.failover.root / "precious").write_text("of somebody")
        pair.start()
        until_suspended(pair, "the first synchronization waits")
        assert names(pair.failover.root) == {"precious"}
        assert pair.production.cli("snapshot", check=False).returncode == 4
        assert names(pair.failover.root) == {"precious"}
        pair.production.cli("approve", "dr-a", "--yes")
        pair.wait_equal()


@pytest.mark.soak
def test_etc_with_syncers_own_files_below_it(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        pair.failover.kill()
        for node in (pair.production, pair.failover):
            text = node.config.read_text()
            whole = node.config.parent
            node.config.write_text(text.replace(f'path = "{node.root}"', f'path = "{whole}"'))
            (whole / "mine.conf").write_text("shared")
        own = {pair.production.config.name, pair.production.state.name}
        before = pair.failover.config.read_text()
        pair.start()
        wait_until(lambda: pair.production.stream()["state"] in ("streaming", "suspended"), 60, "it has compared")
        pair.production.cli("approve", "dr-a", "--yes", check=False)
        (pair.production.config.parent / "later.conf").write_text("x")
        there = pair.failover.config.parent
        wait_until((there / "later.conf").exists, 60, "other files go")
        assert pair.failover.config.read_text() == before
        for name in own:
            explained = pair.production.cli("explain", str(pair.production.config.parent / name), check=False)
            assert "own" in explained.stdout
        pair.production.cli("snapshot", check=False)
        assert pair.failover.config.read_text() == before
        assert pair.failover.status()["node"] == "dr-a"


def test_a_replaced_root_on_failover_suspends_and_the_right_one_goes_on(pair: Pair, tmp_path: Path) -> None:
    there = pair.failover.root
    there.rename(tmp_path / "real")
    there.mkdir()
    (there / "precious").write_text("of somebody")
    until_suspended(pair, "the replaced root suspended the target")
    assert pair.failover.cli("status", check=False).returncode == 4
    (pair.production.root / "news").write_text("x")
    assert pair.production.cli("wait", "--synced", "--timeout", "1s", check=False).returncode == 4
    assert names(there) == {"precious"}
    assert pair.production.cli("snapshot", check=False).returncode == 4
    assert names(there) == {"precious"}
    shutil.rmtree(there)
    (tmp_path / "real").rename(there)
    pair.wait_equal()


@pytest.mark.soak
def test_a_missing_root_on_failover_is_shown_before_anything_is_sent(pair: Pair, tmp_path: Path) -> None:
    pair.failover.root.rename(tmp_path / "real")
    until_suspended(pair, "the missing root suspended the target")
    assert "missing on failover" in pair.production.stream()["reason"]
    (tmp_path / "real").rename(pair.failover.root)
    pair.wait_for(lambda stream: stream["state"] == "streaming", "it goes on")


@pytest.mark.soak
def test_a_path_longer_than_any_path_may_be_holds_up_nothing(pair: Pair) -> None:
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(pair.production.root)
        for _ in range(40):
            os.mkdir("d" * 120)
            os.chdir("d" * 120)
    finally:
        os.fchdir(before)
        os.close(before)
    (pair.production.root / "after").write_text("x")
    wait_until((pair.failover.root / "after").exists, 60, "the rest went on")
    pair.production.cli("snapshot", check=False)
    subprocess.run(["rm", "-rf", str(pair.production.root / ("d" * 120))], check=True)
    (pair.production.root / "later").write_text("x")
    pair.wait_equal()
