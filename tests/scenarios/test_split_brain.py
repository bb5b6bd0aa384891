"""Two nodes on two networks, each promoted on its side of a cut: one goes on, one is fenced, nothing is lost."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gate import Gate
from tests.e2e.harness import DOMAIN, RETRY, TARGET, Node, Pair, wait_until
from tests.e2e.machine_node import MachineNode
from tests.packages.machines import Machine, plugged, two_machines, unplugged

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ip", "nsenter", "unshare")]

ADDRESSES = ("10.73.0.1", "10.74.0.1")
NETWORKS = (("10.73.0.1/16", "2001:db8:73::1/64"), ("10.74.0.1/16", "2001:db8:74::1/64"))
PORT = 7443
SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0
"""One heartbeat is 1 s; a connection that was cut is found anew within the pauses of RETRY, on a busy machine."""


class GatedMachineNode(MachineNode):
    """A node on a machine of its own, whose agent passes through a gate."""

    def __init__(self, folder: Path, name: str, mode: str, port: int, machine: Machine, host: str) -> None:
        super().__init__(folder, name, mode, port, machine, host)
        self.gate = Gate(folder / "gate")

    @property
    def environ(self) -> dict[str, str]:
        """Its gate."""
        return self.gate.environ


class SplitPair(Pair):
    """Two nodes on two machines that name each other."""

    def __init__(self, folder: Path, machines: tuple[Machine, Machine]) -> None:
        super().__init__(folder)
        self.machines = machines
        made = [
            GatedMachineNode(folder / mode, name, mode, PORT, machine, host)
            for mode, name, machine, host in zip(
                ("production", "failover"), ("prod-a", TARGET), machines, ADDRESSES, strict=True
            )
        ]
        self.production: GatedMachineNode = made[0]
        self.failover: GatedMachineNode = made[1]
        self.address = self.failover.address

    def tables_of(self, node: Node) -> str:
        """Return the domain's table, and the other node's."""
        other = self.failover if node is self.production else self.production
        target = f'[[failover]]\nname = "{other.name}"\naddress = "{other.address}"\ntimeout = "2s"\n{RETRY}'
        return f'[domains.{DOMAIN}]\npath = "{node.root}"\nsettle = "5ms"\n\n{target}'


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[SplitPair]:
    with two_machines(*NETWORKS) as machines, contextlib.ExitStack() as stack:
        made = SplitPair(tmp_path, machines)
        stack.callback(made.end)
        made.init()
        made.pair()
        made.start()
        made.production.put("common", "as it was\n")
        made.production.put("both", "as it was\n")
        made.wait_synced()
        yield made


def modes(pair: SplitPair) -> tuple[str, str]:
    return pair.production.status()["mode"], pair.failover.status()["mode"]


def is_healed(pair: SplitPair, loser: Node) -> bool:
    return bool(loser.status()["mode"] == "fenced")


def edit_both(pair: SplitPair) -> None:
    """Edit on both sides: a file each of its own, one that both know, and one that only one side deletes."""
    for node in (pair.production, pair.failover):
        node.put(f"of-{node.name}", f"made on {node.name}\n")
        node.put("both", f"edited on {node.name}\n")


def heal(pair: SplitPair, loser: Node) -> None:
    """Let both meet again: within a heartbeat the loser is fenced."""
    plugged(pair.machines, NETWORKS)
    began = time.monotonic()
    wait_until(lambda: is_healed(pair, loser), SECONDS, f"{loser.name} was fenced")
    assert time.monotonic() - began < HEARTBEAT_SECONDS


def require_one_sends(pair: SplitPair, winner: Node, loser: Node) -> None:
    """Check that the loser neither sends nor accepts, and that all of both stands where it was made."""
    for status in (loser.status(), winner.status()):
        is_winner = status["node"] == winner.name
        assert status["mode"] == ("production" if is_winner else "fenced")
        assert bool(status["targets"]) == is_winner
    assert loser.cli("snapshot", "--yes", check=4).returncode == 4
    for node, other in ((winner, loser), (loser, winner)):
        assert (node.root / "both").read_text() == f"edited on {node.name}\n"
        assert (node.root / f"of-{node.name}").exists()
        assert not (node.root / f"of-{other.name}").exists()


def plan_of(node: Node, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the plan that a node makes, by path."""
    file = folder / "plan"
    node.cli("reverse", "--plan", str(file), check=False)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return {line["path"]: line for line in lines if "path" in line}


def bring_home(pair: SplitPair, winner: Node, loser: Node, folder: Path) -> None:
    """Check that the plan has the edits of both, carry it out, and find all of them again."""
    plan = plan_of(loser, folder)
    assert plan["both"]["here"] is not None
    assert plan["both"]["there"] is not None
    assert plan[f"of-{winner.name}"]["here"] is not None
    assert plan[f"of-{loser.name}"]["there"] is not None
    loser.cli("rejoin", "--yes")
    winner.cli("wait", "--synced", "--timeout", "60s")
    assert pair.differences() == []
    assert (loser.root / "both").read_text() == f"edited on {winner.name}\n"
    kept = {file.read_text() for file in (loser.folder / ".syncer").rglob("*") if file.is_file()}
    assert {f"edited on {loser.name}\n", f"made on {loser.name}\n"} <= kept


@pytest.mark.soak
def test_guarantee_2_a_production_that_was_cut_off_is_fenced_and_what_it_took_meanwhile_is_kept(
    pair: SplitPair, tmp_path: Path
) -> None:
    old, new = pair.production, pair.failover
    unplugged(pair.machines)
    new.cli("promote", "--force", "--yes")
    assert modes(pair) == ("production", "production")
    edit_both(pair)
    heal(pair, old)
    require_one_sends(pair, new, old)
    assert new.raised("split_brain") == old.raised("split_brain") == []
    bring_home(pair, new, old, tmp_path)


@pytest.mark.slow
def test_guarantee_2_of_two_promotions_by_force_one_is_fenced_and_both_sides_edits_are_in_the_plan(
    pair: SplitPair, tmp_path: Path
) -> None:
    old, new = pair.production, pair.failover
    # The cut comes in the middle of a planned promotion: production has handed over, and its word is on the way.
    old.gate.hold("done hand_over")
    with (new.folder / "promote.log").open("ab") as log:
        following = new._forked(("promote", "--yes"), log, {}, session=False)
    old.gate.wait_held()
    unplugged(pair.machines)
    old.gate.open()
    # Each operator, cut off from the other one, has his own node serve.
    old.cli("procedure", "abort", "--force", "--yes")
    wait_until(lambda: old.status()["mode"] == "production", SECONDS, "the old production was itself again")
    # Had he promoted it without giving up first, its term would be the higher one.
    new.cli("procedure", "abort", "--force", "--yes")
    new.cli("promote", "--force", "--yes")
    following.wait(SECONDS)
    terms = [node.status()["term"] for node in (old, new)]
    assert terms[0]["counter"] == terms[1]["counter"] > 1
    assert modes(pair) == ("production", "production")
    edit_both(pair)
    loser, winner = sorted((old, new), key=lambda node: node.status()["node_id"])
    heal(pair, loser)
    require_one_sends(pair, winner, loser)
    for node in (winner, loser):
        [split] = node.told("split_brain")
        assert split["fenced_node"] == loser.status()["node_id"]
    bring_home(pair, winner, loser, tmp_path)
