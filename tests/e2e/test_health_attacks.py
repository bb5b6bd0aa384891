"""The HTTP service of real agents under attack: synchronization goes on, and nothing is left behind."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Node, Pair, paired, wait_until
from tests.e2e.test_health import ANY_PORT, ask, served_by

CONNECTIONS = 3000
SECONDS = 60
HOSTILE = [
    b"", b"\r\n\r\n", b"\0" * 9000, b"GET\r\n\r\n", b"GET /status\r\n\r\n", b"GET  /status HTTP/1.1\r\n\r\n",
    b"GET ftp://127.0.0.1/status HTTP/1.1\r\n\r\n", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n\r\n",
    b"GET /status%00 HTTP/1.1\r\n\r\n", b"GET /status?" + b"a" * 4000 + b" HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/9.9\r\n\r\n", b"get /metrics HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 99999999999999999999\r\n\r\nffffffff\r\n",
    b"GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n" * 50,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500,
    b"GET /" + b"\xff\xfe" * 50 + b" HTTP/1.1\r\n\r\n", b"A" * 100_000,
]  # fmt: skip  # a list


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, http=ANY_PORT) as found:
        (found.production.root / "file").write_text("x")
        found.production.cli("wait", "--synced")
        yield found


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open as many files as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def place(node: Node) -> tuple[str, int]:
    host, _, port = served_by(node).rpartition(":")
    return host, int(port)


def descriptors(node: Node) -> int:
    return len(list(Path(f"/proc/{node.pid}/fd").iterdir()))


def exchanged(at: tuple[str, int], data: bytes) -> bytes:
    """Send bytes, end sending, and return what comes."""
    found = b""
    with socket.create_connection(at, timeout=20) as client, contextlib.suppress(ConnectionError):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            found += piece
    return found


@pytest.mark.soak
def test_thousands_of_connections_and_hostile_requests_hold_up_nothing(pair: Pair, many_files: None) -> None:
    at, before = place(pair.production), descriptors(pair.production)
    chance = random.Random(1)
    with contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS):
            client = stack.enter_context(socket.create_connection(at, timeout=20))
            with contextlib.suppress(OSError):
                client.sendall((b"", b"GET /sta", b"GET /metrics HTTP/1.1\r\n\r\n")[number % 3])
        (pair.production.root / "file").write_text("while they are open")
        pair.wait_equal()
        assert ask(served_by(pair.production), "/healthz")[0] == 200
        assert descriptors(pair.production) < before + 200
    for data in [*HOSTILE, *(chance.randbytes(chance.randrange(20_000)) for _ in range(100))]:
        answer = exchanged(at, data)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert answer.count(b"Connection: close") <= 1, "one request a connection"
        if not data.startswith(b"GET /status?") and b" /status HTTP/1.1\r\nHost" not in data:
            assert not answer.startswith(b"HTTP/1.1 200"), data[:100]
        assert b"root:" not in answer
    wait_until(lambda: descriptors(pair.production) <= before + 5, SECONDS, "nothing was left open")
    (pair.production.root / "file").write_text("afterwards")
    pair.wait_equal()
    assert "Traceback" not in pair.production.log.read_text()
    assert pair.production.status()["exit_code"] == 0


@pytest.mark.soak
@pytest.mark.needs("promtool")
def test_promtool_accepts_what_both_nodes_serve(pair: Pair) -> None:
    (pair.failover.root / "file").write_text("edited here")
    wait_until(lambda: pair.failover.raised("drift.detected"), SECONDS, "something happened")
    pair.failover.pause()
    (pair.production.root / "more").write_text("y")
    wait_until(lambda: pair.production.status()["exit_code"] == 5, SECONDS, "something is wrong")
    pair.failover.resume()
    for node in (pair.production, pair.failover):
        text = ask(served_by(node), "/metrics")[1]
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert text.count(b"\n") > 100
