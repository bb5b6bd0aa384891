"""A pair whose nodes change places: each reaches the other through a proxy, and stops where a test wants it to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncer.demo.comparison import STAGING
from tests.e2e.forking import ForkedProcess
from tests.e2e.gate import Gate
from tests.e2e.harness import DOMAIN, RETRY, TARGET, Node, Pair
from tests.e2e.proxy import Proxy
from tests.ports import free_port
from tests.waiting import wait_until

SOURCE, RENDERED = b"192.0.2.1", b"198.51.100.1"
RULES = f"""
[[failover.substitute]]
from = "{SOURCE.decode()}"
to = "{RENDERED.decode()}"
swap = true
"""
BINARY = bytes(range(8))
"""How a file begins here in which no address is one."""
BETWEEN = b"<between both>"
"""Stands for one address while the other one takes its place."""
PAIRS = [(SOURCE, RENDERED), tuple(address.decode().encode("utf-16-le") for address in (SOURCE, RENDERED))]
SETTLED_SECONDS = 90.0


class GatedNode(Node):
    """A node whose agent passes through its gate."""

    def __init__(self, folder: Path, name: str, mode: str, port: int) -> None:
        super().__init__(folder, name, mode, port)
        self.gate = Gate(folder / "gate")

    @property
    def is_alive(self) -> bool:
        """Tell whether its agent runs."""
        return self.process is not None and self.process.poll() is None

    def begun(self, *arguments: str) -> ForkedProcess:
        """Begin a command, and do not wait for its end; what it says is in `commands.log`."""
        with (self.folder / "commands.log").open("ab") as log:
            return self._forked(arguments, log, {}, session=False)

    def procedures(self) -> list[dict[str, Any]]:
        """Return its latest procedures, the newest first."""
        found = self.asked("procedure")["procedures"]
        assert isinstance(found, list)
        return found

    def frozen(self) -> list[Any]:
        """Return what keeps its domains frozen."""
        return [domain["frozen"] for domain in self.status()["domains"] if domain.get("frozen")]

    @property
    def environ(self) -> Mapping[str, str]:
        """Its gate."""
        return self.gate.environ


class TwoWayPair(Pair):
    """`production` and `failover` are the places that the nodes begin in; who serves now is asked."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.failover: GatedNode = GatedNode(folder / "failover", TARGET, "failover", free_port())
        self.production: GatedNode = GatedNode(folder / "production", "prod-a", "production", free_port())
        self.there = Proxy(free_port(), self.failover.port)
        self.back = Proxy(free_port(), self.production.port)
        self.address = f"127.0.0.1:{self.there.port}"

    @property
    def proxies(self) -> list[Proxy]:
        """What lies between both nodes."""
        return [self.there, self.back]

    @property
    def nodes(self) -> tuple[GatedNode, GatedNode]:
        """Both, production's first."""
        return self.production, self.failover

    def tables_of(self, node: Node) -> str:
        """Return the domain's table, and the other node as a target: home lead the inverse rules, by themselves."""
        name, address = (TARGET, self.address) if node is self.production else ("prod-a", f"127.0.0.1:{self.back.port}")
        rules = self.rules if node is self.production else ""
        target = f'\n[[failover]]\nname = "{name}"\naddress = "{address}"\n{self._target}{RETRY}{rules}'
        return f'[domains.{DOMAIN}]\npath = "{node.root}"\n{self.domain_of(node)}{target}'

    def domain_of(self, node: Node) -> str:
        """Return further lines of the domain's table on one node."""
        return self._domain

    def cut(self) -> None:
        """Cut both directions."""
        self.there.cut()
        self.back.cut()

    def mend(self) -> None:
        """Let everything through again, and have every agent run."""
        self.there.restore()
        self.back.restore()
        for node in self.nodes:
            node.gate.open()
            if not node.is_alive:
                node.process = None
                node.start()

    def other(self, node: GatedNode) -> GatedNode:
        """Return the one that is not this one."""
        return self.failover if node is self.production else self.production

    def serving(self) -> GatedNode:
        """Return the one that is production now; there is exactly one."""
        found = [node for node in self.nodes if node.status()["mode"] == "production"]
        assert len(found) == 1, [(node.name, node.status()["mode"]) for node in self.nodes]
        return found[0]

    def settled(self, seconds: float = SETTLED_SECONDS) -> None:
        """Drive every procedure to its end, as a person does: what waits for one is resumed."""

        def is_over() -> bool:
            found = [(node, one) for node in self.nodes for one in node.status()["procedures"]]
            for node, one in found:
                if one["needs_person"] and one["role"] == "lead":
                    node.cli("procedure", one["id"], "resume", check=False)
            untold = [one for node in self.nodes for one in node.procedures()[:1] if not one["peer_told"]]
            return not found and not untold

        try:
            wait_until(is_over, seconds, "every procedure was over")
        except Exception as error:
            found = [(node.name, node.status()["procedures"]) for node in self.nodes]
            raise AssertionError(f"{error}: {found}\n{self.words()}") from error

    def words(self) -> str:
        """Return what both agents said last."""
        return "\n".join(f"{node.name}: {node.last_words(12)}" for node in self.nodes)

    def wait_level(self, seconds: float = SETTLED_SECONDS) -> None:
        """Return once what production has is acknowledged, and both trees are equal but for their addresses."""
        serving = self.serving()
        serving.cli("wait", "--synced", "--timeout", f"{seconds:g}s")
        ours, theirs = (tree_of(node.root) for node in self.nodes)
        expected = rendered(ours) if self.rules else ours
        assert theirs == expected, differing(theirs, expected)


Tree = dict[str, tuple[Any, ...]]
"""Each path with its kind, mode, owners, mtime and content."""


def tree_of(root: Path) -> Tree:
    """Read a tree with everything that must be equal; the root itself is `.`."""
    found: Tree = {}
    for path in [root, *sorted(root.rglob("*"))]:
        name = str(path.relative_to(root))
        if name.split("/", maxsplit=1)[0] == STAGING.decode():
            continue
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            content: object = None
            if path.is_symlink():
                content = str(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            found[name] = (oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, content)
    return found


def rendered(tree: Tree) -> Tree:
    """Return what production's tree is on failover, by RULES, and the other way round."""
    return {path: (*entry[:-1], swapped(entry[-1])) for path, entry in tree.items()}


def swapped(content: object) -> object:
    """Return a content with both addresses exchanged."""
    if not isinstance(content, bytes) or content.startswith(BINARY):
        return content
    for one, other in PAIRS:
        content = content.replace(one, BETWEEN).replace(other, one).replace(BETWEEN, other)
    return content


def differing(ours: Tree, theirs: Tree) -> list[str]:
    """Say where two trees differ, for a failure."""
    paths = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
    return [f"{path}: {ours.get(path)!r:.200} instead of {theirs.get(path)!r:.200}" for path in paths[:8]]
