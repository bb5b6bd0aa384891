"""`syncer hold`: what a command changes arrives as one transaction, or stays until somebody has looked."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until

FILES = 500


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes with a file; starting them is most of what these tests cost."""
    with paired(tmp_path_factory.mktemp("hold"), start=False) as found:
        (found.production.root / "main.conf").write_text("one\n")
        found.production.start()
        found.wait_synced()
        yield found


@pytest.fixture
def pair(shared: Pair) -> Pair:
    """The nodes, running, equal and not held, whatever the test before has left; each test uses names of its own."""
    shared.start()
    shared.production.cli("resume", TARGET, check=False)
    shared.wait_synced()
    shared.wait_equal()
    return shared


def generation(pair: Pair) -> int:
    [domain] = pair.failover.status()["domains"]
    return int(domain["generation"])


def is_held(pair: Pair, state: str) -> bool:
    [domain] = pair.production.status()["domains"]
    return state in [hold["state"] for hold in domain["holds"]]


def variables(pair: Pair, name: str) -> list[dict[str, Any]]:
    return [event["variables"] for event in pair.production.json("events", "--event", name)["events"]]


@contextlib.contextmanager
def holding(pair: Pair, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a hold beside the test; `words` as for a shell where there are none but a script."""
    line = pair.production._line("hold", DOMAIN, "--", *words)
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def waiting_line(pair: Pair, name: str) -> list[str]:
    """Return a command that writes a file, then ends with the exit code that it reads from its input."""
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('new\\n'); sys.exit(int(sys.stdin.readline()))"
    return [sys.executable, "-c", program, str(pair.production.root / name)]


def test_500_files_changed_slowly_arrive_in_one_transaction(pair: Pair) -> None:
    before, alarms = generation(pair), variables(pair, "target.suspended")
    known = pair.production.status()["domains"][0]["entries"]
    program = (
        "import sys, time, pathlib\n"
        "root = pathlib.Path(sys.argv[1])\n"
        f"for number in range({FILES}):\n"
        "    (root / f'{number}.conf').write_text('x' * number)\n"
        "    time.sleep(0.004)\n"
        "print(input(), flush=True)\n"
    )
    with holding(pair, sys.executable, "-c", program, str(pair.production.root)) as process:
        # Captured wholly, and yet nothing of it sent.
        wait_until(lambda: pair.production.status()["domains"][0]["entries"] == known + FILES, 60, "all was captured")
        assert not list(pair.failover.root.glob("[0-9]*.conf"))
        stream = pair.production.stream()
        assert (stream["state"], stream["changes_behind"] >= FILES) == ("suspended", True)
        assert f"held since {stream['reason'][11:34]} while `" in stream["reason"]
        assert generation(pair) == before
        out, error = process.communicate(b"its own output\n", timeout=60)
        assert (process.returncode, out, error) == (0, b"its own output\n", b"")
    pair.wait_synced()
    pair.wait_equal()
    assert generation(pair) == before + 1
    assert not is_held(pair, "active")
    # A hold that goes well is no alarm.
    assert variables(pair, "target.suspended") == alarms


@pytest.mark.parametrize(
    "resume",
    [pytest.param((TARGET,), id="target"), pytest.param(("--domain", DOMAIN), id="domain", marks=pytest.mark.soak)],
)
def test_a_failing_command_stays_held_until_somebody_looked(pair: Pair, resume: tuple[str, ...]) -> None:
    before = generation(pair)
    script = f"echo half > {pair.production.root}/half-{len(resume)}.conf; exit 7"
    done = pair.production.cli("hold", DOMAIN, "--", "sh", "-c", script, check=7)
    assert "stays held" in done.stderr
    (pair.production.root / f"later-{len(resume)}.conf").write_text("x")
    pair.wait_for(lambda stream: stream["changes_behind"] >= 2, "both changes were captured")
    stream = pair.production.stream()
    assert stream["state"] == "suspended"
    assert "which failed (exit 7): look at what it left, then `syncer resume dr-a`" in stream["reason"]
    assert generation(pair) == before
    status = pair.production.cli("status", check=4).stdout
    assert "which failed: exit 7" in status
    assert variables(pair, "hold.failed")[-1]["reason"] == "exit 7"
    # What it left can be looked at, and asked for it is refused.
    assert pair.production.json("diff", expected=(3,))["targets"][0]["domains"][0]["plan_total"] >= 2
    assert "which failed" in pair.production.json("snapshot", expected=(4,))["targets"][0]["domains"][0]["error"]
    result = pair.production.json("resume", *resume)
    assert deviations(examples()["resume"], result) == []
    assert [hold["detail"] for hold in result["holds"]] == ["exit 7"]
    pair.wait_equal()


@pytest.mark.parametrize("agent", ["running", pytest.param("killed", marks=pytest.mark.soak)])
def test_a_hold_process_that_is_killed_leaves_the_domain_held(pair: Pair, agent: str) -> None:
    name = f"{agent}.conf"
    with holding(pair, *waiting_line(pair, name)) as process:
        wait_until((pair.production.root / name).exists, 60, "the command ran")
        if agent == "killed":
            pair.production.kill()
        process.kill()
        process.wait()
        if agent == "killed":
            pair.production.start()
    wait_until(lambda: is_held(pair, "failed"), 60, "the agent noticed")
    assert "its process died" in pair.production.stream()["reason"]
    assert not (pair.failover.root / name).exists()
    pair.production.cli("resume", TARGET)
    pair.wait_equal()


def test_the_agent_killed_in_the_middle_changes_nothing(pair: Pair) -> None:
    before = generation(pair)
    with holding(pair, *waiting_line(pair, "a.conf")) as process:
        wait_until((pair.production.root / "a.conf").exists, 60, "the command ran")
        pair.production.kill()
        (pair.production.root / "meanwhile.conf").write_text("x")
        pair.production.start()
        pair.wait_for(lambda stream: stream["state"] == "suspended" and stream["changes_behind"] >= 2, "it held on")
        assert not (pair.failover.root / "a.conf").exists()
        assert not (pair.failover.root / "meanwhile.conf").exists()
        process.communicate(b"0\n", timeout=60)
        assert process.returncode == 0
    pair.wait_synced()
    pair.wait_equal()
    assert generation(pair) == before + 1


@pytest.mark.soak
def test_a_hold_that_ends_while_no_agent_runs_is_honoured_by_the_next(pair: Pair) -> None:
    before = generation(pair)
    with holding(pair, *waiting_line(pair, "b.conf")) as process:
        wait_until((pair.production.root / "b.conf").exists, 60, "the command ran")
        pair.production.kill()
        process.communicate(b"0\n", timeout=60)
        assert process.returncode == 0
    pair.production.start()
    pair.wait_synced()
    pair.wait_equal()
    assert generation(pair) == before + 1


@pytest.mark.soak
def test_a_hold_without_an_agent_is_honoured_by_one_that_starts(pair: Pair) -> None:
    pair.production.stop()
    with holding(pair, *waiting_line(pair, "c.conf")) as process:
        wait_until((pair.production.root / "c.conf").exists, 60, "the command ran")
        pair.production.start()
        pair.wait_for(lambda stream: "held since" in stream["reason"], "the hold was honoured")
        _, error = process.communicate(b"0\n", timeout=60)
        assert b"no agent is running" in error
    pair.wait_equal()


@pytest.mark.soak
def test_nested_and_concurrent_holds_add_up(pair: Pair) -> None:
    before = generation(pair)
    inner = pair.production._line("hold", DOMAIN, "--", "sh", "-c", f"echo $SYNCER_HOLD > {pair.production.root}/inner")
    with holding(pair, *waiting_line(pair, "other.conf")) as other, holding(pair, *inner) as outer:
        _, error = outer.communicate(timeout=60)
        assert outer.returncode == 0, error
        # The inner one's end and the outer one's: each says that others hold on.
        assert error.count(b"is still held by others") == 2
        assert not (pair.failover.root / "inner").exists()
        other.communicate(b"0\n", timeout=60)
        assert other.returncode == 0
    pair.wait_equal()
    assert len((pair.failover.root / "inner").read_text().split(",")) == 2
    assert generation(pair) == before + 1


@pytest.mark.soak
def test_one_of_several_that_fails_keeps_the_domain_held(pair: Pair) -> None:
    with holding(pair, *waiting_line(pair, "d.conf")) as good:
        wait_until((pair.production.root / "d.conf").exists, 60, "the command ran")
        pair.production.cli("hold", DOMAIN, "--", "false", check=1)
        # A resume ends what failed, never what still runs.
        assert "is still suspended" in pair.production.cli("resume", TARGET, check=4).stdout
        pair.production.cli("hold", DOMAIN, "--", "false", check=1)
        good.communicate(b"0\n", timeout=60)
    assert is_held(pair, "failed")
    assert not (pair.failover.root / "d.conf").exists()
    pair.production.cli("resume", "--domain", DOMAIN)
    pair.wait_equal()


def test_signals_reach_the_command_and_its_end_is_told(pair: Pair) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        with holding(pair, *waiting_line(pair, f"signal-{signum}.conf")) as process:
            wait_until((pair.production.root / f"signal-{signum}.conf").exists, 60, "the command ran")
            process.send_signal(signum)
            process.wait(30)
            assert process.returncode in (128 + signum, 1)
        assert is_held(pair, "failed")
        pair.production.cli("resume", TARGET)
    pair.wait_equal()


def test_what_cannot_be_held_is_refused_and_runs_nothing(pair: Pair) -> None:
    touched = pair.production.root / "touched"
    assert (
        "there is no domain 'nothing'"
        in pair.production.cli("hold", "nothing", "--", "touch", str(touched), check=2).stderr
    )
    assert (
        "works on the production node" in pair.failover.cli("hold", DOMAIN, "--", "touch", str(touched), check=4).stderr
    )
    done = pair.production.cli("hold", DOMAIN, "--", "/nowhere/at/all", check=2)
    assert "cannot be started" in done.stderr
    assert not is_held(pair, "failed")
    assert not touched.exists()
    result = json.loads(pair.production.cli("hold", "--json", DOMAIN, "--", "true").stdout)
    assert deviations(examples()["hold"], result) == []
