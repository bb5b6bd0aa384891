"""What must not fail quietly, between real agents: suspension by failures, targets behind, production silent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, paired, wait_until

BALLAST = "ballast"
PEER_TIMEOUT = 2.0
LOOKS = 2.0
"""Seconds that an alarm may come after its time: a look each second, and the journal's gathering."""


def failing(pair: Pair, text: str) -> None:
    """Have production treat failures as `text` says, instead of the harness's own."""
    config = pair.production.config
    config.write_text(re.sub(r"on_failure = .*", f"on_failure = {{ {text} }}", config.read_text()))


def failures(node: Node) -> list[dict[str, Any]]:
    return [event for event in node.raised("sync") if not event["success"]]


@contextlib.contextmanager
def filled(folder: Path, on_failure: str) -> Iterator[Pair]:
    """Run a pair with a second domain, whose failover keeps the first on a tmpfs that has no room any more."""
    root = folder / "failover" / "root"
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", root], check=True)
    try:
        with paired(folder, start=False, domain=f'exclude = ["{BALLAST}"]\n') as pair:
            failing(pair, on_failure)
            pair.failover.stop()
            for node in (pair.production, pair.failover):
                (node.folder / "other").mkdir()
                with node.config.open("a") as writer:
                    writer.write(f'\n[domains.other]\npath = "{node.folder / "other"}"\n')
            (pair.production.root / "small").write_text("one\n")
            (pair.production.folder / "other" / "small").write_text("one\n")
            pair.start()
            pair.wait_synced()
            with (root / BALLAST).open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(65536))
            yield pair
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def lacks(failover: Node) -> int:
    """Return how many changes failover knows to lack."""
    [found] = [item for item in failover.status()["production"]["domains"] if item["name"] == DOMAIN]
    return int(found["changes_behind"])


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_failures_suspend_one_domain_which_is_probed_until_it_goes_on(tmp_path: Path) -> None:
    with filled(tmp_path, 'suspend_after = 3, retry = "50ms..1s"') as pair:
        full = pair.production.stream()["last_full"]
        (pair.production.root / "large").write_bytes(b"x" * 1_000_000)
        pair.wait_for(lambda stream: stream["failing"], "it was suspended")
        stream = pair.production.stream()
        assert (stream["state"], stream["failing"]["class"], stream["failing"]["failures"]) == (
            "suspended", "disk full", 3,
        )  # fmt: skip  # as the state reads
        assert "suspended after 3 failures in a row (disk full: " in stream["reason"]
        assert "free space there; it is tried again every 1 s by itself" in stream["reason"]
        pair.production.cli("status", check=4)
        assert [event["error_class"] for event in failures(pair.production)][:3] == ["disk full"] * 3
        # All others go on.
        (pair.production.folder / "other" / "more").write_text("x\n")
        wait_until((pair.failover.folder / "other" / "more").exists, 60, "the other domain went on")
        assert pair.production.stream(domain="other")["failing"] is None
        # The connection stays, so that failover knows what it lacks.
        wait_until(lambda: lacks(pair.failover) >= 1, 60, "a heartbeat said what failover lacks")
        assert stream["bytes_behind"] >= 1_000_000
        # Half-open: what changes meanwhile makes no attempt of its own, only time does.
        before = len(failures(pair.production))
        began = time.monotonic()
        for number in range(50):
            (pair.production.root / "small").write_text(f"{number}\n")
        wait_until(lambda: len(failures(pair.production)) >= before + 2, 60, "it was probed twice")
        assert len(failures(pair.production)) - before <= time.monotonic() - began + 2
        (pair.failover.root / BALLAST).unlink()
        pair.wait_equal()
        wait_until(lambda: pair.production.raised("target.resumed"), 60, "the end was told")
        stream = pair.production.stream()
        assert (stream["failing"], stream["last_full"]) == (None, full)
        for name in ("target.suspended", "target.resumed"):
            [event] = pair.production.raised(name)
            assert (event["target"], event["domain"]) == (TARGET, DOMAIN)
            assert "disk full" in event["reason"]


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_without_probes_a_suspension_waits_for_a_person_over_restarts(tmp_path: Path) -> None:
    with filled(tmp_path, 'suspend_after = 2, retry = "50ms..200ms", probe = false') as pair:
        full = pair.production.stream()["last_full"]
        (pair.production.root / "large").write_bytes(b"x" * 1_000_000)
        pair.wait_for(lambda stream: stream["failing"], "it was suspended")
        wait_until(lambda: pair.production.raised("target.suspended"), 60, "that was told")
        pair.production.kill()
        (pair.failover.root / BALLAST).unlink()
        pair.production.cli("status", check=5)
        pair.production.start()
        (pair.production.folder / "other" / "more").write_text("x\n")
        (pair.production.root / "later").write_text("x\n")
        wait_until((pair.failover.folder / "other" / "more").exists, 60, "the other domain went on")
        pair.wait_for(lambda stream: stream["changes_behind"] >= 2, "the change was captured")
        stream = pair.production.stream()
        assert stream["state"] == "suspended"
        assert stream["reason"].endswith(f"free space there; then `syncer resume {TARGET} --domain {DOMAIN}`")
        assert len(failures(pair.production)) == 2
        assert not (pair.failover.root / "later").exists()
        result = pair.production.json("resume", TARGET)
        assert deviations(examples()["resume"], result) == []
        place = {"target": TARGET, "domain": DOMAIN, "reason": "2 failures in a row (disk full)"}
        assert result["resumed"] == [{**place, "first_attempt": "arrived", "error": ""}]
        pair.wait_equal()
        assert pair.production.stream()["last_full"] == full
        # It is over for good.
        pair.production.kill()
        pair.production.start()
        pair.wait_for(lambda stream: stream["state"] == "streaming", "it streams again")


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_a_resumption_that_fails_again_is_told_as_such_and_not_as_the_end(tmp_path: Path) -> None:
    with filled(tmp_path, 'suspend_after = 2, retry = "50ms..200ms", probe = false') as pair:
        production = pair.production
        (production.root / "large").write_bytes(b"x" * 1_000_000)
        pair.wait_for(lambda stream: stream["failing"], "it was suspended")
        wait_until(lambda: production.raised("target.suspended"), 20, "that was told")
        # What had failed before is not known any more after a restart: it is tried, as if nothing had been wrong.
        production.kill()
        production.start()
        pair.wait_for(lambda stream: stream["failing"] and stream["cursor_seq"], "it is suspended still")
        wait_until(lambda: connected(pair), 20, "production is connected again")
        wait_until(lambda: len(production.raised("target.suspended")) == 2, 20, "that was told")
        said = production.cli("resume", TARGET, check=False)
        assert said.returncode in (1, 4), said
        assert said.stdout.startswith(f"{TARGET} {DOMAIN}: tried again, and failed again: write failed at 'large'")
        assert ": resumed" not in said.stdout
        # Suspended again, which is news; never over.
        wait_until(lambda: len(production.raised("target.suspended")) == 3, 20, "it was suspended again")
        assert production.raised("target.resumed") == []
        (pair.failover.root / BALLAST).unlink()
        assert production.cli("resume", TARGET).stdout == f"{TARGET} {DOMAIN}: resumed: it arrives again\n"
        pair.wait_equal()
        wait_until(lambda: production.raised("target.resumed"), 20, "the end was told")


