"""`syncer verify` with real nodes: what no watch can see is found on either side, and repaired only when asked."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import Node, Pair, paired, wait_until


@contextlib.contextmanager
def equal_pair(folder: Path, **options: Any) -> Iterator[Pair]:
    """Two running, equal nodes with a few files."""
    with paired(folder, start=False, **options) as pair:
        for number in range(20):
            (pair.production.root / f"{number}.conf").write_text(f"number {number}\n")
        pair.production.start()
        pair.wait_synced()
        yield pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with equal_pair(tmp_path) as found:
        yield found


def rot(node: Node, name: str, database: str, table: str) -> None:
    """Change bytes of a file so that its size and times say nothing, as a disk does by itself.

    ctime cannot be set, so what is remembered of it is set instead, while the agent is stopped: for syncer it is
    the same, since it sees only whether both are equal.
    """
    file = node.root / name
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"ROTTEN")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    with contextlib.closing(sqlite3.connect(node.state / database)) as connection, connection:
        changed = connection.execute(
            f"UPDATE {table} SET disk_ctime_ns = ? WHERE inode = ?",  # a constant of this file
            (after.st_ctime_ns, after.st_ino),
        ).rowcount
    assert changed == 1


def verify(pair: Pair, *arguments: str, expected: int) -> dict[str, Any]:
    result = pair.production.json("verify", *arguments, expected=None)
    assert deviations(examples()["verify"], result) == []
    [domain] = result["targets"][0]["domains"]
    assert result["exit_code"] == expected, domain
    assert isinstance(domain, dict)
    return domain


def findings(domain: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((item["path"], item["side"], item["what"]) for item in domain["findings"])


def test_equal_trees_are_equal_with_and_without_an_agent(pair: Pair) -> None:
    domain = verify(pair, expected=0)
    assert (domain["outcome"], domain["findings_total"]) == ("equal", 0)
    assert domain["paths"] == 21
    assert domain["bytes"] >= sum(file.stat().st_size for file in pair.production.root.iterdir())
    assert pair.production.stream()["last_verified"] is not None
    pair.production.stop()
    assert verify(pair, expected=0)["outcome"] == "equal"


def test_rot_on_failover_is_found_and_repaired_only_when_asked(pair: Pair) -> None:
    pair.failover.stop()
    rot(pair.failover, "3.conf", "node.db", "base")
    pair.failover.start()
    pair.wait_for(lambda stream: stream["state"] == "streaming", "they are connected again")
    # Neither watch nor comparison sees it.
    assert pair.production.json("snapshot")["targets"][0]["domains"][0]["outcome"] == "equal"
    assert pair.failover.json("drift")["exit_code"] == 0
    assert findings(verify(pair, expected=3)) == [("3.conf", "failover", "edited")]
    assert (pair.failover.root / "3.conf").read_text().startswith("ROTTEN")
    assert any("last verification" in problem["reason"] for problem in pair.production.stream()["problems"])
    assert pair.production.cli("verify", "--repair", check=4).stderr.count("3.conf") == 1
    assert (pair.failover.root / "3.conf").read_text().startswith("ROTTEN")
    assert verify(pair, "--repair", "--yes", expected=0)["outcome"] == "repaired"
    pair.wait_equal()
    assert verify(pair, expected=0)["outcome"] == "equal"
    assert pair.production.stream()["problems"] == []


@pytest.mark.soak
def test_rot_on_production_is_found_and_not_sent_before_a_person_says_so(pair: Pair) -> None:
    pair.production.stop()
    rot(pair.production, "5.conf", "index.db", "entry")
    pair.production.start()
    pair.wait_for(lambda stream: stream["state"] == "streaming", "they are connected again")
    assert findings(verify(pair, expected=3)) == [("5.conf", "production", "edited")]
    pair.wait_synced()
    assert (pair.failover.root / "5.conf").read_text() == "number 5\n"
    assert verify(pair, "--repair", "--yes", expected=0)["outcome"] == "repaired"
    pair.wait_equal()
    assert (pair.failover.root / "5.conf").read_text().startswith("ROTTEN")


def test_edits_on_failover_are_findings_and_changes_meanwhile_are_not(pair: Pair) -> None:
    (pair.failover.root / "1.conf").write_text("edited\n")
    (pair.failover.root / "2.conf").unlink()
    (pair.failover.root / "new.conf").write_text("new\n")
    for number in range(10, 20):
        (pair.production.root / f"{number}.conf").write_text("on its way\n")
    assert findings(verify(pair, expected=3)) == [
        ("1.conf", "failover", "edited"),
        ("2.conf", "failover", "deleted"),
        ("new.conf", "failover", "created"),
    ]


@pytest.mark.soak
def test_a_target_that_is_away_is_5(pair: Pair) -> None:
    pair.failover.stop()
    pair.wait_for(lambda stream: stream["state"] == "unreachable", "production noticed")
    assert verify(pair, expected=5)["outcome"] == "unreachable"


@pytest.mark.soak
def test_changes_go_on_while_a_slow_verification_reads(tmp_path: Path) -> None:
    # About 20 s of reading on failover: the stream must not wait for it.
    with equal_pair(tmp_path, domain='verify = "1s"\nverify_rate = "1MiB"\n') as pair:
        (pair.production.root / "large").write_bytes(os.urandom(20 << 20))
        pair.wait_synced()
        pair.wait_for(lambda stream: stream["verifying"], "failover reads")
        before = pair.production.stream()["last_verified"]
        for number in range(5):
            (pair.production.root / "fast.conf").write_text(f"{number}\n")
            pair.production.cli("wait", "--synced", "--timeout", "5s")
        assert (pair.failover.root / "fast.conf").read_text() == "4\n"
        stream = pair.production.stream()
        assert stream["verifying"]
        assert stream["last_verified"] == before


@pytest.mark.soak
def test_the_background_finds_tells_and_repairs_nothing(tmp_path: Path) -> None:
    with equal_pair(tmp_path, domain='verify = "1s"\n') as pair:
        pair.wait_for(lambda stream: stream["last_verified"], "it was verified by itself")
        assert pair.production.stream()["problems"] == []
        pair.failover.stop()
        rot(pair.failover, "7.conf", "node.db", "base")
        pair.failover.start()
        pair.wait_for(lambda stream: stream["problems"], "the rot was found by itself")
        assert pair.production.stream()["problems"][0]["path"] == "7.conf"
        pair.production.cli("status", check=3)
        wait_until(lambda: pair.production.raised("verify.failed"), 5.0, "the event was raised")
        assert (pair.failover.root / "7.conf").read_text().startswith("ROTTEN")
