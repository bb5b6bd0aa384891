"""Whole nodes in the test's own process, paired with each other, as an agent runs them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from syncer.config import load
from syncer.health.notifier import Notifier
from syncer.model import Mode
from syncer.node.agent import Node, _StopError
from syncer.node.reload import Reloading
from syncer.state.cursors import TargetRecord, record_target
from syncer.state.events import read_events
from syncer.state.peers import Peer, add_peer
from syncer.state.store import StateStore
from syncer.status import node_status
from syncer.trust import identity
from syncer.trust.certificates import fingerprint_of
from tests.ports import free_port

DOMAIN = "tree"
SECONDS = 20.0
P, F, X = Mode.PRODUCTION, Mode.FAILOVER, Mode.FENCED


class Place:
    """Where a node lies, stopped or running."""

    def __init__(self, folder: Path, name: str, mode: Mode, port: int) -> None:
        self.folder, self.name, self.mode, self.port = folder / name, name, mode, port
        self.root = self.folder / "root"
        self.state = self.folder / "state"
        self.config = self.folder / "syncer.toml"
        self.root.mkdir(parents=True)
        self.write()
        with StateStore.open(self.state, create=True) as store:
            self.node_id = store.node_id
            own = identity.create(self.state, store.node_id, name)
        self.peer = Peer(self.node_id, name, own.certificate_pem, fingerprint_of(own.certificate_pem), 0.0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def write(self, *targets: Place, node: str = "", domain: str = "") -> None:
        """Write the configuration, with these targets and further lines of two tables."""
        tables = f'[node]\nname = "{self.name}"\nmode = "{self.mode.value}"\nstate = "{self.state}"\n'
        tables += f'listen = "{self.address}"\nhttp = ""\n{node}\n[domains.{DOMAIN}]\npath = "{self.root}"\n{domain}\n'
        for target in targets:
            tables += f'[[failover]]\nname = "{target.name}"\naddress = "{target.address}"\n'
            tables += 'on_failure = { retry = "20ms..100ms" }\n'
        self.config.write_text(tables)

    def trust(self, other: Place) -> None:
        """Pin another node, as a target of that name too."""
        with StateStore.open(self.state) as store:
            add_peer(store, other.peer)
            record_target(store, TargetRecord(other.name, other.node_id, other.name))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Node]:
        """Run the node until the end of the block, as run_agent does; a part that fails fails the block."""
        store = StateStore.open(self.state)
        node = Node(load(self.config), store, identity.load(self.state, store.node_id))
        node.is_agent = True
        stopping = asyncio.Event()

        async def work() -> None:
            with contextlib.suppress(_StopError):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        node.supervise(tasks)
                        tasks.create_task(until_told())
                        reloading = Reloading(node, Notifier(""))
                        node.look_for_targets = reloading.look_for_targets
                        tasks.create_task(reloading.run())
                except BaseExceptionGroup as group:
                    raise group.exceptions[0] from group

        async def until_told() -> None:
            await stopping.wait()
            await node.drain()
            raise _StopError

        try:
            node.prepare(automatic=True)
            node.start_failover()
            await node.listen_for_peers()
            if node.production is not None:
                node.production.start()
            else:
                node.failover.watch_for_drift(node.fail_from_any_thread)  # type: ignore[union-attr]  # prepared
            node.modes.begin()
            working = asyncio.create_task(work())
            try:
                yield node
            finally:
                stopping.set()
                await working
        finally:
            await node.close()

    def raised(self, node: Node, *names: str) -> list[tuple[str, dict[str, Any]]]:
        """Return which of these events the journal has, the oldest first."""
        node.events.flush()
        found = [(event.name, event.variables) for event in read_events(node.store)]
        return [event for event in found if event[0] in names]


async def until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> float:
    """Return the seconds until `condition()` holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited in vain until {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def refusals(node: Node) -> Any:
    """Return whom a node's status names as refused."""
    return node_status(node)["refused"]


def shows(node: Node, number: int, words: str) -> bool:
    """Tell whether a production node gives this as the reason of its target of that number."""
    return words in str(node_status(node)["targets"][number]["reason"])


def contents(root: Path) -> dict[str, bytes]:
    """Return every file beneath a root."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Two:
    """Two nodes that trust each other, each of which names the other as its failover server."""

    def __init__(self, folder: Path, modes: tuple[Mode, Mode] = (P, F)) -> None:
        self.a = Place(folder, "a", modes[0], free_port())
        self.b = Place(folder, "b", modes[1], free_port())
        self.a.trust(self.b)
        self.b.trust(self.a)
        self.a.write(self.b)
        self.b.write(self.a)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())
