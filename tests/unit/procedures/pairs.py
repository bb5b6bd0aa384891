"""Two nodes that run a fake procedure over real gRPC with mutual TLS, and can be killed at any commit of a journal."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from syncer.errors import StepFailedError, UnreachableError
from syncer.model import EventValue, Mode, Term
from syncer.procedures.keeper import Procedures
from syncer.procedures.kinds import Kind, Kinds, Run
from syncer.procedures.messages import Speaker
from syncer.procedures.server import procedure_handlers
from syncer.procedures.steps import Outcome, Role, StepSpec
from syncer.procedures.voice import Limits
from syncer.state.peers import Peer, add_peer
from syncer.state.store import StateStore
from syncer.state.term import observe_term, read_term
from syncer.trust import identity as identities
from syncer.trust.identity import Identity
from syncer.trust.server import Guard, trusted_certificates
from syncer.trust.tls import open_channel, server_credentials, server_options

FAST = Limits(answer=2.0, silence=2.0, beat=0.05, shortest=0.01, longest=0.05, ask=0.05)
NAMES = ("here", "there", "handover", "last")


class KilledError(BaseException):
    """The process of a node ended at this very moment."""


class World:
    """What outlives both processes: what the fake steps have done to it, and how they are made to fail."""

    def __init__(self) -> None:
        self.standing: list[str] = []
        """Steps whose effect stands, in the order in which they were done."""
        self.done: Counter[str] = Counter()
        self.undone: list[str] = []
        self.fails: dict[str, StepFailedError] = {}
        """By "require STEP", "do STEP", "verify STEP" or "undo STEP"; "!" behind it: each time, else once."""
        self.gates: dict[str, asyncio.Event] = {}
        """A step of this name waits here in the middle of its doing."""
        self.reached: dict[str, asyncio.Event] = {}
        """Set when it does."""

    def gate(self, step: str) -> asyncio.Event:
        """Have `step` wait in the middle; returns what is set once it does."""
        self.gates[step] = asyncio.Event()
        self.reached[step] = asyncio.Event()
        return self.reached[step]

    def fail(self, what: str) -> None:
        if f"{what}!" in self.fails:
            raise self.fails[f"{what}!"]
        if what in self.fails:
            raise self.fails.pop(what)


class FakeStep:
    """A step whose whole effect is a name in a list of the world."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    async def require(self, run: Run) -> None:
        self._world.fail(f"require {self._name}")

    async def do(self, run: Run) -> Mapping[str, Any]:
        self._world.fail(f"do {self._name}")
        self._world.done[self._name] += 1
        run.tell("half", 1, 2)
        if self._name not in self._world.standing:
            self._world.standing.append(self._name)
        if self._name in self._world.gates:
            self._world.reached[self._name].set()
            await self._world.gates[self._name].wait()
        return {"by": self._name, "given": run.parameters.get("given", ""), "before": sorted(run.results)}

    async def verify(self, run: Run) -> None:
        self._world.fail(f"verify {self._name}")
        if self._name not in self._world.standing:
            raise StepFailedError(f"{self._name} does not stand")

    async def undo(self, run: Run) -> None:
        self._world.fail(f"undo {self._name}")
        self._world.undone.append(self._name)
        if self._name in self._world.standing:
            self._world.standing.remove(self._name)


def fake_kind(world: World, limits: Mapping[str, float] | None = None, once: str = "", **options: Any) -> Kind:
    """The steps here (lead), there (second), handover (second, the point of no return), last (lead)."""
    steps: tuple[StepSpec, ...] = (
        StepSpec("here", "Do it here"),
        StepSpec("there", "Do it there", Role.SECOND),
        StepSpec("handover", "Hand over", Role.SECOND, point_of_no_return=True),
        StepSpec("last", "Clean up here"),
    )
    steps = tuple(
        spec._replace(limit=(limits or {}).get(spec.name, 0.0), idempotent=spec.name != once) for spec in steps
    )
    return Kind("fake", steps, {name: FakeStep(world, name) for name in NAMES}, **options)


class FakeVoice:
    """A node's term, in its node.db."""

    def __init__(self, store: StateStore, name: str, mode: Mode) -> None:
        self.heard: list[Speaker] = []
        self._store = store
        self._name = name
        self._mode = mode

    async def speak(self) -> Speaker:
        return Speaker(self._store.node_id, self._name, read_term(self._store), self._mode)

    async def hear(self, peer: Speaker) -> Speaker:
        self.heard.append(peer)
        observe_term(self._store, peer.term)
        return await self.speak()


