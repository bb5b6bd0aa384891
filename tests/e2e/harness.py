"""Real agents as processes, paired through the real commands; tests can break what is between them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from syncer.admin.client import agent_answers, call
from syncer.config import load
from syncer.demo.comparison import differences
from syncer.demo.node import COMMAND_SECONDS, NodeProcess, Running, environment
from tests.e2e.forking import ForkedProcess, ForkServer
from tests.e2e.proxy import Proxy
from tests.ports import free_port
from tests.waiting import wait_until

__all__ = ["DOMAIN", "TARGET", "Node", "Pair", "Proxy", "differences", "free_port", "paired", "wait_until"]

DOMAIN = "tree"
TARGET = "dr-a"
EQUAL_SECONDS = 60.0
"""Far more than it takes: where the machine is busy, an agent may wait for seconds until it runs at all."""
RETRY = 'on_failure = { retry = "50ms..500ms" }\n'
"""Short, so that a test does not wait for a reconnect."""


class Node(NodeProcess):
    """A node that tests can pause, ask and run commands on."""

    forks = True
    """Its processes are forked from one that has imported syncer; False: each begins as an operator's does."""

    def _run(self, arguments: tuple[str, ...], stdin: str) -> subprocess.CompletedProcess[str]:
        if not self.forks:
            return super()._run(arguments, stdin)
        return self.server().run(self._arguments(arguments), environment(), stdin, COMMAND_SECONDS)

    def _spawn(self, arguments: tuple[str, ...], log: IO[bytes], environ: Mapping[str, str]) -> Running:
        # What is in the environment may concern the loader, and that has done its work in a fork.
        if not self.forks or environ:
            return super()._spawn(arguments, log, environ)
        return self._forked(arguments, log, self.environ, session=True)

    def _forked(
        self, arguments: tuple[str, ...], log: IO[bytes], environ: Mapping[str, str], *, session: bool
    ) -> ForkedProcess:
        with open(os.devnull, "rb") as nothing:
            files = (nothing.fileno(), log.fileno(), log.fileno())
            return self.server().start(self._arguments(arguments), {**environment(), **environ}, files, session=session)

    @property
    def environ(self) -> Mapping[str, str]:
        """What its forked agents find in their environment besides."""
        return {}

    def server(self) -> ForkServer:
        """Return what its processes are forked from."""
        return fork_server()

    def _arguments(self, arguments: tuple[str, ...]) -> list[str]:
        return ["--config", str(self.config), *arguments]

    def cli(self, *arguments: str, check: bool | int = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command; `check`: True expects exit 0, a number that one, False any."""
        expected = None if check is False else (0 if check is True else check,)
        return self.command(*arguments, expected=expected, stdin=stdin)

    def raised(self, name: str) -> list[dict[str, Any]]:
        """Return the variables of each event of this name in the journal; without a process where an agent runs."""
        if self.process is not None and agent_answers(self.state):
            found = asyncio.run(_ask(self.config, "events", {"names": [name]}))
        else:
            found = self.json("events", "--event", name)
        return [event["variables"] for event in found["events"]]

    def told(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the variables of each event of this name, once there are so many: status may tell of it before."""
        wait_until(lambda: len(self.raised(name)) >= count, 60, f"{self.name} had raised {count} {name}")
        return self.raised(name)

    def status(self) -> dict[str, Any]:
        """Return what `syncer status --json` prints, whatever its exit code; without a process where an agent runs."""
        if self.process is not None and agent_answers(self.state):
            return asyncio.run(_ask(self.config, "status", {}))
        return self.json("status", expected=None)

    def stream(self, target: str = TARGET, domain: str = DOMAIN) -> dict[str, Any]:
        """Return how one domain of one target stands on this production node."""
        [found] = [
            item
            for entry in self.status()["targets"]
            if entry["name"] == target
            for item in entry["domains"]
            if item["name"] == domain
        ]
        assert isinstance(found, dict)
        return found

    def asked(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return what the agent answers to a command, without a process for it."""
        return asyncio.run(_ask(self.config, command, arguments))

    def write_configuration(self, tables: str, node: str = "") -> None:
        """Write what `init` writes, with further lines for the table `node`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        head = f'[node]\n{node}name = "{self.name}"\nmode = "{self.mode}"\n'
        places = f'state = "{self.state}"\nlisten = "{self.address}"\nhttp = "{self.http}"\n'
        self.config.write_text(f"{head}{places}\n{tables}", "utf-8")

    def pause(self) -> None:
        """Stop the agent's process where it stands, and wait until it does; its connections stay open."""
        self._signal(signal.SIGSTOP)
        # RACE: a thread that waits in read(2) may still return with what comes until it is scheduled and stops.
        wait_until(lambda: set(_thread_states(self.pid)) == {"T"}, 30.0, f"every thread of {self.name} stopped")

    def put(self, name: str, text: str) -> None:
        """Put a file into the root in one step: a new file that is written there may be seen while it is empty."""
        file = self.root / name
        fresh = self.folder / f".fresh-{file.name}"
        fresh.write_text(text, "utf-8")
        fresh.replace(file)

    def resume(self) -> None:
        """Let a paused agent go on."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The agent's process."""
        assert self.process is not None, f"the agent of {self.name} does not run"
        return self.process.pid

    def end(self) -> None:
        """End the agent in any state, for the clean-up of a test."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
            self.kill()

    def _signal(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)


@functools.cache
def fork_server() -> ForkServer:
    """Return the one of this test process."""
    server = ForkServer(environment())
    atexit.register(server.close)
    return server


def _thread_states(pid: int) -> list[str]:
    """Return the state of each thread of a process: proc_pid_stat(5), the field behind the name."""
    states = []
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            stat = path.read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            states.append("ended")
        else:
            states.append(stat.rpartition(")")[2].split()[0])
    return states


class Pair:
    """Production and failover with one domain, `DOMAIN`; the target's name is `TARGET`."""

    def __init__(
        self,
        folder: Path,
        *,
        target: str = "",
        domain: str = "",
        node: str = "",
        rules: str = "",
        proxy: bool = False,
        http: str = "",
    ) -> None:
        """Write both configurations, with these further lines in their tables; nothing runs yet.

        `rules` are tables [[failover.substitute]] of production. With `proxy`, production reaches failover through
        `self.proxy`, which must be entered first. `http` is where both serve health and metrics, with port 0.
        """
        self.failover = Node(folder / "failover", TARGET, "failover", free_port())
        self.production = Node(folder / "production", "prod-a", "production", free_port())
        self.failover.http = self.production.http = http
        self.proxy = Proxy(free_port(), self.failover.port) if proxy else None
        self.address = f"127.0.0.1:{self.proxy.port}" if self.proxy else self.failover.address
        self._target, self._domain, self._node, self.rules = target, domain, node, rules

    @property
    def proxies(self) -> list[Proxy]:
        """What lies between both nodes."""
        return [self.proxy] if self.proxy else []

    def init(self) -> None:
        """Make configuration, state and identity of both."""
        for node in (self.failover, self.production):
            node.init(self.tables_of(node))
        if self._node:
            for node in (self.failover, self.production):
                text = node.config.read_text("utf-8")
                node.config.write_text(text.replace("[node]\n", f"[node]\n{self._node}", 1), "utf-8")

    def pair(self) -> None:
        """Start failover, and let production join it through the real commands."""
        self.failover.start()
        token = self.failover.json("invite")["token"]
        self.production.cli("join", self.address, "-", stdin=f"{token}\n")

    def start(self) -> None:
        """Start whichever agent does not run."""
        for node in (self.failover, self.production):
            if node.process is None:
                node.start()

    def stop(self) -> None:
        """End both as systemd would; both must end with 0."""
        for node in (self.production, self.failover):
            assert node.stop() in (0, None), node.last_words()

    def end(self) -> None:
        """End both in any state."""
        self.production.end()
        self.failover.end()

    def differences(self) -> list[str]:
        """Return what differs between both roots now."""
        return differences(self.production.root, self.failover.root)

    def wait_equal(self, timeout: float = EQUAL_SECONDS) -> None:
        """Return once both roots are equal; fails with what differs after `timeout` seconds."""
        found: list[str] = []

        def is_equal() -> bool:
            nonlocal found
            found = self.differences()
            return not found

        try:
            wait_until(is_equal, timeout, "both trees were equal")
        except Exception as error:
            raise AssertionError(
                f"after {timeout} s: {found[:10]} ({len(found)} differences)\n"
                f"production: {self.production.last_words()}\nfailover: {self.failover.last_words()}"
            ) from error

    def wait_synced(self, timeout: float = EQUAL_SECONDS) -> None:
        """Return once failover has acknowledged all that is in production's root now: then its status tells of it.

        Trees that are equal may be so before that is durable, and before either node has counted it.
        """
        waited = asyncio.run(_ask(self.production.config, "wait", {"timeout": timeout}))
        assert waited["exit_code"] == 0, (waited, self.production.last_words(), self.failover.last_words())

    def wait_for(
        self, condition: Callable[[dict[str, Any]], object], what: str, timeout: float = EQUAL_SECONDS
    ) -> dict[str, Any]:
        """Return production's stream once it is as told, as the very status that said so shows it."""
        found: dict[str, Any] = {}

        def is_so() -> object:
            nonlocal found
            found = self.production.stream()
            return condition(found)

        try:
            wait_until(is_so, timeout, what)
        except Exception as error:
            raise AssertionError(f"{error}; the stream is {found}\n{self.production.last_words()}") from error
        return found

    def adopt(self, joined: Path) -> None:
        """Take the identities, pins and states of a pair that has joined before, and start failover."""
        for node in (self.failover, self.production):
            shutil.copytree(joined / node.mode, node.state, symlinks=True)
            node.root.mkdir(exist_ok=True)
            node.write_configuration(self.tables_of(node), self._node)
        self.failover.start()

    def keep_joined(self, folder: Path) -> None:
        """Copy what joining made of both, for others to adopt."""
        self.failover.stop()
        for node in (self.failover, self.production):
            shutil.copytree(node.state, folder / node.mode, symlinks=True)
        self.failover.start()

    def tables_of(self, node: Node) -> str:
        """Return the domain's table, and on production the target's."""
        target = f'\n[[failover]]\nname = "{TARGET}"\naddress = "{self.address}"\n{self._target}{RETRY}{self.rules}'
        return f'[domains.{DOMAIN}]\npath = "{node.root}"\n{self._domain}' + (target if node is self.production else "")


async def _ask(config: Path, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return await call(load(config), command, arguments, lambda _: None)


AnyPair = TypeVar("AnyPair", bound=Pair)
_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""The states of the first pair of this test process: joining takes seconds, and is tested where it matters."""


def _joined() -> Path | None:
    return Path(_KEPT[0].name) if _KEPT else None


def _keep_here() -> Path:
    _KEPT.append(tempfile.TemporaryDirectory(prefix="syncer-joined-"))
    return Path(_KEPT[0].name)


@contextlib.contextmanager
def paired(folder: Path, *, start: bool = True, **options: Any) -> Iterator[Pair]:
    """Make a pair, join it, and (with `start`) run both agents until the end of the block."""
    with joined(Pair(folder, **options), start=start) as pair:
        yield pair


@contextlib.contextmanager
def joined(pair: AnyPair, *, start: bool = True) -> Iterator[AnyPair]:
    """Join a pair, and (with `start`) run both agents until the end of the block."""
    with contextlib.ExitStack() as stack:
        for proxy in pair.proxies:
            stack.enter_context(proxy)
        stack.callback(pair.end)
        kept = _joined()
        if kept is not None:
            pair.adopt(kept)
        else:
            pair.init()
            pair.pair()
            pair.keep_joined(_keep_here())
        if start:
            pair.start()
        yield pair
