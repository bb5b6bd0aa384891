"""Real agents and real packages: each package accepts what arrives on failover, and all of it comes home unchanged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from syncer.model import Kind
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.store import StateStore
from tests.e2e.harness import RETRY, TARGET, Node, Pair, wait_until
from tests.packages.checkers import PACKAGES, REFUSED, say
from tests.packages.expected import LEFT_ALONE, LINES, assert_lines
from tests.packages.leftover import files_naming_production
from tests.packages.production import MAKERS
from tests.packages.rendering import Rendered, data_of, files_of, rendered
from tests.packages.rules import tables

TOOLS = sorted({"unshare", *(tool for package in PACKAGES.values() for tool in package.tools)})
pytestmark = [pytest.mark.needs_root, pytest.mark.needs(*TOOLS)]

SECONDS = 60.0


class PackagesPair(Pair):
    """Production and failover with one domain for each package, and the rules between them."""

    def root_of(self, node: Node, name: str) -> Path:
        """Return where a node keeps a domain."""
        return node.folder / "domains" / name

    def tables_of(self, node: Node) -> str:
        """Return the tables of all domains, and on production the target's with its rules."""
        domains = "".join(f'[domains.{name}]\npath = "{self.root_of(node, name)}"\n\n' for name in MAKERS)
        target = f'[[failover]]\nname = "{TARGET}"\naddress = "{self.address}"\n{RETRY}{tables()}'
        return domains + (target if node is self.production else "")


def make_production(pair: PackagesPair, folder: Path) -> dict[str, Rendered]:
    """Put each package's tree at production's roots, make empty ones on failover; returns what is to arrive."""
    found = {}
    for name in MAKERS:
        found[name] = rendered(name, folder / name)
        root = pair.root_of(pair.production, name)
        root.parent.mkdir(parents=True, exist_ok=True)
        found[name].source.rename(root)
        copy = pair.root_of(pair.failover, name)
        copy.mkdir(parents=True)
        data_of(copy).symlink_to(data_of(found[name].source))
    return found


def said_of(copy: Path) -> str:
    """Return what is wrong with failover's copy in the eyes of its package; "" for nothing."""
    said = say(copy.name, copy)
    missing = [answer for answer in PACKAGES[copy.name].answers if answer not in said]
    return said if said.startswith(REFUSED) else f"{missing} is not in:\n{said}" if missing else ""


def assert_arrived(pair: PackagesPair, expected: dict[str, Rendered]) -> None:
    """Fail where a copy is not the rendering, does not read as written by hand, or names production."""
    for name, rendering in expected.items():
        copy = pair.root_of(pair.failover, name)
        wanted, found = files_of(rendering.copy), files_of(copy)
        assert [path for path in wanted | found if wanted.get(path) != found.get(path)] == [], name
        assert_lines(copy, LINES[name])
        assert files_naming_production(copy).keys() <= LEFT_ALONE[name], name


def came_home(pair: PackagesPair, name: str) -> dict[str, bytes]:
    """Return what the files of a domain are on production, told by failover's disk and state alone."""
    found = {}
    with StateStore.open(pair.failover.state) as store:
        back = WayBack(store, name)
        for applied in (known.entry for known in Base(store).rows(name) if known.entry.kind is Kind.FILE):
            path = os.fsdecode(applied.path)
            data = (pair.root_of(pair.failover, name) / path).read_bytes()
            found[path] = b"".join(back.of(applied, iter((data,)), edited=False).pieces)
    return found


def test_guarantee_10_failovers_copies_are_accepted_and_come_home(tmp_path: Path) -> None:
    pair = PackagesPair(tmp_path / "nodes")
    try:
        pair.init()
        expected = make_production(pair, tmp_path / "expected")
        before = {name: files_of(pair.root_of(pair.production, name)) for name in MAKERS}
        pair.pair()
        pair.start()
        pair.production.cli("wait", "--synced", "--timeout", "60s")
        assert_arrived(pair, expected)
        assert {name: files_of(pair.root_of(pair.production, name)) for name in MAKERS} == before
        with ThreadPoolExecutor(2) as pool:
            verdicts = dict(
                zip(PACKAGES, pool.map(said_of, [pair.root_of(pair.failover, name) for name in PACKAGES]), strict=True)
            )
        assert {name: said for name, said in verdicts.items() if said} == {}

        # A change of one line is rendered on its way as well, and nothing else is sent for it.
        shop = pair.root_of(pair.production, "nginx") / "sites-available" / "shop.conf"
        shop.write_text(shop.read_text("utf-8").replace("10.71.0.10:8443 ssl;", "10.71.0.20:9443 ssl;"), "utf-8")
        copy = pair.root_of(pair.failover, "nginx")
        wanted = b"listen 10.72.0.10:9443 ssl;"
        wait_until(lambda: wanted in (copy / "sites-available" / "shop.conf").read_bytes(), SECONDS, "it arrived")
        assert not say("nginx", copy).startswith(REFUSED)

        # Every byte is read again on both sides: what was rendered is what is compared.
        pair.production.cli("wait", "--synced", "--timeout", "60s")
        pair.production.cli("verify")
        before["nginx"]["sites-available/shop.conf"] = shop.read_bytes()
        pair.stop()
        assert {name: came_home(pair, name) for name in MAKERS} == before
    finally:
        pair.end()
