"""Real agents whose configuration changes under them: SIGHUP takes over what can change, and disturbs nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.demo.node import NodeProcess
from tests.e2e.harness import DOMAIN, RETRY, TARGET, Node, Pair, free_port, paired, wait_until

SECONDS = 20.0
OTHER = "other"


def reload(node: Node) -> None:
    os.kill(node.pid, signal.SIGHUP)


def reloaded(node: Node, count: int = 1) -> list[dict[str, Any]]:
    """Return the events of the reloads that were done, once there are so many."""
    wait_until(lambda: len(node.raised("config.reloaded")) >= count, SECONDS, f"{node.name} had reloaded")
    return node.raised("config.reloaded")


def edit(node: Node, before: str, after: str) -> None:
    text = node.config.read_text("utf-8")
    assert before in text, text
    node.config.write_text(text.replace(before, after), "utf-8")


def other_root(node: NodeProcess) -> Path:
    return node.folder / "other"


def add_domain(pair: Pair) -> None:
    """Give both nodes a second domain, with its root."""
    for node in (pair.production, pair.failover):
        other_root(node).mkdir(exist_ok=True)
        with node.config.open("a", encoding="utf-8") as writer:
            writer.write(f'\n[domains.{OTHER}]\npath = "{other_root(node)}"\n')


def sessions(node: Node) -> int:
    """Return how many sessions have ended on failover."""
    return node.log.read_text("utf-8").count("session of ")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, target='timeout = "5s"\n') as found:
        (found.production.root / "a").write_text("1", "utf-8")
        found.wait_equal()
        yield found


def test_a_changed_pattern_takes_effect_and_what_changes_meanwhile_arrives(pair: Pair) -> None:
    production = pair.production
    (production.root / "b.skip").write_text("1", "utf-8")
    pair.wait_equal()
    edit(production, f"[domains.{DOMAIN}]\n", f'[domains.{DOMAIN}]\nexclude = ["*.skip"]\n')
    reload(production)
    for number in range(50):
        (production.root / f"n{number}").write_text(str(number), "utf-8")
    (production.root / "b.skip").write_text("2", "utf-8")
    (production.root / "c.skip").write_text("1", "utf-8")
    [event] = reloaded(production)
    assert (event["changed"], event["restart_needed"]) == (f"domains.{DOMAIN}.exclude", "")
    production.cli("wait", "--synced")
    assert {path.name for path in pair.failover.root.iterdir()} == {"a", "b.skip", *(f"n{n}" for n in range(50))}
    assert (pair.failover.root / "b.skip").read_text("utf-8") == "1"
