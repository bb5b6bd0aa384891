"""Addresses are substituted on the way between real agents, and the way back is known to failover alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.model import Kind
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.store import StateStore
from tests.e2e.harness import DOMAIN, TARGET, Pair, paired, wait_until

RULES = """
[[failover.substitute]]
from = "10.0.1.10"
to = "10.0.2.10"

[[failover.substitute]]
from = "10.1.0.0/16"
to = "10.2.0.0/16"

[[failover.substitute]]
from = "2001:db8:1::10"
to = "2001:db8:2::10"

[[failover.substitute]]
from = "prod.example.com"
to = "dr.example.com"

[[failover.substitute]]
from = "192.0.2.1"
to = "192.0.2.2"
swap = true
"""
MORE = """
[[failover.substitute]]
from = "172.16.0.1"
to = "172.16.0.2"
"""

LARGE = b"".join(b"server 10.0.1.10:%d; # and 10.0.2.10\n" % number for number in range(6_000))
TREE = {
    "plain": b"nothing to see\n",
    "nginx.conf": b"listen 10.0.1.10:443;\nallow 10.1.2.3;\nserver_name prod.example.com;\n",
    "both": b"old 10.0.2.10 new 10.0.1.10, 10.1.0.1 10.2.0.1",
    "swap": b"192.0.2.1 192.0.2.2",
    "spelled": b"listen [2001:0DB8:0001::0010]:443; name PROD.example.COM\r\n",
    "wide.ini": "host = 10.0.1.10\r\n".encode("utf-16"),
    "latin": "h\xf6st = 10.0.1.10".encode("latin-1"),
    "binary": b"\0\1\2 10.0.1.10 \0",
    "empty": b"",
    "sub/deep/only.conf": b"172.16.0.1",
    "large": LARGE,
}
WANTED = {
    "plain": TREE["plain"],
    "nginx.conf": b"listen 10.0.2.10:443;\nallow 10.2.2.3;\nserver_name dr.example.com;\n",
    "both": b"old 10.0.2.10 new 10.0.2.10, 10.2.0.1 10.2.0.1",
    "swap": b"192.0.2.2 192.0.2.1",
    "wide.ini": "host = 10.0.2.10\r\n".encode("utf-16"),
    "latin": "h\xf6st = 10.0.2.10".encode("latin-1"),
    "binary": TREE["binary"],
    "empty": b"",
    "sub/deep/only.conf": b"172.16.0.1",
    "large": LARGE.replace(b"10.0.1.10", b"10.0.2.10"),
}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, rules=RULES, start=False) as found:
        fill(found.production.root, TREE)
        found.start()
        synchronized(found)
        yield found


def fill(root: Path, tree: dict[str, bytes]) -> None:
    for name, data in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def synchronized(pair: Pair) -> None:
    pair.production.cli("wait", TARGET, "--synced", "--timeout", "60s")


def came_home(pair: Pair) -> dict[str, bytes]:
    """Return what failover's files are on production, told by failover's disk and state alone."""
    root = pair.failover.root
    found = {}
    with StateStore.open(pair.failover.state) as store:
        back = WayBack(store, DOMAIN)
        for known in Base(store).rows(DOMAIN):
            if known.entry.kind is Kind.FILE:
                data = (root / os.fsdecode(known.entry.path)).read_bytes()
                home = back.of(known.entry, iter((data,)), edited=False)
                found[os.fsdecode(known.entry.path)] = b"".join(home.pieces)
    return found


def test_guarantee_10_what_was_not_edited_on_failover_comes_home_byte_identical(pair: Pair) -> None:
    for name, data in WANTED.items():
        assert (pair.failover.root / name).read_bytes() == data, name
    assert b"2001:db8:2::10" in (pair.failover.root / "spelled").read_bytes()
    assert pair.production.stream()["problems"] == []
    pair.stop()
    assert came_home(pair) == TREE


def test_a_change_arrives_rendered_and_equal_trees_send_nothing(pair: Pair) -> None:
    root = pair.production.root
    (root / "nginx.conf").write_bytes(b"listen 10.0.1.10:8443;\n")
    (root / "new").write_bytes(b"prod.example.com")
    # Other bytes on production, the same on failover: only where they come from is news.
    inode = (pair.failover.root / "both").stat().st_ino
    stamp = (root / "both").stat()
    (root / "both").write_bytes(b"old 10.0.1.10 new 10.0.2.10, 10.1.0.1 10.2.0.1")
    os.utime(root / "both", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    synchronized(pair)
    assert (pair.failover.root / "nginx.conf").read_bytes() == b"listen 10.0.2.10:8443;\n"
    assert (pair.failover.root / "new").read_bytes() == b"dr.example.com"
    assert (pair.failover.root / "both").stat().st_ino == inode
    done = pair.production.json("snapshot", TARGET)
    assert [domain["changes"] for target in done["targets"] for domain in target["domains"]] == [0]
    assert pair.production.json("verify", TARGET)["exit_code"] == 0
    pair.stop()
    assert came_home(pair)["both"] == b"old 10.0.1.10 new 10.0.2.10, 10.1.0.1 10.2.0.1"


def test_other_rules_and_sighup_render_exactly_the_files_that_change(pair: Pair) -> None:
    before = {name: (pair.failover.root / name).stat().st_ino for name in TREE}
    pair.rules = RULES + MORE
    pair.production.write_configuration(pair.tables_of(pair.production))
    os.kill(pair.production.pid, signal.SIGHUP)
    changed = pair.failover.root / "sub/deep/only.conf"
    wait_until(lambda: changed.read_bytes() == b"172.16.0.2", 60, "the new rule was applied")
    synchronized(pair)
    after = {name: (pair.failover.root / name).stat().st_ino for name in TREE}
    assert [name for name in TREE if before[name] != after[name]] == ["sub/deep/only.conf"]
    assert pair.production.told("config.reloaded")
    pair.stop()
    assert came_home(pair) == TREE


@pytest.mark.soak
def test_without_rules_failover_gets_productions_own_bytes(pair: Pair) -> None:
    pair.rules = ""
    pair.production.write_configuration(pair.tables_of(pair.production))
    os.kill(pair.production.pid, signal.SIGHUP)
    pair.wait_equal()
    synchronized(pair)
    pair.stop()
    assert came_home(pair) == TREE


@pytest.mark.soak
def test_what_is_edited_on_failover_is_put_back_as_it_was_rendered(tmp_path: Path) -> None:
    with paired(tmp_path, rules=RULES, domain='drift = "restore"\n', start=False) as pair:
        fill(pair.production.root, TREE)
        pair.start()
        synchronized(pair)
        edited = pair.failover.root / "nginx.conf"
        edited.write_bytes(b"listen 10.0.1.10:1;\n")
        wait_until(lambda: edited.read_bytes() == WANTED["nginx.conf"], 60, "the rendering was put back")


def test_rules_of_failover_that_are_not_the_inverse_are_refused(tmp_path: Path) -> None:
    wrong = '\n[[failover]]\nname = "prod-a"\naddress = "127.0.0.1:1"\n[[failover.substitute]]\nfrom = "10.0.2.10"\n'
    with paired(tmp_path, rules=RULES, start=False) as pair:
        fill(pair.production.root, TREE)
        failover = pair.failover
        failover.stop()
        failover.write_configuration(f'{pair.tables_of(failover)}{wrong}to = "10.0.9.9"\n')
        pair.start()
        stream = pair.wait_for(lambda stream: "disagree" in stream["reason"], "production heard why")
        assert "10.0.1.10 → 10.0.2.10" in stream["reason"]
        assert list(failover.root.iterdir()) == []
        wait_until(lambda: failover.raised("rules.refused"), 60, "it was an event")
        refused = len(pair.production.raised("sync"))
        wait_until(lambda: len(pair.production.raised("sync")) > refused + 1, 60, "production tried again")
        assert [found["peer"] for found in failover.raised("rules.refused")] == ["prod-a"]


def test_rules_of_failover_are_compared_as_soon_as_they_are_loaded(pair: Pair) -> None:
    wrong = '\n[[failover]]\nname = "prod-a"\naddress = "127.0.0.1:1"\n[[failover.substitute]]\nfrom = "10.0.2.10"\n'
    failover = pair.failover
    failover.write_configuration(f'{pair.tables_of(failover)}{wrong}to = "10.0.9.9"\n')
    os.kill(failover.pid, signal.SIGHUP)
    pair.wait_for(lambda stream: "disagree" in stream["reason"], "production heard why")


def test_a_target_that_has_not_got_the_new_rendering_is_not_called_level(pair: Pair) -> None:
    production = pair.production
    production.cli("suspend", TARGET)
    pair.rules = RULES + MORE
    production.write_configuration(pair.tables_of(production))
    os.kill(production.pid, signal.SIGHUP)
    wait_until(lambda: production.raised("config.reloaded"), 60, "the rules were loaded")
    only = str(production.root / "sub/deep/only.conf")
    assert production.stream()["changes_behind"] > 0
    assert "would lose nothing" not in production.cli("status", check=False).stdout
    assert [target["state"] for target in production.json("explain", only)["targets"]] == ["not compared"]
    # Neither does a restart make it level.
    production.stop()
    production.start()
    assert production.stream()["changes_behind"] > 0
    production.cli("resume", TARGET)
    synchronized(pair)
    assert production.stream()["changes_behind"] == 0
    assert (pair.failover.root / "sub/deep/only.conf").read_bytes() == b"172.16.0.2"


@pytest.mark.soak
def test_a_file_that_could_not_come_home_is_not_called_equal(pair: Pair) -> None:
    # Spellings that no inverse could guess, in no pattern that could be kept in short.
    lines = (f"2001:DB8:1:0:0:{os.urandom(2).hex().upper()}:{os.urandom(2).hex()}:%X\n" % n for n in range(1, 65_000))
    wide = RULES + '[[failover.substitute]]\nfrom = "2001:db8:1::/48"\nto = "2001:db8:2::/48"\n'
    pair.rules = wide.replace('from = "2001:db8:1::10"\nto = "2001:db8:2::10"', 'from = "10.7.7.7"\nto = "10.7.7.8"')
    pair.production.write_configuration(pair.tables_of(pair.production))
    os.kill(pair.production.pid, signal.SIGHUP)
    (pair.production.root / "hopeless").write_text("".join(lines))
    pair.wait_for(lambda stream: stream["problems"], "the file was named")
    synchronized(pair)
    found = pair.production.json("diff", TARGET, expected=None)
    [domain] = found["targets"][0]["domains"]
    assert [item["path"] for item in domain["unsent"]] == ["hopeless"]
    assert found["exit_code"] == 3
    assert "that cannot be sent" in pair.production.cli("diff", TARGET, check=3).stdout
    (pair.production.root / "hopeless").unlink()
    synchronized(pair)
    assert pair.production.json("diff", TARGET)["exit_code"] == 0
