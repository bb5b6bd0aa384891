"""Connections that come at one moment: what lets them in is not replaced under their hands, which would end us."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from syncer.trust.identity import create
from syncer.trust.tls import server_credentials
from tests.unit.trust.test_tls import SERVE

CLIENTS = 6
HANDSHAKES = 4_000
"""A server that replaces it at each of them is dead after about a thousand."""


def fetching(monkeypatch: pytest.MonkeyPatch, folder: Path, trusted: Callable[[], list[bytes]]) -> Callable[[], object]:
    """Return what gRPC asks at each handshake: None means that nothing is replaced."""
    found: list[Callable[[], object]] = []

    def take(_: object, fetch: Callable[[], object], **__: object) -> None:
        found.append(fetch)

    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", take)
    server_credentials(create(folder, "5f8b1a3e-6a1c-4b0e-9d3f-0c7a2e4b6d80", "dr-a"), trusted)
    return found[0]


def test_it_is_replaced_only_where_it_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pins: list[bytes] = []
    is_broken = False

    def trusted() -> list[bytes]:
        if is_broken:
            raise OSError("the disk is gone")
        return list(pins)

    fetch = fetching(monkeypatch, tmp_path, trusted)
    # It begins with nobody.
    assert fetch() is None
    pins.append(b"one")
    assert [fetch() is None for _ in range(3)] == [False, True, True]
    pins.append(b"two")
    assert [fetch() is None for _ in range(3)] == [False, True, True]
    is_broken = True
    assert [fetch() is None for _ in range(3)] == [False, True, True]
    is_broken = False
    assert [fetch() is None for _ in range(3)] == [False, True, True]
    pins.clear()
    assert [fetch() is None for _ in range(3)] == [False, True, True]


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server with this identity in a process of its own, which may die."""
    line = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.communicate(b"", timeout=60)


@pytest.mark.soak
def test_handshakes_at_one_moment_end_no_agent(tmp_path: Path) -> None:
    """Whoever reaches the port can make them: no certificate is looked at before."""
    create(tmp_path, "5f8b1a3e-6a1c-4b0e-9d3f-0c7a2e4b6d80", "dr-a")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(tmp_path / "identity.crt", tmp_path / "identity.key")
    with serving(tmp_path) as (process, port):

        def shake(_: Any) -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as plain, context.wrap_socket(plain) as safe:
                return bool(safe.recv(1))

        with ThreadPoolExecutor(CLIENTS) as pool:
            assert all(pool.map(shake, range(HANDSHAKES)))
        assert process.poll() is None
