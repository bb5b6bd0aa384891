"""How tests reload a node, and what they look at afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from syncer.demo.node import environment
from tests.e2e.harness import Node

SECONDS = 60.0


def reload(node: Node) -> None:
    os.kill(node.pid, signal.SIGHUP)


def reloaded(node: Node, count: int = 1) -> list[dict[str, Any]]:
    """Return the events of the reloads that were done, once there are so many."""
    return node.told("config.reloaded", count)


def refusals(node: Node) -> int:
    return node.log.read_text("utf-8").count("the configuration was not reloaded:")


def edit(node: Node, before: str, after: str) -> None:
    text = node.config.read_text("utf-8")
    assert before in text, text
    node.config.write_text(text.replace(before, after), "utf-8")


def begin(node: Node, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of syncer on a node, and do not wait for it."""
    line = [sys.executable, "-m", "syncer", "--config", str(node.config), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
