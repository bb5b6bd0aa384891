"""What stands on failover goes home between real agents, without a [[failover]] table that says where that is."""

from __future__ import annotations

from pathlib import Path

from syncer.model import Mode
from syncer.state.store import StateStore
from tests.e2e.harness import DOMAIN, Node, Pair, paired, wait_until
from tests.e2e.test_substitution import RULES, TREE, WANTED, fill, synchronized


def turn(pair: Pair) -> None:
    """Exchange the modes of two stopped nodes, as a procedure does."""
    for node, mode in ((pair.production, Mode.FAILOVER), (pair.failover, Mode.PRODUCTION)):
        with StateStore.open(node.state) as store:
            store.set_mode(mode)


def state_of(node: Node, name: str) -> str:
    [target] = [found for found in node.status()["targets"] if found["name"] == name]
    return str(target["state"])


def read(node: Node) -> dict[str, bytes]:
    return {
        str(path.relative_to(node.root)): path.read_bytes() for path in sorted(node.root.rglob("*")) if path.is_file()
    }


def test_guarantee_10_what_was_not_edited_goes_home_by_its_origin_to_where_it_came_from(tmp_path: Path) -> None:
    with paired(tmp_path, rules=RULES, start=False) as pair:
        fill(pair.production.root, TREE)
        pair.start()
        synchronized(pair)
        name = pair.production.status()["node"]
        pair.stop()
        turn(pair)
        (pair.failover.root / "swap").write_bytes(b"edited 192.0.2.2")
        (pair.failover.root / "new").write_bytes(b"dr.example.com")
        (pair.failover.root / "plain").unlink()
        inodes = {path: (pair.production.root / path).stat().st_ino for path in TREE if path not in ("swap", "plain")}
        pair.start()
        pair.failover.cli("wait", name, "--ready", "--timeout", "20s")
        wait_until(lambda: state_of(pair.failover, name) not in ("connecting", "unreachable"), 20.0, "it was found")
        pair.failover.cli("snapshot", name, "--yes")
        wanted = {**TREE, "swap": b"edited 192.0.2.1", "new": b"prod.example.com"}
        del wanted["plain"]
        assert read(pair.production) == wanted
        assert {path: (pair.production.root / path).stat().st_ino for path in inodes} == inodes, "nothing was written"
        [stream] = [found for found in pair.failover.status()["targets"] if found["name"] == name]
        assert (stream["state"], stream["domains"][0]["problems"]) == ("streaming", [])
        # A change is on its way at once, as from any production.
        (pair.failover.root / "nginx.conf").write_bytes(WANTED["nginx.conf"] + b"# more\n")
        pair.failover.cli("wait", name, "--synced", "--timeout", "20s")
        assert (pair.production.root / "nginx.conf").read_bytes() == TREE["nginx.conf"] + b"# more\n"
        assert pair.failover.status()["targets"][0]["domains"][0]["name"] == DOMAIN
        before = read(pair.failover)
        pair.stop()
        # And once more the other way: nothing is to be done.
        for node, mode in ((pair.production, Mode.PRODUCTION), (pair.failover, Mode.FAILOVER)):
            with StateStore.open(node.state) as store:
                store.set_mode(mode)
        pair.start()
        pair.production.cli("wait", "--synced", "--timeout", "20s")
        assert read(pair.failover) == before
        assert pair.production.cli("diff").returncode == 0
