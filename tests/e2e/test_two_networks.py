"""Real nginx on two machines with different addresses: failover's copy binds on failover's address, and answers."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.substitution.rewrite import rewrite
from tests.e2e.harness import RETRY, TARGET, Node, Pair, wait_until
from tests.e2e.machine_node import MachineNode
from tests.packages.machines import Machine, nginx_line, two_machines
from tests.packages.production import FIXTURES
from tests.packages.rules import rule_set, tables

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ip", "nginx", "nsenter", "unshare")]

CONFIGURATION = FIXTURES / "two_networks"
PORT = 7443
ADDRESSES = ("10.71.0.1", "10.72.0.1")
SECONDS = 60.0

EXTRA = "server { listen 10.71.0.1:8081; server_name prod.example.com; return 200 'also on $server_addr'; }\n"


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Return production's machine and failover's."""
    with two_machines(("10.71.0.1/16", "2001:db8:71::1/64"), ("10.72.0.1/16", "2001:db8:72::1/64")) as both:
        yield both


def becomes(machine: Machine, address: str, name: str, expected: str, port: int = 8080) -> None:
    """Return once a web server answers as told; fails with what it answered last."""
    answer = ""

    def is_answered() -> bool:
        nonlocal answer
        answer = machine.ask(address, port, name)
        return answer == expected

    try:
        wait_until(is_answered, SECONDS, f"{address} answered")
    except Exception as error:
        raise AssertionError(f"{address}, asked for {name}, answered {answer!r} instead of {expected!r}") from error


def both_answer(ours: Machine, theirs: Machine) -> None:
    """Ask each machine's nginx by its own addresses and name, from the machine itself."""
    for machine, number, name in ((ours, 71, "prod.example.com"), (theirs, 72, "failover.example.com")):
        four, six = f"10.{number}.0.1", f"2001:db8:{number}::1"
        becomes(machine, four, name, f"{four} asks {six} for {name}")
        becomes(machine, six, name, f"{six} asks {six} for {name}")
    # Nobody is called as production there, and production's network is not let in.
    becomes(theirs, "10.72.0.1", "prod.example.com", "nobody is called prod.example.com here")
    wait_until(
        lambda: "403 Forbidden" in ours.ask("10.72.0.1", 8080, "failover.example.com"), SECONDS, "it was not let in"
    )


def assert_productions_copy_is_refused(theirs: Machine, production: Path, folder: Path) -> None:
    """Production's file as it is does not even start there: that is what the rules are for."""
    folder.mkdir()
    refused = theirs.run(*nginx_line(production / "nginx.conf", folder), "-t")
    assert refused.returncode != 0
    assert "bind() to 10.71.0.1:8080 failed" in refused.stdout


def test_a_rendered_configuration_binds_and_answers(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    ours, theirs = machines
    rules = rule_set()

    def render(taken: str, put: str) -> None:
        mapping = rules.for_path("nginx", os.fsencode(os.path.relpath(taken, CONFIGURATION)))
        assert mapping is not None
        Path(put).write_bytes(rewrite(Path(taken).read_bytes(), mapping)[0])

    shutil.copytree(CONFIGURATION, tmp_path / "copy", copy_function=render)
    assert_productions_copy_is_refused(theirs, CONFIGURATION, tmp_path / "refused")
    with (
        ours.nginx(CONFIGURATION / "nginx.conf", tmp_path / "one"),
        theirs.nginx(tmp_path / "copy" / "nginx.conf", tmp_path / "other"),
    ):
        both_answer(ours, theirs)


class MachinePair(Pair):
    """Production on one machine and failover on the other, with the rules between them."""

    def __init__(self, folder: Path, machines: tuple[Machine, Machine]) -> None:
        super().__init__(folder)
        ours, theirs = machines
        self.production = MachineNode(folder / "production", "prod-a", "production", PORT, ours, ADDRESSES[0])
        self.failover = MachineNode(folder / "failover", TARGET, "failover", PORT, theirs, ADDRESSES[1])
        self.address = self.failover.address

    def tables_of(self, node: Node) -> str:
        """Return the domain's table, and on production the target's with its rules."""
        domain = f'[domains.nginx]\npath = "{node.root}"\n'
        target = f'\n[[failover]]\nname = "{TARGET}"\naddress = "{self.address}"\n{RETRY}{tables()}'
        return domain + (target if node is self.production else "")


def test_what_agents_synchronize_binds_and_answers(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    ours, theirs = machines
    pair = MachinePair(tmp_path, machines)
    try:
        pair.init()
        shutil.copytree(CONFIGURATION, pair.production.root, dirs_exist_ok=True)
        pair.pair()
        pair.start()
        pair.production.cli("wait", "--synced", "--timeout", "60s")
        assert_productions_copy_is_refused(theirs, pair.production.root, tmp_path / "refused")
        with (
            ours.nginx(pair.production.root / "nginx.conf", tmp_path / "one"),
            theirs.nginx(pair.failover.root / "nginx.conf", tmp_path / "other") as server,
        ):
            both_answer(ours, theirs)
            (pair.production.root / "sites" / "extra.conf").write_text(EXTRA, "utf-8")
            pair.production.cli("wait", "--synced", "--timeout", "60s")
            server.send_signal(signal.SIGHUP)
            becomes(theirs, "10.72.0.1", "failover.example.com", "also on 10.72.0.1", 8081)
    finally:
        pair.end()
