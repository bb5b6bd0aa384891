"""Real agents and a real daemon: services are started once, reloaded on change, asked, and never restarted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncer.state.processes import process_identity
from tests.documented import deviations, examples
from tests.e2e import small_service
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until

START_THEM = "start_services = true\n"
LIMIT = 20.0
"""Seconds that a command may take here: a busy machine takes some to start Python."""


class Daemon:
    """The service of failover, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "daemon"
        self.folder.mkdir()
        program = [sys.executable, "-I", small_service.__file__]
        commands = (
            f"{action} = {[*program, action, str(self.folder)]}" for action in ("start", "stop", "reload", "status")
        )
        self.keys = "\n".join([*commands, f'command_timeout = "{LIMIT:g}s"', ""]).replace("'", '"')

    def did(self, action: str) -> list[str]:
        """Return what was noted for an action, the generations of it."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == action]

    @property
    def pid(self) -> int:
        return small_service.running(self.folder)

    def begin(self) -> None:
        """Start it as a person would, without syncer."""
        subprocess.run([sys.executable, "-I", small_service.__file__, "start", str(self.folder)], check=True)

    def end(self) -> None:
        small_service.stop(self.folder)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    found = Daemon(tmp_path)
    yield found
    found.end()


@contextmanager
def pair_with(tmp_path: Path, keys: str, target: str = START_THEM) -> Iterator[Pair]:
    with paired(tmp_path, domain=keys, target=target) as pair:
        pair.production.put("a", "1")
        synchronized(pair)
        yield pair


def synchronized(pair: Pair) -> None:
    pair.wait_synced()
    pair.wait_equal()


def change(pair: Pair, text: str) -> None:
    pair.production.put("a", text)
    synchronized(pair)


def arrives(file: Path, text: str) -> None:
    wait_until(lambda: file.exists() and file.read_text() == text, 60, f"{text} arrived")


def service(pair: Pair) -> dict[str, Any]:
    found = next(domain for domain in pair.failover.status()["domains"] if domain["name"] == DOMAIN)["service"]
    assert isinstance(found, dict)
    return found


def wait_state(pair: Pair, state: str) -> dict[str, Any]:
    wait_until(lambda: service(pair)["state"] == state, 60, f"the service was {state}")
    return service(pair)


def test_guarantee_15_started_once_whatever_restarts_but_the_machine(tmp_path: Path, daemon: Daemon) -> None:
    with pair_with(tmp_path, daemon.keys) as pair:
        wait_state(pair, "running")
        first = daemon.pid
        assert first
        [started] = pair.failover.told("service.started")
        assert (started["domain"], started["by"]) == (DOMAIN, "synchronization")
        pair.wait_for(lambda stream: stream["service"] == "running", "production shows it")
        change(pair, "2")
        wait_until(lambda: daemon.did("read"), 60, "it read its files again")
        generation = str(pair.production.stream()["generation"])
        assert daemon.did("reload") == [generation]
        for end in (pair.failover.stop, pair.failover.kill):
            end()
            pair.failover.start()
            change(pair, f"after {end}")
            newest = str(pair.production.stream()["generation"])
            # Not how many: what the end of an agent cuts off is told again by the next one.
            wait_until(lambda newest=newest: newest in daemon.did("reload"), 60, "the change was told")  # type: ignore[misc]
            wait_state(pair, "running")
        assert (daemon.pid, len(daemon.did("start"))) == (first, 1)
        # Another life of the machine, as node.db sees it: nothing runs, and nothing is to be sent.
        pair.failover.stop()
        daemon.end()
        with closing(sqlite3.connect(pair.failover.state / "node.db")) as store, store:
            store.execute("UPDATE service SET boot = 'the one before'")
        pair.failover.start()
        wait_until(lambda: daemon.pid, 60, "it was started in the new life of the machine")
        wait_state(pair, "running")
        assert len(daemon.did("start")) == 2


@pytest.mark.soak
def test_guarantee_15_never_started_unless_production_says_so(tmp_path: Path, daemon: Daemon) -> None:
    with pair_with(tmp_path, daemon.keys, target="") as pair:
        wait_state(pair, "stopped")
        change(pair, "2")
        refused = pair.failover.cli("service", "start", DOMAIN, check=4)
        assert "start_services" in refused.stderr
        assert (daemon.did("start"), daemon.did("reload"), daemon.pid) == ([], [], 0)
        assert pair.failover.status()["exit_code"] == 0
        # A person may, and is not contradicted by what comes.
        result = pair.failover.json("service", "start", DOMAIN, "--yes")
        assert deviations(examples()["service"], result) == []
        assert (result["exit"], result["service"]["state"]) == ("0", "running")
        assert daemon.pid
        pair.failover.cli("service", "status", DOMAIN)
        pair.failover.cli("service", "stop", DOMAIN)
        assert not daemon.pid
        pair.failover.cli("service", "status", DOMAIN, check=3)
        assert service(pair)["detail"] == ""
        pair.failover.cli("service", "check", DOMAIN, check=2)
        pair.failover.cli("service", "reload", DOMAIN, check=1)
        # Turning it on starts it, unless a person has stopped it since.
        pair.production.stop()
        text = pair.production.config.read_text()
        pair.production.config.write_text(text.replace("\n[[failover]]\n", f"\n[[failover]]\n{START_THEM}"))
        pair.production.start()
        change(pair, "3")
        assert len(daemon.did("start")) == 1


@pytest.mark.soak
def test_what_runs_already_is_reloaded_and_not_started(tmp_path: Path, daemon: Daemon) -> None:
    with paired(tmp_path, domain=daemon.keys, target=START_THEM, start=False) as pair:
        daemon.begin()
        before = daemon.pid
        (pair.production.root / "a").write_text("1")
        pair.start()
        synchronized(pair)
        wait_state(pair, "running")
        wait_until(lambda: daemon.did("read"), 60, "it read its files again")
        assert (daemon.pid, len(daemon.did("start"))) == (before, 1)


@pytest.mark.soak
def test_a_service_that_died_is_shown_and_not_restarted(tmp_path: Path, daemon: Daemon) -> None:
    with pair_with(tmp_path, daemon.keys) as pair:
        wait_state(pair, "running")
        daemon.end()
        change(pair, "2")
        found = wait_state(pair, "stopped")
        assert "without syncer" in found["detail"]
        assert found["checked_at"] is not None
        [told] = pair.failover.told("service.stopped")
        assert told["by"] == "itself"
        assert pair.failover.status()["exit_code"] == 3
        assert "services of tree: stopped" in " ".join(pair.failover.cli("status", check=3).stdout.split())
        pair.wait_for(lambda stream: stream["service"].startswith("stopped: "), "production shows it")
        assert pair.production.status()["exit_code"] == 3
        # It is asked at the start of the agent, too, and a person who started it is believed.
        pair.failover.stop()
        daemon.begin()
        pair.failover.start()
        assert wait_state(pair, "running")["detail"] == ""
        assert len([generation for generation in daemon.did("start") if generation]) == 1


@pytest.mark.soak
def test_a_start_that_hangs_is_ended_whole_and_holds_nothing_up(tmp_path: Path, daemon: Daemon) -> None:
    (daemon.folder / "hang").touch()
    # Long enough for a busy machine to carry the changes over meanwhile.
    keys = daemon.keys.replace(f"{LIMIT:g}s", "8s")
    with paired(tmp_path, domain=keys, target=START_THEM, start=False) as pair:
        add_domain(pair)
        pair.start()
        synchronized(pair)
        wait_until(lambda: len(daemon.did("hangs")) == 2, 60, "it hangs, with its child")
        for number in range(2):
            for tree in ("root", "other"):
                (pair.production.folder / tree / "b").write_text(str(number))
                arrives(pair.failover.folder / tree / "b", str(number))
        # Both domains went on while one of them hung.
        assert service(pair)["state"] == "starting"
        found = wait_state(pair, "failed")
        assert "time limit" in found["detail"]
        hung = [int(pid) for pid in daemon.did("hangs")]
        wait_until(lambda: not any(process_identity(pid) for pid in hung), 60, "all that it had started was ended")
        [failed] = pair.failover.told("service.failed")
        assert (failed["domain"], failed["action"], failed["exit"]) == (DOMAIN, "start", "time limit")
        change(pair, "once more")
        assert len(daemon.did("start")) == 1


@pytest.mark.soak
def test_a_start_that_fails_is_told_once_and_not_tried_again(tmp_path: Path, daemon: Daemon) -> None:
    (daemon.folder / "broken").touch()
    with pair_with(tmp_path, daemon.keys) as pair:
        wait_until(lambda: service(pair)["detail"], 60, "it failed")
        assert "the port is taken" in service(pair)["detail"]
        assert "hunter2" not in str(pair.failover.status()) + pair.failover.log.read_text()
        [failed] = pair.failover.told("service.failed")
        assert (failed["action"], failed["exit"]) == ("start", "1")
        change(pair, "2")
        pair.failover.stop()
        pair.failover.start()
        change(pair, "3")
        assert len(daemon.did("start")) == 1
        (daemon.folder / "broken").unlink()
        # Production has said that they are to run here: nobody is asked.
        pair.failover.cli("service", "start", DOMAIN)
        assert service(pair)["state"] == "running"
        assert len(pair.failover.raised("service.failed")) == 1


@pytest.mark.soak
def test_without_an_agent_a_person_can_still_run_them(tmp_path: Path, daemon: Daemon) -> None:
    with pair_with(tmp_path, daemon.keys) as pair:
        wait_state(pair, "running")
        pair.failover.stop()
        pair.failover.cli("service", "status", DOMAIN)
        pair.failover.cli("service", "stop", DOMAIN)
        assert not daemon.pid
        pair.failover.cli("service", "start", DOMAIN, check=4)
        pair.failover.start()
        change(pair, "2")
        assert (wait_state(pair, "stopped")["detail"], len(daemon.did("start"))) == ("", 1)


def add_domain(pair: Pair) -> None:
    """Give both nodes a second domain, without services; failover runs and is started again."""
    pair.failover.stop()
    for node in (pair.failover, pair.production):
        (node.folder / "other").mkdir()
        with node.config.open("a") as writer:
            writer.write(f'\n[domains.other]\npath = "{node.folder / "other"}"\n')
    assert TARGET in pair.production.config.read_text()
