"""Measures how soon a fault shows: in the exit code and the lines of `syncer status`, the metrics and the events."""

from __future__ import annotations

import http.client
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from syncer.cli.render_status import render_status
from tests.e2e.harness import Node, wait_until

TIMEOUT = 3.0
"""The target's `timeout` and failover's `peer_timeout` of these tests; the defaults are 10 s and 30 s."""
TARGET_TABLE = f'timeout = "{TIMEOUT:g}s"\n'
NODE_TABLE = f'peer_timeout = "{TIMEOUT:g}s"\nbehind_after = "{TIMEOUT:g}s"\n'
ANY_PORT = "127.0.0.1:0"
LONGEST = 30.0

Metrics = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Fault(NamedTuple):
    """What must be seen of a fault on one node."""

    name: str
    event: str
    line: str
    """Words of what `syncer status` prints."""
    exit: int
    metric: str
    labels: Mapping[str, str] = {}
    least: float = 1.0
    """The smallest value of the metric, whatever its sign, that tells of the fault."""


def scraped(address: str) -> str:
    """Return what /metrics of this address answers."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def parsed(text: str) -> Metrics:
    """Return each sample by its name and labels."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value for found in families for sample in found.samples
    }


class Watch:
    """Looks at one node again and again; made while all is well."""

    def __init__(self, node: Node, scrape: Callable[[], str] | None = None) -> None:
        self._node = node
        address = str(node.status()["http"])
        self._scrape = scrape or (lambda: scraped(address))
        wait_until(lambda: node.status()["exit_code"] == 0, 60, f"{node.name} was green")
        self._before = self.metrics()
        self.began = time.monotonic()
        """When the latest fault was caused."""

    def seconds(self, fault: Fault, cause: Callable[[], object]) -> dict[str, float]:
        """Return after how many seconds each sign of a fault that lasts was seen.

        `green`: when the exit code was last asked for and still 0.
        """
        found = self.signs(fault, cause)
        kept(fault, self._node.mode, found)
        said = self._node.cli("status", check=fault.exit).stdout
        assert fault.line in " ".join(said.split()), said
        return found

    def signs(self, fault: Fault, cause: Callable[[], object]) -> dict[str, float]:
        """Return what `seconds` does, of a fault that may be over a moment later."""
        self.began = began = time.monotonic()
        cause()
        caused = time.monotonic() - began
        found: dict[str, float] = {"green": 0.0}
        while missing := {"event", "line", "metric", "exit"} - found.keys():
            assert time.monotonic() - began < LONGEST, f"{fault.name}: no sign of it in {sorted(missing)}: {found}"
            asked = time.monotonic() - began
            document = self._node.status()
            now = time.monotonic() - began
            if document["exit_code"] == 0:
                found["green"] = asked
            signs = [*self._signs(fault, document)]
            found.update({sign: now for sign in signs if sign not in found})
        assert found["green"] - caused <= TIMEOUT, f"{fault.name}: green for {found['green']:.1f} s"
        return found

    def _signs(self, fault: Fault, document: dict[str, Any]) -> Iterator[str]:
        if document["exit_code"] == fault.exit:
            yield "exit"
        if fault.line in " ".join(rendered(document).split()):
            yield "line"
        metrics = self.metrics()
        raised = ("syncer_events_total", frozenset({("event", fault.event)}))
        if metrics[raised] > self._before[raised]:
            yield "event"
        if abs(metrics.get((fault.metric, frozenset(fault.labels.items())), 0.0)) >= fault.least:
            yield "metric"

    def metrics(self) -> Metrics:
        """Return what the node serves now."""
        return parsed(self._scrape())


def rendered(document: dict[str, Any]) -> str:
    """Return what `syncer status` prints of a document."""
    console = Console(file=io.StringIO(), width=1000)
    console.print(render_status(document))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def kept(fault: Fault, mode: str, found: Mapping[str, float]) -> None:
    """Append a measurement to the file that SYNCER_FAULTS names: scripts/bench/faults.py makes the table of them."""
    if file := os.environ.get("SYNCER_FAULTS"):
        with Path(file).open("a", encoding="utf-8") as writer:
            writer.write(json.dumps({"fault": fault.name, "seen on": mode, "seconds": dict(found)}) + "\n")
