"""`syncer history` and `syncer rollback` on two real nodes, with the agent running and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two equal nodes, after two synchronizations; failover's agent does not run."""
    with paired(tmp_path, target='automatic = false\ntimeout = "60s"\n') as found:
        (found.production.root / "main.conf").write_text("first\n")
        (found.production.root / "gone.conf").write_text("it comes back\n")
        found.production.cli("snapshot")
        (found.production.root / "main.conf").write_text("second\n")
        (found.production.root / "gone.conf").unlink()
        (found.production.root / "new.conf").write_text("new\n")
        found.production.cli("snapshot")
        found.failover.stop()
        yield found


@pytest.mark.parametrize(
    "running", [pytest.param(True, id="with agent"), pytest.param(False, id="without agent", marks=pytest.mark.soak)]
)
def test_a_rollback_brings_back_what_was_and_stays_until_resumed(pair: Pair, running: bool) -> None:
    failover, root = pair.failover, pair.failover.root
    if running:
        failover.start()
    shown = failover.json("history", DOMAIN, "2")
    assert deviations(examples()["history"], shown) == []
    [domain] = shown["domains"]
    assert (domain["generation"], domain["oldest_reachable"]) == (2, 0)
    assert {item["path"]: item["before"] is None for item in shown["paths"] if item["path"] != "."} == {
        "gone.conf": False,
        "main.conf": False,
        "new.conf": True,
    }
    planned = failover.json("rollback", DOMAIN, "1", "--dry-run", expected=(3,))
    assert deviations(examples()["rollback"], planned) == []
    assert {item["path"]: item["action"] for item in planned["plan"] if item["path"] != "."} == {
        "gone.conf": "create",
        "main.conf": "update",
        "new.conf": "delete",
    }
    assert "give --yes" in failover.cli("rollback", DOMAIN, "1", check=4).stderr
    assert (root / "main.conf").read_text() == "second\n"
    done = failover.json("rollback", DOMAIN, "1", "--yes")
    assert deviations(examples()["rollback"], done) == []
    assert (root / "main.conf").read_text() == "first\n"
    assert (root / "gone.conf").read_text() == "it comes back\n"
    assert not (root / "new.conf").exists()
    if not running:
        failover.start()
    state = failover.status()["domains"][0]
    assert state["state"] == "unavailable"
    assert "was rolled back to generation 1" in state["reason"]
    (pair.production.root / "main.conf").write_text("third\n")
    wait_until(lambda: "syncer resume" in pair.production.stream()["reason"], 60, "production shows why it waits")
    refused = pair.production.json("snapshot", TARGET, expected=(4,))
    assert "syncer resume" in refused["targets"][0]["domains"][0]["error"]
    assert (root / "main.conf").read_text() == "first\n"


@pytest.mark.soak
def test_what_cannot_be_is_refused_with_the_cure(pair: Pair) -> None:
    assert (
        "run `syncer rollback` on the failover server" in pair.production.cli("rollback", DOMAIN, "1", check=4).stderr
    )
    assert "run `syncer history` on the failover server" in pair.production.cli("history", check=4).stderr
    assert "there is no domain 'nobody'" in pair.failover.cli("history", "nobody", check=2).stderr
    assert "has no generation 77" in pair.failover.cli("history", DOMAIN, "77", check=2).stderr
    assert "only those from 0 to 1 are kept" in pair.failover.cli("rollback", DOMAIN, "77", check=4).stderr


def test_the_agent_takes_in_by_itself(pair: Pair) -> None:
    pair.failover.start()

    def newest() -> bool:
        return bool(pair.failover.json("history")["domains"][0]["generations"][0]["taken_in"])

    wait_until(newest, 60, "what was displaced was taken in")
    assert pair.failover.json("history")["domains"][0]["kept_bytes"] > 0


def test_production_hears_of_a_rollback_at_once_and_one_resume_ends_it(pair: Pair) -> None:
    pair.failover.start()
    wait_until(lambda: pair.production.stream()["state"] != "unreachable", 60, "production reaches it")
    pair.failover.cli("rollback", DOMAIN, "1", "--yes")
    # Well below `timeout` (60 s): the stream is ended with its reason, not left to be missed.
    wait_until(lambda: "syncer resume" in pair.production.stream()["reason"], 30, "production shows why it waits")
    done = pair.production.json("resume", TARGET, "--yes")
    assert [target["name"] for target in done["rolled_back"]] == [TARGET]
    pair.wait_equal()
    assert (pair.failover.root / "main.conf").read_text() == "second\n"
    assert pair.production.json("resume", TARGET)["rolled_back"] == []
