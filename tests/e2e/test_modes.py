"""Modes and terms of real agents: who was left behind by a promotion stops, is fenced, and stays so."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from syncer.model import Mode, Term
from syncer.state.store import StateStore
from syncer.state.term import next_term, take_mode
from tests.documented import deviations, examples
from tests.e2e.harness import DOMAIN, TARGET, Node, free_port, paired, wait_until


def code_of(node: Node, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{node.http}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def promote_by_force(node: Node) -> Term:
    """What a forced promotion of a stopped node leaves in its state."""
    with StateStore.open(node.state) as store:
        term = next_term(store)
        take_mode(store, Mode.PRODUCTION, term, "promoted by force")
    return term


def unsent(node: Node) -> Any:
    return node.status()["domains"][0]["unsent"]


def has_more(node: Node, before: int) -> bool:
    return bool(unsent(node) > before)


def test_guarantee_2_a_returning_production_is_fenced_everywhere_at_once_and_after_a_restart(tmp_path: Path) -> None:
    stopped = tmp_path / "services-stopped"
    commands = f'start = ["true"]\nstop = ["touch", "{stopped}"]\n'
    settings = {"domain": commands, "node": "stop_services_when_fenced = true\n"}
    with paired(tmp_path, start=False, http=f"127.0.0.1:{free_port()}", **settings) as pair:
        pair.failover.stop()
        pair.failover.http = ""
        pair.failover.write_configuration(pair.tables_of(pair.failover))
        pair.start()
        (pair.production.root / "sent").write_text("x")
        pair.wait_equal()
        pair.failover.stop()
        term = promote_by_force(pair.failover)
        (pair.production.root / "unsent").write_text("y")
        # The new production serves, and is what the old one reaches first.
        pair.failover.start()
        wait_until(lambda: pair.production.status()["mode"] == "fenced", 20.0, "the old production is fenced")
        wait_until(stopped.exists, 20.0, "its services were stopped, since its own configuration says so")
        for _ in range(2):
            status = pair.production.status()
            assert deviations(examples()["status"], status) == []
            assert (status["term"]["counter"], status["targets"], status["exit_code"]) == (term.counter, [], 4)
            assert "another node was promoted" in status["mode_reason"]
            assert [code_of(pair.production, path) for path in ("/production", "/failover", "/readyz")] == [503] * 3
            wait_until(lambda: unsent(pair.production), 20.0, "what it never sent is counted")
            refused = pair.production.cli("snapshot", "--yes", check=4)
            assert "is fenced" in refused.stderr
            assert "syncer rejoin" in refused.stderr
            assert not (pair.failover.root / "unsent").exists()
            assert len(pair.production.raised("fenced")) == 1
            before = unsent(pair.production)
            (pair.production.root / f"later-{before}").write_text("z")
            wait_until(partial(has_more, pair.production, before), 20.0, "captures go on")
            pair.production.stop()
            pair.production.start()
        assert pair.failover.status()["mode"] == "production"
        assert {path.name for path in pair.failover.root.iterdir()} == {"sent"}
        assert pair.failover.raised("split_brain") == []


def test_both_nodes_may_name_each_other_and_the_mode_alone_decides_who_sends(tmp_path: Path) -> None:
    with paired(tmp_path, start=False) as pair:
        back = f'\n[[failover]]\nname = "prod-a"\naddress = "{pair.production.address}"\n'
        pair.failover.stop()
        pair.failover.write_configuration(pair.tables_of(pair.failover) + back)
        pair.start()
        (pair.production.root / "file").write_text("x")
        pair.wait_equal()
        (pair.failover.root / "local").write_text("an edit there")
        (pair.production.root / "file").write_text("y")
        wait_until(lambda: (pair.failover.root / "file").read_text() == "y", 20.0, "it flows one way")
        assert not (pair.production.root / "local").exists()
        stream = pair.production.stream()
        assert (stream["state"], stream["echoes"]) == ("streaming", 0)
        for node in (pair.production, pair.failover):
            assert node.status()["refused"] == []
        assert pair.failover.status()["targets"] == []
        assert pair.failover.name == TARGET
        assert DOMAIN in {domain["name"] for domain in pair.failover.status()["domains"]}
