"""Edits made on failover, with real nodes: noticed on both, never syncer's own, and what each policy does with them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, Pair, paired, wait_until

NOTICED_SECONDS = 3.0
"""A promise of the documentation, to which comes what a busy machine takes; a scan would find it in an hour."""
SLACK_SECONDS = 20.0


@contextlib.contextmanager
def edited_pair(folder: Path, **options: Any) -> Iterator[Pair]:
    """Two running, equal nodes with a few files."""
    with paired(folder, start=False, **options) as pair:
        (pair.production.root / "sites").mkdir()
        for name in ("main.conf", "sites/a.conf", "sites/b.conf", "gone.conf"):
            (pair.production.root / name).write_text(f"# {name}\n")
        pair.production.start()
        pair.wait_synced()
        yield pair


def drift(pair: Pair) -> dict[str, str]:
    """Return what failover says was edited there: path → what."""
    result = pair.failover.json("drift", expected=None)
    assert deviations(examples()["drift"], result) == []
    return {item["path"]: item["what"] for item in result["domains"][0]["paths"]}


def edit(root: Path) -> dict[str, str]:
    """Edit a failover tree in every way; return what must be noticed."""
    (root / "main.conf").write_text("edited here\n")
    (root / "gone.conf").unlink()
    (root / "new").mkdir()
    (root / "new" / "file").write_text("created here\n")
    (root / "sites" / "a.conf").chmod(0o600)
    (root / "sites" / "b.conf").unlink()
    (root / "sites" / "b.conf").symlink_to("a.conf")
    return {
        "main.conf": "edited",
        "gone.conf": "deleted",
        "new": "created",
        "new/file": "created",
        "sites/a.conf": "metadata",
        "sites/b.conf": "replaced",
    }


def test_edits_are_noticed_in_time_and_shown_on_both_nodes(tmp_path: Path) -> None:
    with edited_pair(tmp_path) as pair:
        assert pair.failover.cli("drift").returncode == 0
        expected = edit(pair.failover.root)
        wait_until(
            lambda: pair.production.stream()["drift"] == len(expected),
            NOTICED_SECONDS + SLACK_SECONDS,
            "production heard of every edit",
        )
        # A file that was replaced may be seen first as one that is gone.
        wait_until(lambda: drift(pair) == expected, SLACK_SECONDS, "each was told as what it is")
        [domain] = pair.failover.status()["domains"]
        assert (domain["drift"]["count"], domain["drift"]["policy"]) == (len(expected), "report")
        assert pair.failover.status()["exit_code"] == 3
        assert pair.production.status()["exit_code"] == 3
        assert (
            "edited here: each stays until production changes its path" in pair.failover.cli("status", check=3).stdout
        )
        assert "6 paths edited there" in pair.production.cli("status", check=3).stdout
        # Reported means kept: nothing was put back by itself.
        assert (pair.failover.root / "main.conf").read_text() == "edited here\n"
        assert pair.failover.told("drift.detected")
        pair.production.cli("snapshot")
        pair.wait_equal()
        wait_until(lambda: drift(pair) == {}, SLACK_SECONDS, "the drift was over")
        pair.wait_for(lambda stream: stream["drift"] == 0, "production heard that it was over")


@pytest.mark.soak
def test_drift_survives_a_restart_and_is_found_by_the_scan_at_the_start(tmp_path: Path) -> None:
    with edited_pair(tmp_path) as pair:
        assert pair.failover.stop() == 0
        expected = edit(pair.failover.root)
        # Without an agent the command looks itself.
        assert drift(pair) == expected
        (pair.failover.root / "main.conf").write_text("# main.conf\n")
        pair.failover.start()
        # Other times are left of it.
        expected["main.conf"] = "metadata"
        wait_until(lambda: drift(pair) == expected, SLACK_SECONDS, "the scan at the start found it")
        assert len(pair.failover.raised("drift.detected")) == 1
        # What is known already is told no second time.
        assert pair.failover.stop() == 0
        pair.failover.start()
        pair.wait_for(lambda stream: stream["drift"] == len(expected), "production heard it from the new agent")
        assert len(pair.failover.raised("drift.detected")) == 1


@pytest.mark.soak
def test_production_wins_at_its_next_change_and_the_rest_stays(tmp_path: Path) -> None:
    with edited_pair(tmp_path) as pair:
        edit(pair.failover.root)
        wait_until(lambda: len(drift(pair)) == 6, SLACK_SECONDS, "the edits were noticed")
        (pair.production.root / "main.conf").write_text("production's next\n")
        pair.wait_synced()
        assert (pair.failover.root / "main.conf").read_text() == "production's next\n"
        wait_until(lambda: "main.conf" not in drift(pair), SLACK_SECONDS, "it is as production's again")
        assert (pair.failover.root / "new" / "file").exists()
        assert len(drift(pair)) == 5


def test_what_syncer_applies_is_never_drift(tmp_path: Path) -> None:
    with edited_pair(tmp_path) as pair:
        root = pair.production.root
        # The drift of one file of ours shows that it is watched at all, before and behind the changes.
        (pair.failover.root / "mine").write_text("x")
        wait_until(lambda: drift(pair) == {"mine": "created"}, SLACK_SECONDS, "it is watched")
        for number in range(2000):
            directory = root / f"d{number % 20}"
            directory.mkdir(exist_ok=True)
            (directory / f"{number}.conf").write_text(f"{number}\n")
        pair.production.cli("wait", "--synced", "--timeout", "60s")
        for number in range(0, 2000, 2):
            (root / f"d{number % 20}" / f"{number}.conf").write_text(f"{number} again\n")
        os.rename(root / "d3", root / "e3")
        for number in range(5, 2000, 20):
            (root / "d5" / f"{number}.conf").unlink()
        pair.production.cli("wait", "--synced", "--timeout", "60s")
        (pair.failover.root / "mine").unlink()
        wait_until(lambda: drift(pair) == {}, SLACK_SECONDS, "everything of before was looked at")
        # A directory's time alone, moved by our own file, is no drift; only a full synchronization puts it back.
        pair.production.cli("snapshot")
        pair.wait_equal()
        assert len(pair.failover.raised("drift.detected")) == 1


@pytest.mark.soak
def test_restore_puts_edits_back_at_once(tmp_path: Path) -> None:
    with edited_pair(tmp_path, domain='drift = "restore"\n') as pair:
        edit(pair.failover.root)
        pair.wait_equal()
        wait_until(lambda: drift(pair) == {}, SLACK_SECONDS, "the drift was over")
        # Again, and one of the same paths: it is put back, only not as fast.
        (pair.failover.root / "main.conf").write_text("edited once more\n")
        pair.wait_equal()


@pytest.mark.soak
def test_restore_waits_for_production_to_be_there(tmp_path: Path) -> None:
    with edited_pair(tmp_path, domain='drift = "restore"\n') as pair:
        assert pair.production.stop() == 0
        (pair.failover.root / "main.conf").write_text("edited while alone\n")
        wait_until(lambda: drift(pair) == {"main.conf": "edited"}, SLACK_SECONDS, "it was noticed")
        assert (pair.failover.root / "main.conf").read_text() == "edited while alone\n"
        pair.production.start()
        pair.wait_equal()


@pytest.mark.soak
def test_ignore_neither_looks_nor_tells_and_full_is_exact(tmp_path: Path) -> None:
    with edited_pair(tmp_path, domain='drift = "ignore"\n') as pair:
        edit(pair.failover.root)
        (pair.production.root / "later.conf").write_text("later\n")
        pair.wait_synced()
        assert drift(pair) == {}
        assert pair.production.stream()["drift"] == 0
        assert (pair.failover.root / "main.conf").read_text() == "edited here\n"
        pair.production.cli("snapshot")
        pair.wait_equal()


@pytest.mark.soak
@pytest.mark.parametrize("arguments", [("drift", "nothing"), ("drift", DOMAIN)], ids=["unknown", "known"])
def test_drift_of_one_domain(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with edited_pair(tmp_path) as pair:
        if arguments[1] == DOMAIN:
            assert pair.failover.json(*arguments)["domains"][0]["name"] == DOMAIN
            assert "run it there" in pair.production.cli("drift", check=4).stderr
        else:
            assert "there is no domain" in pair.failover.cli(*arguments, check=2).stderr


@pytest.mark.soak
def test_a_root_that_goes_away_on_failover_is_no_drift(tmp_path: Path) -> None:
    with edited_pair(tmp_path) as pair:
        root = pair.failover.root
        root.rename(root.with_name("aside"))
        pair.wait_for(lambda stream: stream["state"] == "suspended", "production heard that the root is gone")
        assert drift(pair) == {}
        root.with_name("aside").rename(root)
        (root / "main.conf").write_text("edited\n")
        wait_until(lambda: drift(pair) == {"main.conf": "edited"}, 15.0, "it is watched again")
