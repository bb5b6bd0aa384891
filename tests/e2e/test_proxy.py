from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness import free_port
from tests.e2e.proxy import Proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that echoes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        with Proxy(free_port(), server.getsockname()[1]) as running:
            yield running
        server.shutdown(socket.SHUT_RDWR)
        thread.join(20)


def echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except OSError:
            return


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def test_it_forwards_both_ways(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""
    assert proxy.connections == 1


def test_a_cut_ends_connections_and_refuses_new_ones(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(10)
    proxy.restore()
    with connect(proxy) as client:
        client.sendall(b"again")
        assert client.recv(10) == b"again"


def test_a_frozen_connection_stays_open_and_silent(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        proxy.freeze()
        client.sendall(b"two")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        proxy.restore()
        client.settimeout(20)
        assert client.recv(10) == b"two"


def test_a_delay_takes_its_time_each_way(proxy: Proxy) -> None:
    proxy.delay(0.1)
    with connect(proxy) as client:
        began = time.monotonic()
        client.sendall(b"late")
        assert client.recv(10) == b"late"
        assert time.monotonic() - began >= 0.2
