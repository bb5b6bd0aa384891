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
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.demo.node import environment
from syncer.model import Mode
from syncer.state.store import StateStore
from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, Pair, paired, wait_until

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, http=ANY_PORT) as found:
        (found.production.root / "file").write_text("x")
        found.production.cli("wait", "--synced")
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
    pair.production.cli("wait", "--synced")
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


def test_a_missing_root_is_no_readiness(pair: Pair) -> None:
    pair.production.root.rename(pair.production.folder / "away")
    address = served_by(pair.production)
    wait_until(lambda: ask(address, "/readyz")[0] == 503, 20, "it was seen")
    [reason] = json.loads(ask(address, "/readyz")[1])["reasons"]
    assert reason.startswith(f"domain {DOMAIN}: ")
    assert ask(address, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair, socket.create_server(("127.0.0.1", 0)) as taken:
        pair.production.http = f"127.0.0.1:{taken.getsockname()[1]}"
        pair.production.write_configuration(pair.tables_of(pair.production))
        done = pair.production.cli("agent", check=1)
        assert f"cannot listen on {pair.production.http} for health and metrics" in done.stderr
        assert "Traceback" not in done.stderr
