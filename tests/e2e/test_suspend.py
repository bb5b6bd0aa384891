"""`syncer suspend` and `syncer resume`: one target or domain stops, nothing is lost, all others go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes with a second domain, `other`; starting them is most of what these tests cost."""
    with paired(tmp_path_factory.mktemp("suspend"), start=False) as found:
        for node in (found.production, found.failover):
            (node.folder / "other").mkdir()
            with node.config.open("a") as writer:
                writer.write(f'\n[domains.other]\npath = "{node.folder / "other"}"\n')
        found.failover.stop()
        (found.production.root / "main.conf").write_text("one\n")
        (found.production.folder / "other" / "main.conf").write_text("one\n")
        found.start()
        found.wait_synced()
        yield found


@pytest.fixture
def pair(shared: Pair) -> Pair:
    """The nodes, running, equal and not suspended, whatever the test before has left; names are each test's own."""
    shared.start()
    shared.production.cli("resume", TARGET, check=False)
    shared.wait_equal()
    (shared.production.root / "main.conf").write_text("one\n")
    shared.wait_equal()
    return shared


def failures(pair: Pair) -> list[dict[str, Any]]:
    events = pair.production.json("events", "--event", "sync")["events"]
    return [event for event in events if not event["variables"]["success"]]


def test_suspend_and_resume_lose_nothing_and_stop_nothing_else(pair: Pair) -> None:
    full = pair.production.stream()["last_full"]
    result = pair.production.json("suspend", TARGET, "--domain", DOMAIN, "--reason", "disks are changed")
    assert deviations(examples()["suspend"], result) == []
    (pair.production.root / "main.conf").write_text("two\n")
    (pair.production.root / "first.conf").write_text("x\n")
    (pair.production.folder / "other" / "first").write_text("x\n")
    wait_until((pair.failover.folder / "other" / "first").exists, 60, "the other domain went on")
    pair.wait_for(lambda stream: stream["changes_behind"] >= 2, "the changes were captured")
    stream = pair.production.stream()
    assert stream["state"] == "suspended"
    assert "(disks are changed): continue with `syncer resume dr-a --domain tree`" in stream["reason"]
    assert (stream["suspension"]["reason"], stream["suspension"]["until"]) == ("disks are changed", None)
    assert (pair.failover.root / "main.conf").read_text() == "one\n"
    refused = pair.production.json("snapshot", "--domain", DOMAIN, expected=(4,))["targets"][0]["domains"][0]
    assert (refused["outcome"], "`syncer resume dr-a" in refused["error"]) == ("refused", True)
    # Durable, and without an agent in force as well.
    pair.production.kill()
    pair.production.cli("snapshot", "--domain", DOMAIN, check=4)
    pair.production.start()
    pair.wait_for(lambda stream: stream["state"] == "suspended", "it is suspended still")
    pair.production.cli("status", check=4)
    resumed = pair.production.json("resume", TARGET)
    assert [item["domain"] for item in resumed["resumed"]] == [DOMAIN]
    pair.wait_equal()
    # It went on at the cursor.
    assert pair.production.stream()["last_full"] == full
    names = [event["event"] for event in pair.production.json("events")["events"]]
    assert "target.suspended" in names
    assert names[-1] != "target.suspended"


@pytest.mark.soak
def test_a_whole_target_stops_and_one_domain_of_it_can_be_resumed(pair: Pair) -> None:
    pair.production.cli("suspend", TARGET)
    (pair.production.root / "second.conf").write_text("x\n")
    (pair.production.folder / "other" / "second").write_text("x\n")
    wait_until(lambda: pair.production.stream()["changes_behind"], 60, "it was captured")
    wait_until(lambda: pair.production.stream(domain="other")["changes_behind"], 60, "it was captured")
    pair.production.cli("resume", "--domain", DOMAIN)
    pair.wait_equal()
    assert pair.production.stream(domain="other")["state"] == "suspended"
    assert not (pair.failover.folder / "other" / "second").exists()
    pair.production.cli("resume", TARGET)
    wait_until((pair.failover.folder / "other" / "second").exists, 60, "the other domain went on")
    assert "nothing was suspended" in pair.production.cli("resume", TARGET).stdout


@pytest.mark.soak
def test_a_suspension_for_a_while_ends_by_itself(pair: Pair) -> None:
    pair.production.cli("suspend", TARGET, "--for", "6s")
    (pair.production.root / "third.conf").write_text("x\n")
    pair.wait_for(lambda stream: stream["changes_behind"] and stream["suspension"]["until"], "it was kept back")
    pair.wait_equal()
    assert pair.production.stream()["suspension"] is None


def test_a_suspension_for_a_while_lasts_and_ends_over_restarts(pair: Pair) -> None:
    production = pair.production
    before = len(production.raised("target.behind")), len(failures(pair))
    production.cli("suspend", TARGET, "--for", "8s")
    began = time.monotonic()
    production.kill()
    production.start()
    (production.root / "restarted.conf").write_text("x\n")
    pair.wait_for(lambda stream: stream["changes_behind"], "the change was captured")
    if time.monotonic() - began < 6:
        assert not (pair.failover.root / "restarted.conf").exists()
        assert production.stream()["suspension"]["until"]
    pair.wait_equal()
    assert time.monotonic() - began > 7
    assert production.stream()["suspension"] is None
    # Also one that ends while no agent runs.
    production.cli("suspend", TARGET, "--for", "1s")
    production.kill()
    ends = time.monotonic() + 1
    (production.root / "stopped.conf").write_text("x\n")
    wait_until(lambda: time.monotonic() > ends, 20, "its time was over")
    production.start()
    pair.wait_equal()
    assert (len(production.raised("target.behind")), len(failures(pair))) == before


@pytest.mark.soak
def test_a_suspended_target_that_is_switched_off_is_no_alarm(pair: Pair) -> None:
    pair.production.cli("suspend", TARGET, "--for", "1h")
    before = failures(pair)
    pair.failover.kill()
    wait_until(lambda: not pair.production.status()["targets"][0]["round_trip_seconds"], 60, "production noticed")
    assert pair.production.stream()["state"] == "suspended"
    (pair.production.root / "fourth.conf").write_text("x\n")
    pair.failover.start()
    pair.wait_for(lambda stream: stream["changes_behind"], "it was captured")
    pair.production.cli("resume", TARGET)
    pair.wait_equal()
    assert failures(pair) == before


def test_what_cannot_be_suspended_is_refused(pair: Pair) -> None:
    assert "there is no target 'nobody'" in pair.production.cli("suspend", "nobody", check=2).stderr
    assert (
        "there is no domain 'nothing'" in pair.production.cli("suspend", TARGET, "--domain", "nothing", check=2).stderr
    )
    assert "must last" in pair.production.cli("suspend", TARGET, "--for", "0", check=2).stderr
    assert "works on the production node" in pair.failover.cli("suspend", TARGET, check=4).stderr
    assert "say what to resume" in pair.production.cli("resume", check=2).stderr
    assert pair.production.stream()["state"] == "streaming"
