"""One real node for demonstrations and tests: its folder, its configuration and its agent process."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from syncer.admin.client import agent_answers
from syncer.errors import SyncerError, UnreachableError

PACKAGE_PARENT = Path(__file__).parents[2]
POLL_SECONDS = 0.0005
"""Short, since what is measured lasts milliseconds; a poll itself costs a few microseconds."""
START_SECONDS = 60.0
COMMAND_SECONDS = 120.0


class CommandFailedError(SyncerError):
    """A command of a node ended otherwise than expected."""


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses now.

    It lies below the range that the kernel gives to outgoing connections: one of those could take it while
    its node restarts.
    """
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Return the seconds until `condition()` holds; raises UnreachableError after `seconds`, with `what`."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > seconds:
            raise UnreachableError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - started


class Running(Protocol):
    """A process of syncer, as subprocess.Popen has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended; raises subprocess.TimeoutExpired."""

    def send_signal(self, signum: int, /) -> None:
        """Send a signal to it."""

    def kill(self) -> None:
        """Send SIGKILL to it."""


class NodeProcess:
    """A node in `folder`: `folder`/syncer.toml, state and log, and one domain with its root."""

    def __init__(self, folder: Path, name: str, mode: str, port: int) -> None:
        """Choose the places; nothing is made yet."""
        self.folder = folder
        self.name = name
        self.mode = mode
        self.port = port
        self.http = ""
        """Address of health and metrics; none unless one is chosen before the configuration is written."""
        self.root = folder / "root"
        self.config = folder / "syncer.toml"
        self.state = folder / "state"
        self.log = folder / "agent.log"
        self.process: Running | None = None

    @property
    def address(self) -> str:
        """Where other nodes reach this one."""
        return f"127.0.0.1:{self.port}"

    def init(self, tables: str) -> None:
        """Run `syncer init`, and add `tables` (domains and targets) to the configuration that it wrote."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(exist_ok=True)
        self.command(
            "init",
            "--name",
            self.name,
            "--mode",
            self.mode,
            "--state",
            str(self.state),
            "--listen",
            self.address,
            # Many nodes on one machine: no two may want the port.
            "--http",
            self.http,
        )
        with self.config.open("a", encoding="utf-8") as writer:
            writer.write(f"\n{tables}")

    def command(
        self, *arguments: str, expected: tuple[int, ...] | None = (0,), stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of syncer on this node. Raises CommandFailedError on an exit code not `expected`."""
        done = self._run(arguments, stdin)
        if expected is not None and done.returncode not in expected:
            said = done.stderr.strip() or done.stdout.strip()
            raise CommandFailedError(f"`syncer {arguments[0]}` on {self.name} exited {done.returncode}: {said}")
        return done

    def json(self, *arguments: str, expected: tuple[int, ...] | None = (0,)) -> dict[str, Any]:
        """Run a command with --json and return what it printed."""
        found = json.loads(self.command(*arguments, "--json", expected=expected).stdout)
        assert isinstance(found, dict), "every document is an object"
        return found

    def start(self, *arguments: str, environ: dict[str, str] | None = None) -> None:
        """Start the agent and return once it serves. Raises UnreachableError with what it logged."""
        assert self.process is None, f"the agent of {self.name} runs already"
        with self.log.open("ab") as log:
            self.process = self._spawn(("agent", *arguments), log, environ or {})
        try:
            wait_until(self._serves_or_ended, START_SECONDS, f"the agent of {self.name} served")
        except UnreachableError:
            self.kill()
            raise
        if self.process.poll() is not None:
            code = self.process.wait()
            self.process = None
            raise UnreachableError(f"the agent of {self.name} ended at once ({code}): {self.last_words()}")

    def stop(self, seconds: float = 60.0) -> int | None:
        """End the agent as systemd would, with SIGTERM; returns its exit code, None where none ran."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> int | None:
        """End the agent without warning, with SIGKILL."""
        return self._end(signal.SIGKILL, 10.0)

    def last_words(self, lines: int = 5) -> str:
        """Return the end of the agent's log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def _serves_or_ended(self) -> bool:
        assert self.process is not None, "it was started"
        return self.process.poll() is not None or agent_answers(self.state)

    def _end(self, signum: signal.Signals, seconds: float) -> int | None:
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(signum)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise UnreachableError(
                f"the agent of {self.name} did not end within {seconds:g} s: {self.last_words()}"
            ) from None

    def _run(self, arguments: tuple[str, ...], stdin: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._line(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=environment(),
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def _spawn(self, arguments: tuple[str, ...], log: IO[bytes], environ: Mapping[str, str]) -> Running:
        """Begin a command that goes on, with its output in `log`."""
        return subprocess.Popen(
            self._line(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment(), **environ},
            # Ctrl-C at the terminal is for who runs the nodes; he then stops them.
            start_new_session=True,
        )

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "syncer", "--config", str(self.config), *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a node: this very syncer, and nobody's configuration."""
    found = {key: value for key, value in os.environ.items() if key not in ("SYNCER_CONFIG", "NOTIFY_SOCKET")}
    paths = [str(PACKAGE_PARENT), *filter(None, [found.get("PYTHONPATH")])]
    return found | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}
