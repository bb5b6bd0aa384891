"""Health and metrics of real agents, as monitoring, load balancers and systemd see them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.demo.node import environment
from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, free_port, paired, wait_until

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, http=ANY_PORT) as found:
        (found.production.root / "file").write_text("x")
        found.wait_synced()
        yield found


def ask(address: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def served_by(node: Node) -> str:
    address = str(node.status()["http"])
    assert re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]*", address), "port 0 is shown as what was chosen"
    return address


def metrics_of(node: Node) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    from prometheus_client.parser import text_string_to_metric_families

    status, body = ask(served_by(node), "/metrics")
    assert status == 200
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def value(node: Node, name: str, **labels: str) -> float:
    return metrics_of(node)[name, frozenset(labels.items())]


def test_both_nodes_answer_by_what_they_are(pair: Pair) -> None:
    for node, other in (("production", "failover"), ("failover", "production")):
        address = served_by(getattr(pair, node))
        assert ask(address, "/healthz") == (200, b'{"healthy": true, "reasons": []}\n')
        assert ask(address, "/readyz")[0] == 200
        assert ask(address, f"/{node}")[0] == 200
        assert ask(address, f"/{other}")[0] == 503
        assert ask(address, f"/{node}", "HEAD") == (200, b"")
        assert ask(address, f"/{other}", "OPTIONS") == (503, b"")
        status, body = ask(address, "/status")
        documented = examples()["status" if node == "production" else "status-failover"]
        assert (status, deviations(documented, json.loads(body))) == (200, [])
        assert json.loads(body)["mode"] == node


def test_metrics_tell_what_arrived(pair: Pair) -> None:
    stream = {"target": TARGET, "domain": DOMAIN}
    before = value(pair.production, "syncer_sent_bytes_total", **stream)
    (pair.production.root / "more").write_bytes(b"y" * 5000)
    pair.wait_synced()
    sent = metrics_of(pair.production)
    labels = frozenset(stream.items())
    assert sent["syncer_sent_bytes_total", labels] == before + 5000
    assert sent["syncer_changes_behind", labels] == 0
    assert sent["syncer_target_state", labels | {("state", "streaming")}] == 1
    kind = ("kind", "partial")
    acknowledged = sent["syncer_transactions_total", labels | {kind, ("result", "acknowledged")}]
    assert acknowledged >= 1
    assert sent["syncer_transaction_seconds_count", labels | {kind}] == acknowledged
    domain = ("domain", DOMAIN)
    directories = sent["syncer_directories", frozenset([domain])]
    assert sent["syncer_watched_directories", frozenset([domain])] == directories
    received = metrics_of(pair.failover)
    assert received["syncer_applied_transactions_total", frozenset([domain, kind])] == acknowledged
    assert received["syncer_received_bytes_total", frozenset([domain])] == before + 5000
    assert sum(found for (name, _), found in received.items() if name == "syncer_flush_seconds_count") >= 1
    assert received["syncer_apply_seconds_sum", frozenset([domain, kind])] > 0


@pytest.mark.soak
def test_a_frozen_failover_is_seen_in_metrics_and_readiness_is_not_touched(pair: Pair) -> None:
    pair.failover.pause()
    (pair.production.root / "late").write_text("z")
    labels = {"target": TARGET, "domain": DOMAIN}
    wait_until(
        lambda: value(pair.production, "syncer_target_state", **labels, state="unreachable") == 1, 40, "it was seen"
    )
    assert value(pair.production, "syncer_changes_behind", **labels) >= 1
    assert value(pair.production, "syncer_status_exit_code") == 5
    # The peer is at fault, not this node: a restart would help nobody.
    assert ask(served_by(pair.production), "/readyz")[0] == 200


@pytest.mark.soak
def test_a_missing_root_is_no_readiness(pair: Pair) -> None:
    pair.production.root.rename(pair.production.folder / "away")
    address = served_by(pair.production)
    wait_until(lambda: ask(address, "/readyz")[0] == 503, 60, "it was seen")
    [reason] = json.loads(ask(address, "/readyz")[1])["reasons"]
    assert reason.startswith(f"domain {DOMAIN}: ")
    assert ask(address, "/healthz")[0] == 200


@pytest.mark.soak
def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair, socket.create_server(("127.0.0.1", 0)) as taken:
        pair.production.http = f"127.0.0.1:{taken.getsockname()[1]}"
        pair.production.write_configuration(pair.tables_of(pair.production))
        done = pair.production.cli("agent", check=1)
        assert f"cannot listen on {pair.production.http} for health and metrics" in done.stderr
        assert "Traceback" not in done.stderr


BLOCKED_SECONDS = 12
BLOCKABLE = f"""
import signal, time
# Handlers run on the main thread, which is the event loop's: nothing else of the agent is held up.
signal.signal(signal.SIGUSR1, lambda *_: time.sleep({BLOCKED_SECONDS}))
"""


@pytest.fixture
def blockable(tmp_path: Path) -> dict[str, str]:
    """The environment of an agent whose event loop SIGUSR1 blocks."""
    folder = tmp_path / "blockable"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKABLE)
    return {"PYTHONPATH": os.pathsep.join((str(folder), environment()["PYTHONPATH"]))}


class Listener:
    """systemd's end of the socket: keeps every message that it was sent, with the moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while data := self._socket.recv(65536):
            self.messages.append(data.decode())

    def said(self, message: str) -> int:
        return self.messages.count(message)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "notify")
    yield found
    found.close()


