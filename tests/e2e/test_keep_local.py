"""Files that a failover node keeps as its own, with real nodes: neither written, overwritten nor deleted, ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import Pair, paired, wait_until

KEEP = "keep_local = ['local.conf', '/own/', 'pool/*.sock.conf', '!/own/not-this']\n"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Failover keeps some files; production has files of the same names."""
    with paired(tmp_path, start=False, domain=KEEP) as found:
        here, there = found.production.root, found.failover.root
        for root, text in ((here, "production's"), (there, "failover's own")):
            (root / "own").mkdir()
            (root / "dir").mkdir()
            (root / "own" / "a").write_text(text)
            (root / "dir" / "local.conf").write_text(text)
        (here / "local.conf").write_text("production's")
        (here / "dir" / "shared.conf").write_text("shared")
        (here / "main.conf").write_text("shared")
        (there / "own" / "only-here").write_text("failover's own")
        found.production.start()
        found.wait_synced()
        yield found


def outcome(pair: Pair, *arguments: str, expected: int | None = 0) -> dict[str, object]:
    result = pair.production.json("snapshot", *arguments, expected=None)
    assert deviations(examples()["snapshot"], result) == []
    [domain] = result["targets"][0]["domains"]
    assert expected is None or result["exit_code"] == expected, domain
    assert isinstance(domain, dict)
    return domain


def require_kept(pair: Pair) -> None:
    there = pair.failover.root
    assert (there / "own" / "a").read_text() == "failover's own"
    assert (there / "own" / "only-here").read_text() == "failover's own"
    assert (there / "dir" / "local.conf").read_text() == "failover's own"


@pytest.mark.soak
def test_the_first_synchronization_leaves_them_alone_without_asking(pair: Pair) -> None:
    require_kept(pair)
    assert not (pair.failover.root / "local.conf").exists()
    assert (pair.failover.root / "main.conf").read_text() == "shared"
    kept = pair.production.stream()["kept_local"]
    assert {"own/a", "dir/local.conf", "local.conf"} <= set(kept)
    assert pair.failover.status()["domains"][0]["kept_local"] == kept
    assert pair.failover.status()["exit_code"] == 0
    assert pair.production.status()["exit_code"] == 0
    assert "left alone by keep_local" in pair.production.cli("status").stdout


def test_a_full_synchronization_has_nothing_to_do_and_says_so(pair: Pair) -> None:
    generation = pair.production.stream()["generation"]
    for _ in range(2):
        assert outcome(pair)["outcome"] == "equal"
        assert outcome(pair, "--dry-run")["plan_total"] == 0
    assert pair.production.stream()["generation"] == generation
    # A service that rewrites its own file by a rename moves the directory's time, too.
    local = pair.failover.root / "dir" / "local.conf"
    local.with_name("local.conf.new").write_text("failover's own")
    local.with_name("local.conf.new").rename(local)
    assert outcome(pair)["outcome"] == "equal"
    assert pair.failover.cli("drift").returncode == 0
    require_kept(pair)


def test_partial_changes_and_deletions_leave_them_alone(pair: Pair) -> None:
    here, there = pair.production.root, pair.failover.root
    (here / "own" / "a").write_text("production's next")
    (here / "own" / "b").write_text("production's new")
    (here / "local.conf").write_text("production's next")
    (here / "main.conf").write_text("shared next")
    pair.wait_synced()
    assert (there / "main.conf").read_text() == "shared next"
    assert not (there / "own" / "b").exists()
    assert not (there / "local.conf").exists()
    require_kept(pair)
    for name in ("own/a", "own/b", "dir/local.conf", "dir/shared.conf", "local.conf"):
        (here / name).unlink()
    for name in ("own", "dir"):
        (here / name).rmdir()
    pair.wait_synced()
    assert not (there / "dir" / "shared.conf").exists()
    require_kept(pair)
    assert pair.production.stream()["problems"] == []
    assert outcome(pair)["outcome"] == "equal"
    require_kept(pair)
    assert pair.failover.cli("drift").returncode == 0
    # Production's directory comes again, and what is in it is as there.
    (here / "dir").mkdir()
    (here / "dir" / "shared.conf").write_text("shared again")
    pair.wait_synced()
    assert (there / "dir" / "shared.conf").read_text() == "shared again"
    require_kept(pair)


@pytest.mark.soak
def test_a_full_synchronization_deletes_round_them(pair: Pair) -> None:
    here, there = pair.production.root, pair.failover.root
    pair.production.stop()
    (there / "dir" / "edit").write_text("an edit")
    for name in ("own/a", "dir/local.conf", "dir/shared.conf"):
        (here / name).unlink()
    for name in ("own", "dir"):
        (here / name).rmdir()
    (pair.production.state / "index.db").unlink()
    pair.production.start()
    pair.wait_synced()
    assert not (there / "dir" / "edit").exists()
    require_kept(pair)
    assert outcome(pair)["outcome"] == "equal"


def test_edits_of_kept_files_are_no_drift(pair: Pair) -> None:
    there = pair.failover.root
    (there / "own" / "a").write_text("edited")
    (there / "own" / "new").write_text("new")
    (there / "dir" / "local.conf").unlink()
    (there / "main.conf").write_text("an edit that counts")
    wait_until(
        lambda: (
            [item["path"] for item in pair.failover.json("drift", expected=None)["domains"][0]["paths"]]
            == ["main.conf"]
        ),
        30.0,
        "the one edit that counts was noticed",
    )
    outcome(pair)
    assert (there / "own" / "a").read_text() == "edited"
    assert not (there / "dir" / "local.conf").exists()


def test_explain_on_failover_names_the_pattern(pair: Pair) -> None:
    result = pair.failover.json("explain", str(pair.failover.root / "own" / "a"))
    assert not result["synchronized"]
    assert "'/own/'" in result["reason"]
    assert pair.failover.json("explain", str(pair.failover.root / "main.conf"))["synchronized"]


@pytest.mark.soak
def test_a_pattern_that_is_removed_shows_as_drift_and_full_makes_it_exact(pair: Pair) -> None:
    pair.failover.stop()
    pair.failover.config.write_text(pair.failover.config.read_text().replace(KEEP, ""))
    pair.failover.start()
    wait_until(lambda: "own/a" in pair.failover.cli("drift", check=False).stdout, 60, "what differs is drift now")
    wait_until(lambda: outcome(pair, expected=None)["outcome"] in ("applied", "equal"), 60, "it is connected again")
    pair.wait_equal()
    assert pair.failover.status()["domains"][0]["kept_local"] == []