class LiveNode:
    """One node; `start` and `kill` any number of times."""

    def __init__(self, directory: Path, name: str, mode: Mode, kinds: Callable[[], Kinds]) -> None:
        self.name = name
        self.directory = directory
        self.mode = mode
        self.address = ""
        self.others: list[LiveNode] = []
        self.writes: list[str] = []
        """Every commit of its journal, over all of its lives."""
        self.kill_at = 0
        """The commit, counted from 1 over all lives, behind which the process ends."""
        self.killed = asyncio.Event()
        self.events: list[tuple[str, dict[str, EventValue]]] = []
        self.limits = FAST
        self._kinds = kinds
        self._is_dead = False
        store = StateStore.open(directory, create=True)
        self.identity: Identity = identities.create(directory, store.node_id, name)
        self.node_id = store.node_id
        store.close()

    def as_peer(self) -> Peer:
        identity = self.identity
        return Peer(identity.node_id, self.name, identity.certificate_pem, identity.fingerprint, 1.0)

    async def start(self) -> None:
        self._is_dead = False
        self.killed.clear()
        self.store = StateStore.open(self.directory)
        for other in self.others:
            add_peer(self.store, other.as_peer())
        if self.mode is Mode.PRODUCTION and not read_term(self.store).counter:
            observe_term(self.store, Term(1, self.node_id))
        self.voice = FakeVoice(self.store, self.name, self.mode)
        self.procedures = Procedures(
            self.store,
            self._kinds(),
            self.voice,
            self._dial,
            lambda name, variables: self.events.append((name, dict(variables))),
            self.limits,
            wrote=self._wrote,
        )
        self._server = grpc.aio.server(options=server_options())
        guard = Guard(self.store)
        handlers = procedure_handlers(self.procedures, self.voice, guard.authorise)
        self._server.add_generic_rpc_handlers((handlers,))
        credentials = server_credentials(self.identity, lambda: trusted_certificates(self.store))
        self.address = f"127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', credentials)}"
        self._running = asyncio.create_task(self.procedures.run())
        await self._server.start()

    async def kill(self) -> None:
        self._is_dead = True
        self.address = ""
        self._running.cancel()
        await asyncio.wait({self._running})
        await self._server.stop(None)
        self.store.close()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def procedure(self) -> str:
        """Return the id of its latest procedure; "" where it has none."""
        found = self.procedures.journal.latest(1)
        return found[0].procedure.id if found else ""

    def outcome(self, procedure: str) -> Outcome | None:
        known = self.procedures.journal.read(procedure)
        return None if known is None else known.journal.outcome

    def states(self, procedure: str) -> dict[str, str]:
        known = self.procedures.journal.read(procedure)
        return {} if known is None else {record.name: record.state.value for record in known.journal.steps}

    async def _dial(self, node_id: str) -> grpc.aio.Channel:
        other = next(found for found in self.others if found.node_id == node_id)
        if not other.address:
            raise UnreachableError(f"{other.name} is not running")
        return open_channel(other.address, self.identity, other.identity.certificate_pem)

    def _wrote(self, what: str) -> None:
        if self._is_dead:
            raise KilledError(what)
        self.writes.append(what)
        if len(self.writes) == self.kill_at:
            self._is_dead = True
            self.address = ""
            self._running.get_loop().call_soon_threadsafe(self.killed.set)
            raise KilledError(what)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once `condition` holds; TimeoutError where it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for happens on two nodes, and has no event of its own
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def pair_of_nodes(folder: Path, world: World, **options: Any) -> AsyncIterator[tuple[LiveNode, LiveNode]]:
    """Run a lead and a second that are paired; both know the fake kind."""

    def kinds() -> Kinds:
        return Kinds([fake_kind(world, **options)])

    lead = LiveNode(folder / "lead", "dr-a", Mode.FAILOVER, kinds)
    second = LiveNode(folder / "second", "prod-a", Mode.PRODUCTION, kinds)
    lead.others, second.others = [second], [lead]
    await lead.start()
    await second.start()
    try:
        yield lead, second
    finally:
        await lead.kill()
        await second.kill()