@pytest.mark.serial
@pytest.mark.needs_root
@pytest.mark.needs("mount", "umount")
def test_guarantee_11_reloads_in_a_loop_hold_no_suspension_off(tmp_path: Path) -> None:
    # Only a stream that is built anew tries again before a minute has passed.
    with filled(tmp_path, 'suspend_after = 3, retry = "60s..60s", probe = false') as pair:
        production = pair.production
        (production.root / "large").write_bytes(b"x" * 1_000_000)
        for number in range(1, 3):
            wait_until(lambda: len(failures(production)) == number, 20, "it has failed")  # noqa: B023  # called within the loop
            assert production.stream()["failing"] is None
            failing(pair, f'suspend_after = 3, retry = "60s..{60 + number}s", probe = false')
            os.kill(production.pid, signal.SIGHUP)
        pair.wait_for(lambda stream: stream["failing"], "it was suspended")
        assert production.stream()["failing"]["failures"] == 3


@pytest.mark.soak
def test_guarantee_11_a_frozen_production_is_told_on_failover(tmp_path: Path) -> None:
    with paired(tmp_path, node=f'peer_timeout = "{PEER_TIMEOUT:g}s"\n') as pair:
        (pair.production.root / "file").write_text("one\n")
        pair.wait_synced()
        # A machine that starts production slowly is told of it, too.
        wait_until(lambda: not pair.failover.status()["alarms"], 60, "production was heard")
        before = len(pair.failover.raised("peer.silent"))
        frozen_at = time.monotonic()
        pair.production.pause()
        wait_until(lambda: pair.failover.status()["alarms"], 60, "failover noticed")
        assert time.monotonic() - frozen_at < PEER_TIMEOUT + LOOKS
        silent = pair.failover.raised("peer.silent")[-1]
        assert (silent["peer"], silent["ever_heard"]) == ("prod-a", True)
        assert PEER_TIMEOUT < silent["seconds"] < PEER_TIMEOUT + LOOKS
        shown = pair.failover.cli("status", check=5).stdout
        assert shown.startswith("taking over now would lose nothing that is known here, as of ")
        pair.production.resume()
        wait_until(lambda: len(pair.failover.raised("peer.heard")) == before + 1, 60, "it was heard again")
        assert pair.failover.raised("peer.heard")[-1]["peer"] == "prod-a"
        assert pair.failover.status()["alarms"] == []
        assert len(pair.failover.raised("peer.silent")) == before + 1


