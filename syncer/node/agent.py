"""Starts, supervises and stops one node: as the background agent, or for the length of one command."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

from syncer.admin.commands import Commands
from syncer.admin.server import serve_admin
from syncer.config import Settings
from syncer.drill.place import remove_drill
from syncer.errors import RefusedError, StateError, SyncerError
from syncer.events.journal import EventJournal
from syncer.events.matching import problems_told
from syncer.events.problems import StandingProblems
from syncer.health.measurements import Measurements
from syncer.health.notifier import Notifier
from syncer.model import NEVER, Mode, Term
from syncer.node.alarms import NodeAlarms
from syncer.node.failover import FailoverSide
from syncer.node.frozen_side import freezes_of
from syncer.node.introducing import Introducing
from syncer.node.kinds import register_kinds
from syncer.node.knocking import Knocker
from syncer.node.listening import listen
from syncer.node.memory import keep_small
from syncer.node.modes import Modes
from syncer.node.opening import lock_for_agent, lock_for_command
from syncer.node.procedures import awaited, is_open, knock, procedures_of
from syncer.node.production import ProductionSide
from syncer.node.reload import Loaded, Reloading
from syncer.node.vitals import Sentence, Vitals
from syncer.node.watchkeeper import Watchkeeper
from syncer.node.way_home import with_way_home
from syncer.procedures.freeze import Freezes
from syncer.procedures.kinds import Kinds
from syncer.replicate.progress import Phase
from syncer.replicate.reconnect import first_of
from syncer.state.cursors import read_target
from syncer.state.introductions import tell_again
from syncer.state.lock import StateLock
from syncer.state.outbox import count_actions
from syncer.state.peers import Peer
from syncer.state.starts import begin_start, forget_peer_start
from syncer.state.store import StateStore
from syncer.state.term import begin_mode, read_mode, read_mode_change
from syncer.trust import identity
from syncer.trust.identity import Identity

log = logging.getLogger(__name__)

LOOK_AT_STATE_EVERY = 2.0
"""Seconds between two looks at whether node.db is still where it was opened."""
SWITCH_INTERVAL = 0.0005
"""Seconds a thread may keep the interpreter: the default of 5 ms would show in the latency of every change."""
DRAIN_SECONDS = 5.0
"""How long SIGTERM lets changes that are under way arrive."""


class Node:
    """A node with its state open: what the commands work on."""

    def __init__(self, settings: Settings, store: StateStore, identity: Identity) -> None:
        """Take an opened state; nothing runs yet."""
        self.settings = settings
        self.store = store
        self.identity = identity
        self.events = EventJournal(store, settings.node.name)
        self.kinds = Kinds()
        self.procedures, self.voice = procedures_of(self, self.kinds)
        self.alarms = NodeAlarms(settings, store, self.events)
        self.production: ProductionSide | None = None
        self.failover: FailoverSide | None = None
        self.freezes: Freezes | None = None
        self.listen = ""
        self.port = 0
        """What this node listens on; 0 while it does not."""
        self.http = ""
        """Where health and metrics are served; "" where they are not."""
        self.measured = Measurements()
        self.events.observe = self.measured.raised
        self.started_at = time.monotonic()
        self.loaded = Loaded(time.time())
        self.is_agent = False
        self.start = NEVER
        """Which start of this node it is; NEVER before `prepare`."""
        self.modes = Modes(self)
        self.knocker = Knocker(self.modes, store, partial(knock, self.procedures))
        """Tells the peers of a promotion."""
        self.introducing = Introducing(self)
        """Tells them of each other."""
        self._automatic = False
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server: grpc.aio.Server | None = None
        self.look_for_targets: Callable[[], None] = lambda: None
        """Derives the targets anew that no table names; see Reloading."""
        self.home = register_kinds(self)
        """Answers peers about homecomings."""

    @property
    def mode(self) -> Mode:
        """What this node is now."""
        return self.store.mode() or self.settings.node.mode

    def mode_and_term(self) -> tuple[Mode, Term]:
        """Return what this node is now, and the highest term it has seen, of one moment; for any thread."""
        return read_mode(self.store, self.settings.node.mode)

    async def become(self, mode: Mode, term: Term, why: str, *, peer: str = "") -> None:
        """Change what this node is; see Modes.become. Nothing else does, while the agent runs."""
        await self.modes.become(mode, term, why, peer=peer)

    def prepare(self, *, automatic: bool) -> None:
        """Build what the node's mode asks for."""
        remove_drill(self.settings.node.state)
        begin_mode(self.store, self.settings.node.mode)
        # Before anybody hears of this node.
        self.start = begin_start(self.store)
        self._automatic = automatic
        if self.mode is not Mode.FAILOVER:
            self.find_way_home()
            self.production = self.build_production()
        saw_term = self.modes.saw_term
        self.failover = FailoverSide(
            self.settings, self.store, self.events.raise_event, self.measured, self.start, saw_term
        )
        self.freezes = freezes_of(self)
        self.freezes.is_open = partial(is_open, self.procedures)

    def build_production(self) -> ProductionSide:
        """Build what captures, and sends where the mode is production."""
        change = read_mode_change(self.store)
        refusal = change.why if change is not None else "it has seen a higher term"
        production = ProductionSide(
            self.settings,
            self.store,
            self.identity,
            self.fail,
            self.events.raise_event,
            automatic=self._automatic,
            observations=self.measured,
            start=self.start,
            saw_term=self.modes.saw_term,
            standing=StandingProblems(problems_told(self.store, self.events)),
            refusal="" if self.mode is Mode.PRODUCTION else refusal,
            is_open=partial(is_open, self.procedures),
            awaited=partial(awaited, self.procedures),
        )
        production.port = self.port
        production.met = self._met_target
        return production

    def find_way_home(self) -> None:
        """Name the nodes that what stands here came from as targets; blocking. Before production is built."""
        self.settings = with_way_home(self.settings, self.store)

    def start_failover(self) -> None:
        """Let the failover side begin; only the agent does that, a command that runs without one does not."""
        assert self.failover is not None, "prepare comes first"
        self.failover.start()

    def fail(self, error: BaseException) -> None:
        """A part that must not die died: the node stops loudly."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def fail_from_any_thread(self, error: BaseException) -> None:
        """Stop the node loudly, from a thread that is not the event loop's."""
        loop = self._failure.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.fail, error)

    async def failed(self) -> None:
        """Wait until a part dies; raises what killed it."""
        await self._failure

    async def listen_for_peers(self) -> None:
        """Open the port for the other nodes; StateError where it cannot be had."""
        self._server, self.listen, self.port = await listen(self)
        if self.production is not None:
            self.production.port = self.port

    def joined(self, peer: Peer) -> None:
        """Another node was paired with this one, from either side."""
        # A person vouches for it: its next start is believed, whichever it is.
        forget_peer_start(self.store, peer.node_id)
        self.events.record("pairing.joined", peer=peer.name, peer_id=peer.node_id, fingerprint=peer.fingerprint)

        tell_again(self.store, peer.node_id)
        self.met(peer.node_id)
        self.knocker.look()
        self.introducing.look()

    def met(self, node_id: str) -> None:
        """A paired node was heard: what waits for it is tried again now."""
        self.procedures.news(node_id)
        self.introducing.heard(node_id)

    def _met_target(self, name: str) -> None:
        record = read_target(self.store, name)
        if record is not None:
            self.met(record.node_id)

    def supervise(self, tasks: asyncio.TaskGroup) -> None:
        """Run the parts of the node in `tasks` until these are cancelled."""
        assert self.failover is not None, "prepare comes first"
        assert self.freezes is not None, "prepare comes first"
        tasks.create_task(self.failed())
        tasks.create_task(Watchkeeper(self).run())
        tasks.create_task(self.procedures.run())
        tasks.create_task(self.freezes.run())
        tasks.create_task(self.failover.run())
        self.modes.supervise(tasks)
        tasks.create_task(self.knocker.run())
        tasks.create_task(self.introducing.run())

    async def drain(self) -> None:
        """Let what was captured arrive, for at most DRAIN_SECONDS."""
        production = self.production
        if production is None or production.refusal:
            return
        heads = production.heads()
        waits = [
            production.wait_acknowledged(target, domain, heads[domain])
            for (target, domain), sender in production.senders.items()
            if domain in heads
            and sender.view().progress.connected
            and sender.stream.automatic
            and sender.view().decision.phase is not Phase.SUSPENDED
        ]
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*waits)
        except RefusedError as error:
            log.warning("stopping: %s", error)
        except TimeoutError:
            log.warning("stopping although not everything has arrived: it is sent at the next start")

    async def close(self) -> None:
        """End everything; a transaction that is being applied is finished first."""
        if self.failover is not None:
            self.failover.end_commands()
        if self.freezes is not None:
            await self.freezes.close()
        if self._server is not None:
            await self._server.stop(0.5)
        if self.production is not None:
            await asyncio.to_thread(self.production.stop)
        if self.failover is not None:
            await asyncio.to_thread(self.failover.close)
        await asyncio.to_thread(self.alarms.close)
        await asyncio.to_thread(self.events.close)
        self.store.close()


