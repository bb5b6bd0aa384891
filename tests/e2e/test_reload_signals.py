"""SIGHUP at awkward moments: in a storm, at the start, in a full synchronization, beneath systemd."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.admin.client import agent_answers
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until
from tests.e2e.reloading import SECONDS, begin, edit, reload, reloaded


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, target='timeout = "30s"\n') as found:
        (found.production.root / "a").write_text("1", "utf-8")
        found.wait_equal()
        yield found


def is_blocked(pid: int, signum: signal.Signals) -> bool:
    """Tell whether a process holds a signal back (proc_pid_status(5))."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return bool(int(lines["SigBlk"], 16) >> (signum - 1) & 1)


@pytest.mark.soak
def test_a_storm_of_signals_is_survived_without_loss_or_leak(pair: Pair) -> None:
    production, failover = pair.production, pair.failover
    text = {node: node.config.read_text("utf-8") for node in (production, failover)}
    descriptors: list[int] = []
    for number in range(40):
        for node in (production, failover):
            exclude = f'exclude = ["*.{number}"]\n' if number % 2 else ""
            node.config.write_text(
                text[node].replace(f"[domains.{DOMAIN}]\n", f"[domains.{DOMAIN}]\n{exclude}"), "utf-8"
            )
            for _ in range(3):
                reload(node)
        (production.root / f"f{number}").write_text(str(number), "utf-8")
        if number % 10 == 9:
            count = len(production.raised("config.reloaded"))
            reload(production)
            reloaded(production, count + 1)
            descriptors.append(len(os.listdir(f"/proc/{production.pid}/fd")))
    for node in (production, failover):
        node.config.write_text(text[node], "utf-8")
        reload(node)
    pair.wait_equal()
    for node in (production, failover):
        assert not node.status()["configuration"]["error"]
        assert "Traceback" not in node.log.read_text("utf-8")
    assert max(descriptors) - descriptors[0] < 10, descriptors
    # Also while it ends.
    pid = production.pid
    os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(20):
            os.kill(pid, signal.SIGHUP)
    assert production.stop() == 0


@pytest.mark.soak
def test_a_signal_while_the_agent_starts_is_kept(pair: Pair) -> None:
    production = pair.production
    production.stop()
    process = begin(production, "agent")
    try:
        wait_until(lambda: is_blocked(process.pid, signal.SIGHUP), SECONDS, "the agent held signals back")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: agent_answers(production.state), SECONDS, "the agent served")
        reloaded(production)
        (production.root / "later").write_text("1", "utf-8")
        pair.wait_equal()
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


@pytest.mark.soak
def test_a_full_synchronization_under_way_ends_with_a_clear_message(pair: Pair) -> None:
    production = pair.production
    pair.failover.pause()
    edit(production, 'timeout = "30s"', 'timeout = "60s"')
    reload(production)
    pair.failover.resume()
    reloaded(production)
    pair.wait_synced()
    pair.failover.pause()
    snapshot = begin(production, "snapshot", TARGET)
    try:
        pair.wait_for(lambda stream: stream["state"] == "full", "it was under way")
        edit(production, 'timeout = "60s"', 'timeout = "61s"')
        reload(production)
        reloaded(production, 2)
    finally:
        pair.failover.resume()
    said, _ = snapshot.communicate(timeout=60)
    assert snapshot.returncode == 1
    assert b"restarted with a new configuration" in said
    pair.wait_equal()


def word(heard: socket.socket) -> bytes:
    """Return the next notification that is no line of the status."""
    while (found := heard.recv(4096)).startswith(b"STATUS="):
        continue
    return found


@pytest.mark.soak
def test_systemd_hears_when_a_reload_begins_and_ends(pair: Pair) -> None:
    production = pair.production
    production.stop()
    address = production.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(address))
        heard.settimeout(SECONDS)
        production.start(environ={"NOTIFY_SOCKET": str(address)})
        assert word(heard) == b"READY=1"
        reload(production)
        begun = word(heard).decode().splitlines()
        assert begun[0] == "RELOADING=1"
        assert 0 < int(begun[1].removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
        assert word(heard) == b"READY=1"
        production.config.write_text("[", "utf-8")
        reload(production)
        assert word(heard).startswith(b"RELOADING=1")
        # What was in force goes on: that is ready, too.
        assert word(heard) == b"READY=1"
