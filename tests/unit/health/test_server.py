"""The HTTP service against clients that are slow, many, rude or gone."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from syncer.errors import StateError
from syncer.health import server as served
from syncer.health.answers import Answers
from syncer.health.server import HealthServer
from tests.unit.health.looks import FakeNode, production

SHORT = 0.3
"""Seconds for a request, where a test waits for them to pass."""


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(production())


@pytest.fixture
def start(node: FakeNode) -> Iterator[Callable[[], HealthServer]]:
    running: list[HealthServer] = []

    def begin() -> HealthServer:
        running.append(HealthServer("127.0.0.1:0", Answers(node.as_shown())))
        running[-1].start()
        return running[-1]

    yield begin
    for server in running:
        server.close()


def place(server: HealthServer) -> tuple[str, int]:
    host, _, port = server.address.rpartition(":")
    return host, int(port)


def ask(server: HealthServer, path: str, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(server.address, timeout=20)
    connection.request(method, path)
    return connection.getresponse()


def exchange(server: HealthServer, data: bytes) -> bytes:
    """Send bytes and return everything that comes until the server ends the connection."""
    with socket.create_connection(place(server), timeout=20) as client:
        client.sendall(data)
        return everything(client)


def everything(client: socket.socket) -> bytes:
    found = b""
    # A connection that is reset has ended as well.
    with contextlib.suppress(ConnectionError):
        while data := client.recv(65536):
            found += data
    return found


def test_an_answer_is_whole(start: Callable[[], HealthServer]) -> None:
    server = start()
    found = ask(server, "/healthz")
    assert found.status == 200
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["Cache-Control"] == "no-store"
    assert found.headers["Connection"] == "close"
    assert found.read() == b'{"healthy": true, "reasons": []}\n'


def test_head_is_get_without_a_body(start: Callable[[], HealthServer]) -> None:
    server = start()
    for path in ("/healthz", "/production", "/failover", "/status", "/metrics"):
        get, head = ask(server, path), ask(server, path, "HEAD")
        assert (head.status, head.headers["Content-Length"]) == (get.status, str(len(get.read())))
        answer = exchange(server, f"HEAD {path} HTTP/1.1\r\n\r\n".encode())
        assert answer.endswith(b"\r\n\r\n")
        assert b"HTTP/1.1" in answer
        bare = exchange(server, f"OPTIONS {path} HTTP/1.1\r\n\r\n".encode())
        assert bare.endswith(b"\r\n\r\n")
        assert b"Content-Length: 0\r\n" in bare


def test_a_blocked_event_loop_is_told_while_it_is_blocked(start: Callable[[], HealthServer], node: FakeNode) -> None:
    server = start()
    node.still = 60.0
    assert ask(server, "/healthz").status == 503
    node.still = 0.0
    assert ask(server, "/healthz").status == 200


def test_slow_clients_are_ended_and_hold_up_nobody(
    start: Callable[[], HealthServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "REQUEST_SECONDS", SHORT)
    server = start()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(place(server), timeout=20)) for _ in range(20)]
        for client in slow:
            client.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        # One that never stops sending has no more time than one that sends nothing.
        began = time.monotonic()
        dripping = slow[0]
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 20:
                dripping.sendall(b"a")
                dripping.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    if not dripping.recv(65536):
                        break
        assert time.monotonic() - began < 20
        monkeypatch.setattr(served, "REQUEST_SECONDS", 60.0)
        assert ask(server, "/healthz").status == 200
        for client in slow[1:]:
            assert everything(client).startswith(b"HTTP/1.1 408 ")


def test_500_connections_at_once(start: Callable[[], HealthServer], monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than all of this takes: nobody is served because others were ended by then.
    monkeypatch.setattr(served, "REQUEST_SECONDS", 60.0)
    server = start()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(place(server), timeout=60)) for _ in range(500)]
        for client in held[:250]:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /sta")
        # The places are all taken by clients who say nothing: whoever asks is served all the same.
        began = time.monotonic()
        for _ in range(20):
            assert ask(server, "/healthz").status == 200
            assert ask(server, "/production").status == 200
        assert time.monotonic() - began < served.REQUEST_SECONDS
        assert server._open <= served.MOST_CONNECTIONS + 1
        # The last ones to come were not ended for it.
        held[-1].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert everything(held[-1]).startswith(b"HTTP/1.1 200 OK\r\n")


def test_500_requests_at_once_are_all_answered(start: Callable[[], HealthServer]) -> None:
    server = start()
    answers: list[int] = []

    def some() -> None:
        answers.extend(ask(server, "/status").status for _ in range(50))

    threads = [threading.Thread(target=some) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 500


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz HTTP/1.1\nHost: x\n\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\n\r\n",
        b"GET http://x:7480/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\nGET /healthz HTTP/1.1\r\n\r\n",
    ],
)
def test_what_other_clients_send_is_answered_at_once(start: Callable[[], HealthServer], data: bytes) -> None:
    server = start()
    began = time.monotonic()
    assert exchange(server, data).startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - began < served.REQUEST_SECONDS


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"y" * 70000, 431),
        (b"GET /healthz HTTP/1.1\n" + b"X: y\n" * 5000, 431),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"DELETE /status HTTP/1.1\r\n\r\n", 405),
        (b"POST /status HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", 405),
    ],
)
def test_what_is_refused(start: Callable[[], HealthServer], data: bytes, status: int) -> None:
    answer = exchange(start(), data)
    # A client that is still sending may lose the answer with its connection; nothing else may come.
    assert re.match(rb"HTTP/1\.1 %d " % status, answer) or (len(data) > 60000 and not answer)


def test_clients_that_go_away_are_forgotten(start: Callable[[], HealthServer]) -> None:
    server = start()
    for _ in range(50):
        with socket.create_connection(place(server), timeout=20) as client:
            client.sendall(b"GET /status HTTP/1.1\r\n\r\n")
    assert ask(server, "/healthz").status == 200


def test_a_node_that_cannot_be_looked_at_is_503_and_its_mode_is_told_all_the_same(
    start: Callable[[], HealthServer], node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "LOOK_SECONDS", SHORT)
    hanging, released = threading.Event(), threading.Event()

    def hang() -> dict[str, object]:
        hanging.set()
        released.wait(60)
        return {}

    node.look = hang  # type: ignore[method-assign]
    server = start()
    try:
        for _ in range(4):
            found = ask(server, "/status")
            assert (found.status, b"did not answer within" in found.read()) == (503, True)
        assert hanging.is_set()
        assert ask(server, "/production").status == 200
        assert ask(server, "/healthz").status == 200
    finally:
        released.set()


def test_an_error_of_the_node_is_a_sentence_and_a_fault_ends_nothing(
    start: Callable[[], HealthServer], node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()

    def closed() -> dict[str, object]:
        raise StateError("node.db: is closed; this node is stopping, try again once it runs")

    def faulty() -> dict[str, object]:
        raise KeyError("targets")

    node.look = closed  # type: ignore[method-assign]
    found = ask(server, "/status")
    assert (found.status, b"this node is stopping" in found.read()) == (503, True)
    node.look = faulty  # type: ignore[method-assign]
    assert ask(server, "/status").status == 500
    assert "/status failed by a fault in syncer" in caplog.text
    assert ask(server, "/healthz").status == 200


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StateError, match=r"cannot listen on 127\.0\.0\.1:\d+ for health .* change node\.http"),
    ):
        HealthServer(f"127.0.0.1:{taken.getsockname()[1]}", Answers(FakeNode(production()).as_shown()))


def test_ipv6_is_served(node: FakeNode) -> None:
    try:
        server = HealthServer("[::1]:0", Answers(node.as_shown()))
    except StateError:
        pytest.skip("this machine has no IPv6")
    server.start()
    try:
        assert server.address.startswith("[::1]:")
        assert ask(server, "/healthz").status == 200
    finally:
        server.close()


def test_closing_ends_what_is_open_and_frees_the_port(start: Callable[[], HealthServer]) -> None:
    server = start()
    with socket.create_connection(place(server), timeout=20) as client:
        client.sendall(b"GET /heal")
        assert ask(server, "/healthz").status == 200
        server.close()
        assert everything(client) == b""
    again = HealthServer(server.address, Answers(FakeNode(production()).as_shown()))
    again.close()
