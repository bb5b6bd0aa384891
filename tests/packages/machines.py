"""Two machines with a cable between them: network namespaces that end with the processes that hold them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECONDS = 60.0

ASK = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
connection.request("GET", "/", headers={"Host": sys.argv[3]})
print(connection.getresponse().read().decode())
"""


class Machine(NamedTuple):
    """One network namespace; its addresses are on eth0."""

    holder: subprocess.Popen[str]

    def line(self, *command: str) -> list[str]:
        """Return what runs a command on this machine, as the very process that is started."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine to its end; both outputs as one."""
        return subprocess.run(
            self.line(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def set_up(self, *arguments: str) -> None:
        """Run `ip` with these arguments; fails with what it said."""
        done = self.run("ip", *arguments)
        assert done.returncode == 0, (arguments, done.stdout)

    def ask(self, address: str, port: int, name: str) -> str:
        """Return what a web server answers to this machine when it is asked by `name`; "" where none answers."""
        done = self.run(sys.executable, "-c", ASK, address, str(port), name)
        return done.stdout.strip() if done.returncode == 0 else ""

    @contextlib.contextmanager
    def nginx(self, configuration: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run nginx with what it writes in `folder` until the end of the block; it may not have started yet."""
        folder.mkdir(parents=True, exist_ok=True)
        line = self.line(*nginx_line(configuration, folder), "-g", "daemon off;")
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield server
        finally:
            server.terminate()
            server.wait(SECONDS)


def nginx_line(configuration: Path, folder: Path) -> list[str]:
    """Return how nginx is called: relative paths of its own files begin in `folder`, of included ones beside it."""
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(configuration)]


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Make a machine that has loopback alone."""
    # It ends with its standard input: also when the test's own process is killed.
    script = "ip link set lo up && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        yield Machine(holder)
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait(SECONDS)


@contextlib.contextmanager
def two_machines(one: tuple[str, str], other: tuple[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Make two machines, each with an IPv4 and an IPv6 network of its own, each the other's way to that network."""
    with machine() as first, machine() as second:
        # Made within both namespaces: this machine's own network never sees the cable.
        peer = ("type", "veth", "peer", "name", "eth0", "netns", str(second.holder.pid))
        first.set_up("link", "add", "eth0", *peer)
        for here, ours, theirs in ((first, one, other), (second, other, one)):
            here.set_up("link", "set", "eth0", "up")
            for address in ours:
                here.set_up("address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
            for address in theirs:
                here.set_up("route", "add", address.partition("/")[0], "dev", "eth0")
        yield first, second


def unplugged(machines: tuple[Machine, Machine]) -> None:
    """Pull the cable: what is sent is gone, and nobody is told."""
    machines[0].set_up("link", "set", "eth0", "down")


def plugged(machines: tuple[Machine, Machine], networks: tuple[tuple[str, str], tuple[str, str]]) -> None:
    """Put it back, with the addresses and ways that the kernel forgot with it."""
    first = machines[0]
    first.set_up("link", "set", "eth0", "up")
    for address in networks[0]:
        first.set_up("address", "replace", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    for address in networks[1]:
        first.set_up("route", "replace", address.partition("/")[0], "dev", "eth0")