@pytest.mark.soak
def test_guarantee_11_a_production_that_never_comes_is_told_once_also_over_a_restart(tmp_path: Path) -> None:
    with paired(tmp_path, start=False, node=f'peer_timeout = "{PEER_TIMEOUT:g}s"\n') as pair:
        wait_until(lambda: pair.failover.raised("peer.silent"), 60, "failover noticed")
        [silent] = pair.failover.raised("peer.silent")
        assert (silent["peer"], silent["ever_heard"]) == ("prod-a", False)
        assert pair.failover.cli("status", check=5).stdout.startswith("what taking over now would lose is unknown")
        pair.failover.stop()
        pair.failover.start()
        assert [alarm["event"] for alarm in pair.failover.status()["alarms"]] == ["peer.silent"]
        pair.production.start()
        wait_until(lambda: pair.failover.raised("peer.heard"), 60, "production was heard")
        assert len(pair.failover.raised("peer.silent")) == 1
        assert pair.failover.status()["alarms"] == []


@pytest.mark.soak
def test_guarantee_11_a_target_that_is_behind_is_told_once_and_when_it_has_caught_up(tmp_path: Path) -> None:
    with paired(tmp_path, node='behind_after = "1s"\n') as pair:
        (pair.production.root / "first").write_text("one\n")
        pair.wait_synced()
        pair.failover.kill()
        for name in ("second", "third"):
            (pair.production.root / name).write_text("two\n")
        wait_until(lambda: pair.production.raised("target.behind"), 60, "it was told")
        [behind] = pair.production.raised("target.behind")
        assert (behind["target"], behind["domain"], behind["state"]) == (TARGET, DOMAIN, "unreachable")
        assert behind["changes"] >= 2
        assert behind["oldest_seconds"] > 1.0
        assert behind["reason"]
        # The root's own time has changed, too.
        assert re.match(
            r"failing over to dr-a now would lose [23] changes in tree, the oldest .* old \(unreachable",
            pair.production.cli("status", check=5).stdout,
        )
        pair.production.kill()
        pair.production.start()
        pair.failover.start()
        pair.wait_equal()
        wait_until(lambda: pair.production.raised("target.caught_up"), 60, "its end was told")
        assert len(pair.production.raised("target.behind")) == 1
        assert pair.production.status()["alarms"] == []


@pytest.mark.soak
def test_guarantee_11_failover_is_told_how_many_paths_it_lacks_not_how_often_they_changed(tmp_path: Path) -> None:
    with paired(tmp_path) as pair:
        (pair.production.root / "first").write_text("one\n")
        pair.wait_synced()
        pair.production.cli("suspend", TARGET)
        for number in range(5):
            behind = pair.production.status()["domains"][0]["head_seq"]
            (pair.production.root / "first").write_text(f"{number}\n")
            wait_until(lambda: pair.production.status()["domains"][0]["head_seq"] > behind, 60, "it was captured")  # noqa: B023  # called within the loop
        assert pair.production.stream()["changes_behind"] == 1

        def told() -> Any:
            return pair.failover.status()["production"]["domains"][0]["changes_behind"]

        wait_until(lambda: told() == 1, 60, "failover was told the same")
        shown = pair.failover.cli("status", check=0).stdout
        assert shown.startswith("taking over now would lose at least 1 change in tree, the oldest ")


@pytest.mark.soak
def test_guarantee_11_a_suspension_for_a_while_raises_no_alarm_and_ends_by_itself(tmp_path: Path) -> None:
    with paired(tmp_path, node='behind_after = "2s"\n') as pair:
        (pair.production.root / "first").write_text("one\n")
        pair.wait_synced()
        pair.production.cli("suspend", TARGET, "--for", "10s")
        (pair.production.root / "second").write_text("two\n")
        pair.failover.kill()
        wait_until(lambda: not connected(pair), 60, "production noticed")
        pair.failover.start()
        wait_until(lambda: connected(pair), 60, "production is connected again")
        pair.wait_for(lambda stream: (stream["oldest_seconds"] or 0) > 4, "it has waited for long")
        assert pair.production.stream()["state"] == "suspended"
        pair.wait_equal()
        assert pair.production.stream()["suspension"] is None
        names = {event["event"] for event in pair.production.json("events")["events"]}
        assert not names & {"target.behind", "target.caught_up"}
        assert all(event["by_person"] for event in pair.production.raised("target.suspended"))
        assert failures(pair.production) == []


def connected(pair: Pair) -> bool:
    return pair.production.status()["targets"][0]["round_trip_seconds"] is not None


@pytest.mark.soak
def test_a_watched_status_is_one_document_a_line_until_ctrl_c(tmp_path: Path) -> None:
    with paired(tmp_path) as pair, (tmp_path / "watched").open("w+b") as output:
        watching = subprocess.Popen(
            pair.production._line("status", "--watch", "--json"), stdout=output, stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: len((tmp_path / "watched").read_bytes().splitlines()) >= 2, 60, "it was refreshed")
            watching.send_signal(signal.SIGINT)
            _, said = watching.communicate(timeout=20)
        finally:
            watching.kill()
            watching.wait()
        assert (watching.returncode, said) == (0, b"")
        for line in (tmp_path / "watched").read_bytes().splitlines():
            assert deviations(examples()["status"], json.loads(line)) == []
