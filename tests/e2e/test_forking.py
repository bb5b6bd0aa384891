"""The forked processes of these tests are what `python -m syncer` is: words, files, session, signals, exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.demo.node import environment
from tests.e2e.forking import ForkServer
from tests.e2e.harness import Node, free_port
from tests.waiting import wait_until

COMMANDS = (
    ("--help",),
    ("status", "--json"),
    ("config", "check"),
    ("no-such-command",),
    ("join", "127.0.0.1:1", "-"),
    ("substitute", "--diff", "/dev/null"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with contextlib.closing(ForkServer(environment())) as server:
        yield server


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: words[0])
def test_a_fork_says_and_ends_as_a_new_process_does(
    server: ForkServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    line = ["--config", str(tmp_path / "none.toml"), *arguments]
    forked = server.run(line, environment(), "no token\n", 60.0)
    begun = subprocess.run(
        [sys.executable, "-m", "syncer", *line],
        input="no token\n",
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (forked.returncode, forked.stdout) == (begun.returncode, begun.stdout.replace("python -m syncer", "syncer"))
    assert forked.stderr == begun.stderr.replace("python -m syncer", "syncer")


def test_an_agent_is_its_own_session_and_dies_of_signals(tmp_path: Path) -> None:
    node = Node(tmp_path, "alone", "failover", free_port())
    node.init(f'[domains.tree]\npath = "{node.root}"\n')
    node.start()
    try:
        assert os.getsid(node.pid) == node.pid
        process = node.process
        assert process is not None
        assert process.poll() is None
        assert node.kill() == -signal.SIGKILL
        assert process.poll() == -signal.SIGKILL
        wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), 60, "nothing was left of it")
    finally:
        node.end()
    node.start()
    assert node.stop() == 0


def test_a_command_that_takes_too_long_is_ended(server: ForkServer, tmp_path: Path) -> None:
    node = Node(tmp_path, "alone", "failover", free_port())
    node.init(f'[domains.tree]\npath = "{node.root}"\n')
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(["--config", str(node.config), "agent"], environment(), "", 0.5)
    node.start()
    assert node.stop() == 0
