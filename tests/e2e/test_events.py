"""The event journal of two real nodes: what happens is told, durable, and can be followed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, paired, wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path) as found:
        (found.production.root / "file").write_text("x")
        found.wait_synced()
        yield found


def events(node: Node, *arguments: str) -> list[dict[str, Any]]:
    found = node.json("events", *arguments)
    assert (
        deviations(examples()["events"] | {"events": [examples()["events"]["events"][0] | {"variables": None}]}, found)
        == []
    )
    return list(found["events"])


def variables(node: Node, name: str) -> list[dict[str, Any]]:
    return [event["variables"] for event in events(node, "--event", name)]


def test_pairing_and_the_first_synchronization_are_told(pair: Pair) -> None:
    [joined] = variables(pair.failover, "pairing.joined")
    assert (joined["node"], joined["peer"]) == (TARGET, "prod-a")
    # Joined without an agent: in the journal all the same.
    assert [event["peer"] for event in variables(pair.production, "pairing.joined")] == [TARGET]
    first = variables(pair.production, "sync")[0]
    assert (first["success"], first["kind"], first["target"], first["domain"]) == (True, "full", TARGET, DOMAIN)


def test_an_outage_is_told_with_its_failures_and_survives_a_kill(pair: Pair) -> None:
    pair.failover.kill()

    def failures() -> list[int]:
        return [event["consecutive_failures"] for event in variables(pair.production, "sync") if not event["success"]]

    wait_until(lambda: len(failures()) >= 3, 60, "three attempts had failed")
    before = failures()
    assert before == list(range(1, len(before) + 1))
    pair.production.kill()
    # Without an agent, too; and what was shown once is durable.
    assert failures()[: len(before)] == before
    assert pair.production.cli("events", "--follow", check=5).stderr.startswith("syncer: no agent is running")


def test_a_suspension_and_its_end_are_told_and_followed(pair: Pair) -> None:
    with (pair.production.folder / "followed").open("w+b") as output:
        follower = subprocess.Popen(
            pair.production._line(
                "events", "--follow", "--json", "--event", "target.suspended", "--event", "target.resumed"
            ),
            stdout=output,
            stderr=subprocess.PIPE,
        )

        def followed() -> list[dict[str, Any]]:
            return [json.loads(line) for line in (pair.production.folder / "followed").read_bytes().splitlines()]

        try:
            away = pair.production.root.with_name("away")
            pair.production.root.rename(away)
            wait_until(lambda: len(followed()) == 1, 60, "the suspension was told")
            away.rename(pair.production.root)
            wait_until(lambda: len(followed()) == 2, 60, "its end was told")
            follower.send_signal(signal.SIGINT)
            _, said = follower.communicate(timeout=20)
        finally:
            follower.kill()
            follower.wait()
    assert (follower.returncode, said) == (0, b"")
    suspended, resumed = followed()
    assert suspended["event"] == "target.suspended"
    assert "cannot be read" in suspended["variables"]["reason"]
    assert (resumed["event"], resumed["variables"]["target"]) == ("target.resumed", TARGET)


@pytest.mark.soak
def test_a_problem_comes_and_goes(pair: Pair) -> None:
    socket = pair.production.root / "pipe"
    subprocess.run(["mkfifo", str(socket)], check=True)
    wait_until(lambda: variables(pair.production, "problem"), 60, "the problem was told")
    assert variables(pair.production, "problem")[0]["path"] == "pipe"
    socket.unlink()
    wait_until(lambda: variables(pair.production, "problem.cleared"), 60, "its end was told")


@pytest.mark.soak
def test_a_wrong_token_is_told_and_an_unknown_event_is_a_usage_error(pair: Pair) -> None:
    token = pair.failover.json("invite")["token"]
    pair.production.cli("join", pair.address, token)
    pair.production.cli("join", pair.address, token, check=1)
    [refused] = variables(pair.failover, "pairing.refused")
    assert "used already" in refused["reason"]
    assert "there is no event 'nothing'" in pair.failover.cli("events", "--event", "nothing", check=2).stderr


def test_under_systemd_the_log_is_json_with_the_names_of_the_events(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        node = pair.production
        node.log.touch()
        found = node.log.stat()
        # What systemd sets for who writes to its journal: systemd.exec(5).
        node.start(environ={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        node.cli("wait", "--synced")
        told = events(node)
        pair.stop()
    lines = [json.loads(line) for line in node.log.read_text().splitlines()]
    assert all({"time", "level", "part", "message"} <= line.keys() for line in lines)
    logged = [(line["event"], line["variables"]) for line in lines if "event" in line]
    since = [(event["event"], event["variables"]) for event in told if event["event"] == "sync"]
    assert since
    assert all(event in logged for event in since)
