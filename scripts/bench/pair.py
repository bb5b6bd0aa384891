"""Two real agents on loopback for measuring: configured, paired and started through the real commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syncer.admin.client import call
from syncer.config import load
from syncer.demo.node import free_port


class Agent:
    """One node: its configuration, its root and its agent process."""

    def __init__(self, folder: Path, name: str, mode: str, port: int, extra: str, settle: str) -> None:
        """Write the configuration below `folder`; nothing runs yet."""
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir(parents=True, exist_ok=True)
        self.config = folder / "syncer.toml"
        self.config.write_text(
            f'[node]\nname = "{name}"\nmode = "{mode}"\nstate = "{folder / "state"}"\n'
            f'listen = "127.0.0.1:{port}"\nhttp = ""\n\n'
            f'[domains.bench]\npath = "{self.root}"\nsettle = "{settle}"\n\n{extra}'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        """Run a command of syncer on this node and return what it prints."""
        command = [sys.executable, "-m", "syncer", "--config", str(self.config), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self) -> None:
        """Start the agent and wait until it serves."""
        log = (self.folder / "log").open("ab")
        command = [sys.executable, "-m", "syncer", "--config", str(self.config), "agent"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.run("wait", "--ready")

    def stop(self) -> None:
        """End the agent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    @property
    def pid(self) -> int:
        """The agent's process id."""
        assert self._process is not None, "the agent was started"
        return self._process.pid

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Send a command to the agent without the cost of starting a process."""
        return asyncio.run(_call(self.config, command, arguments))

    def cpu_seconds(self) -> float:
        """Return the processor time that the agent has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what: str = "VmRSS") -> float:
        """Return the agent's memory in MiB: VmRSS now, VmHWM at its peak."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        raise LookupError(what)


async def _call(config: Path, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return await call(load(config), command, arguments, lambda _: None)


class Pair:
    """Production and failover, paired."""

    def __init__(self, folder: Path, *, automatic: bool = True, settle: str = "10ms") -> None:
        """Make both nodes below `folder` and pair them; production is not started yet."""
        port = free_port()
        target = (
            f'[[failover]]\nname = "dr"\naddress = "127.0.0.1:{port}"\n'
            f"automatic = {str(automatic).lower()}\n"
            'on_failure = { retry = "100ms..1s" }\n'
        )
        self.failover = Agent(folder / "b", "dr", "failover", port, "", settle)
        self.production = Agent(folder / "a", "prod", "production", free_port(), target, settle)
        for node, name, mode in ((self.failover, "dr", "failover"), (self.production, "prod", "production")):
            text = node.config.read_text()
            node.config.unlink()
            node.run("init", "--name", name, "--mode", mode, "--state", str(node.folder / "state"))
            node.config.write_text(text)
        self.failover.start()
        line = next(line for line in self.failover.run("invite").splitlines() if "syncer join" in line)
        self.production.run("join", *line.split("join", 1)[1].split()[:2])

    def start(self) -> None:
        """Start production."""
        self.production.start()

    def stop(self) -> None:
        """End both agents."""
        self.production.stop()
        self.failover.stop()


@contextlib.contextmanager
def fresh_file_system(megabytes: int = 2048) -> Iterator[tuple[Path, str]]:
    """Yield an empty journaled ext4 in a loop file (or a tmpfs where loop devices are missing) and its name."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"syncer-bench-{os.getpid()}"  # noqa: S108  # removed below
    folder.mkdir()
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    try:
        kind = _mount(image, mount, megabytes)
        yield mount, kind
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _mount(image: Path, mount: Path, megabytes: int) -> str:
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True, check=False)
    if made.returncode == 0:
        tried = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], capture_output=True, check=False)
        if tried.returncode == 0:
            return "journaled ext4 in a loop file"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount)], check=True)
    return "tmpfs"


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> float:
    """Poll until `condition()` holds; return the seconds it took. Pauses briefly: the agents need the cores."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > seconds:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.0002)
    return time.perf_counter() - started


__all__ = ["Agent", "Pair", "free_port", "fresh_file_system", "wait_until"]