@pytest.mark.soak
def test_systemd_is_told_the_life_of_an_agent(tmp_path: Path, listener: Listener) -> None:
    with paired(tmp_path, start=False) as pair:
        asked = {"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "1000000"}
        pair.production.start(environ=asked)
        wait_until(lambda: listener.said("READY=1"), 60, "READY")
        wait_until(lambda: listener.said("WATCHDOG=1") >= 3, 60, "the watchdog was fed")
        wait_until(lambda: any(said.startswith("STATUS=") for said in listener.messages), 60, "STATUS")
        pair.wait_synced()
        whole = f"STATUS=failing over to {TARGET} now would lose nothing"
        wait_until(lambda: listener.said(whole), 60, "the leading sentence was told")
        pair.production.stop()
        wait_until(lambda: listener.said("STOPPING=1"), 60, "STOPPING")
    assert listener.messages[0] == "READY=1"
    kinds = {said.partition("=")[0] for said in listener.messages}
    assert kinds == {"READY", "WATCHDOG", "STATUS", "STOPPING"}
    assert listener.said("READY=1") == listener.said("STOPPING=1") == 1


@pytest.mark.soak
def test_guarantee_11_a_blocked_event_loop_is_seen_and_starves_the_watchdog(
    tmp_path: Path, listener: Listener, blockable: dict[str, str]
) -> None:
    with paired(tmp_path, start=False, http=ANY_PORT) as pair:
        asked = {"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "500000"}
        pair.production.start(environ=blockable | asked)
        pair.wait_synced()
        address = served_by(pair.production)
        wait_until(lambda: listener.said("WATCHDOG=1"), 60, "the watchdog was fed")
        os.kill(pair.production.pid, signal.SIGUSR1)
        wait_until(lambda: ask(address, "/healthz")[0] == 503, BLOCKED_SECONDS, "it was seen while it was blocked")
        fed = listener.said("WATCHDOG=1")
        status, body = ask(address, "/readyz")
        assert (status, "the event loop has been blocked" in json.loads(body)["reasons"][0]) == (503, True)
        scraped = ask(address, "/metrics")[1].decode()
        assert "syncer_stalled_parts 1.0" in scraped
        assert "syncer_ready 0.0" in scraped
        assert ask(address, "/production")[0] == 200
        assert listener.said("WATCHDOG=1") == fed
        wait_until(lambda: ask(address, "/healthz")[0] == 200, 40, "it moved again")
        wait_until(lambda: listener.said("WATCHDOG=1") > fed, 60, "the watchdog was fed again")


HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend public
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    option httpchk
    http-check send meth {method} uri /production
    http-check expect status 200
    default-server inter 100ms fall 1 rise 1
    server production {production} check
    server failover {failover} check
"""


@contextlib.contextmanager
def haproxy(folder: Path, port: int, **places: str) -> Iterator[None]:
    """Run HAProxy in front of both nodes; what it balances is their own health service."""
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, **places))
    program = shutil.which("haproxy")
    assert program is not None
    with (folder / "haproxy.log").open("wb") as log:
        running = subprocess.Popen([program, "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        yield
    finally:
        running.terminate()
        running.wait(20)


def node_behind(port: int) -> str:
    """Return the name of the node that traffic reaches now; "" for none."""
    try:
        status, body = ask(f"127.0.0.1:{port}", "/status")
    except OSError:
        return ""
    return str(json.loads(body)["node"]) if status == 200 else ""


@pytest.mark.soak
@pytest.mark.needs("haproxy")
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_haproxy_follows_a_promotion_and_the_way_home(tmp_path: Path, method: str) -> None:
    with paired(tmp_path, start=False) as pair:
        pair.failover.stop()
        for node in (pair.production, pair.failover):
            node.http = f"127.0.0.1:{free_port()}"
            node.write_configuration(pair.tables_of(node))
        pair.start()
        pair.production.put("file", "x")
        pair.wait_synced()
        public = free_port()
        with haproxy(tmp_path, public, method=method, production=pair.production.http, failover=pair.failover.http):
            wait_until(lambda: node_behind(public) == "prod-a", 60, "traffic went to production")
            pair.failover.cli("promote", "--yes")
            wait_until(lambda: node_behind(public) == TARGET, 60, "traffic followed")
            assert ask(pair.production.http, "/production")[0] == 503
            assert ask(pair.production.http, "/failover")[0] == 200
            # A dead one gets nothing either, and nobody but a person promotes.
            pair.failover.kill()
            wait_until(lambda: node_behind(public) == "", 60, "traffic went nowhere")
            pair.production.cli("promote", "--force", "--yes")
            wait_until(lambda: node_behind(public) == "prod-a", 60, "traffic was back")
            pair.failover.start()
            wait_until(lambda: pair.failover.status()["mode"] == "fenced", 60, "the other one was fenced")
            assert [ask(pair.failover.http, path)[0] for path in ("/production", "/failover")] == [503, 503]
            assert node_behind(public) == "prod-a"