def _opened(settings: Settings, lock: StateLock) -> Node:
    try:
        store = StateStore.open(settings.node.state)
        return Node(settings, store, identity.load(settings.node.state, store.node_id))
    except BaseException:
        lock.release()
        raise


async def run_agent(settings: Settings, sentence: Sentence) -> None:
    """Run the node until SIGTERM or SIGINT; raises SyncerError where it cannot start or must stop.

    `sentence` makes of a status what it begins with, for systemd.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    notifier = Notifier.of_environment(os.environ)
    lock = await lock_for_agent(settings.node.state)
    node = _opened(settings, lock)
    node.is_agent = True
    vitals = Vitals(node, node.measured, notifier, sentence)
    vitals.outbox_waiting = lambda: count_actions(node.store)[0]
    node.alarms.exposure = lambda: sentence(vitals.status())
    stopping = asyncio.Event()
    reloading = Reloading(node, notifier)
    node.look_for_targets = reloading.look_for_targets
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    # Not the loop's own handler: at its end that one gives way to the default, which would kill a node that closes.
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(reloading.order))
    # The command line holds it back while the agent starts; one that came meanwhile is delivered here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        node.prepare(automatic=True)
        node.alarms.start()
        node.start_failover()
        await node.listen_for_peers()
        node.http = vitals.open()
        commands = Commands(node)
        async with serve_admin(settings.node.state, commands.run):
            if node.production is not None:
                # CRASH: what was being applied when this node ceased to be failover must not be finished later.
                for trouble in await node.failover.settle() if node.failover is not None else ():
                    log.error("%s", trouble)
                node.production.start()
            elif node.failover is not None:
                node.failover.watch_for_drift(node.fail_from_any_thread)
            node.modes.begin()
            node.modes.changed.append(vitals.changed)
            log.info("%s runs as %s, listening on %s", settings.node.name, node.mode.value, node.listen)
            vitals.start()
            notifier.ready()
            # What was imported and built so far stays: the collector need not look at it again and again.
            gc.freeze()
            await _supervise(node, stopping, vitals, reloading)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        await asyncio.to_thread(vitals.close)
        await node.close()
        lock.release()


async def keep_state(node: Node) -> None:
    """End the node where somebody removes or replaces its node.db; ends only by cancellation."""
    while True:
        await asyncio.sleep(LOOK_AT_STATE_EVERY)
        try:
            await asyncio.to_thread(node.store.require_in_place)
        except StateError as error:
            node.fail(error)


async def _supervise(node: Node, stopping: asyncio.Event, vitals: Vitals, reloading: Reloading) -> None:
    """Run until told to stop, or until a part fails."""

    async def until_told() -> None:
        await stopping.wait()
        vitals.notifier.stopping()
        await node.drain()
        raise _StopError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_told())
            node.supervise(tasks)
            tasks.create_task(vitals.run())
            tasks.create_task(keep_small())
            tasks.create_task(keep_state(node))
            tasks.create_task(reloading.run())
    except BaseExceptionGroup as group:
        failure = first_of(group)
        if isinstance(failure, _StopError):
            log.info("%s has stopped", node.settings.node.name)
        elif isinstance(failure, SyncerError):
            # A sentence for the operator; everything else is a fault of ours, and is shown as it is.
            raise failure from group
        else:
            raise


class _StopError(SyncerError):
    """The node was asked to stop."""


async def run_without_agent(
    settings: Settings, command: str, arguments: dict[str, Any]
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Run one command in this process, under the state lock; yields what the agent would answer.

    Raises LockedError where another process works there, and whatever the command raises.
    """
    lock = lock_for_command(settings.node.state)
    node = _opened(settings, lock)
    try:
        node.prepare(automatic=False)
        commands = Commands(node)
        sending: asyncio.Task[None] | None = None
        if node.production is not None and command in commands.NEEDS_CAPTURE:
            node.production.start()
        elif node.production is not None and command in commands.NEEDS_SENDERS:
            node.production.start()
            sending = asyncio.create_task(node.production.run())
        try:
            async for event in commands.run(command, arguments):
                yield event
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    finally:
        await node.close()
        lock.release()
