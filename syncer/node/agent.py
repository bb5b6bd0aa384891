"""Starts, supervises and stops one node: as the background agent, or for the length of one command."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from syncer.admin.commands import Commands
from syncer.admin.server import serve_admin
from syncer.config import Settings
from syncer.errors import StateError, SyncerError
from syncer.events.journal import EventJournal
from syncer.events.matching import problems_told
from syncer.events.problems import StandingProblems
from syncer.health.measurements import Measurements
from syncer.health.notifier import Notifier
from syncer.model import Mode, Term
from syncer.node.alarms import NodeAlarms
from syncer.node.failover import FailoverSide
from syncer.node.memory import keep_small
from syncer.node.opening import lock_for_agent, lock_for_command
from syncer.node.production import ProductionSide
from syncer.node.reload import Loaded, Reloading
from syncer.node.vitals import Sentence, Vitals
from syncer.node.watchkeeper import Watchkeeper
from syncer.replicate.progress import Phase
from syncer.replicate.reconnect import first_of
from syncer.state.lock import StateLock
from syncer.state.outbox import count_actions
from syncer.state.peers import Peer
from syncer.state.store import StateStore
from syncer.state.term import observe_term, read_term
from syncer.trust import identity
from syncer.trust.identity import Identity
from syncer.trust.server import Guard, pairing_handlers, trusted_certificates
from syncer.trust.tls import server_credentials, server_options

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
        self.alarms = NodeAlarms(settings, store, self.events)
        self.production: ProductionSide | None = None
        self.failover: FailoverSide | None = None
        self.listen = ""
        self.http = ""
        """Where health and metrics are served; "" where they are not."""
        self.measured = Measurements()
        self.events.observe = self.measured.raised
        self.started_at = time.monotonic()
        self.loaded = Loaded(time.time())
        self.is_agent = False
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server: grpc.aio.Server | None = None

    @property
    def mode(self) -> Mode:
        """What this node is now."""
        return self.store.mode() or self.settings.node.mode

    def prepare(self, *, automatic: bool) -> None:
        """Build the side that the node's mode asks for."""
        if self.store.mode() is None:
            self.store.set_mode(self.settings.node.mode)
        if self.mode is Mode.PRODUCTION:
            if not read_term(self.store).counter:
                observe_term(self.store, Term(1, self.store.node_id))
            self.production = ProductionSide(
                self.settings,
                self.store,
                self.identity,
                self.fail,
                self.events.raise_event,
                automatic=automatic,
                observations=self.measured,
                standing=StandingProblems(problems_told(self.store, self.events)),
            )
        self.failover = FailoverSide(self.settings, self.store, self.events.raise_event, self.measured)

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
        """Open the port; mutual TLS against the pinned certificates of this moment, at every handshake."""
        assert self.failover is not None, "prepare comes first"
        server = grpc.aio.server(options=server_options())
        guard = Guard(self.store)

        async def known_peer(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, str]:
            peer = await guard.authorise(context)
            return peer.node_id, peer.name

        server.add_generic_rpc_handlers(
            (
                self.failover.handlers(known_peer),
                pairing_handlers(
                    self.store,
                    self.identity,
                    self.settings.node.name,
                    on_joined=self.joined,
                    on_refused=lambda address, reason: self.events.record(
                        "pairing.refused", address=address, reason=reason
                    ),
                ),
            )
        )
        credentials = server_credentials(self.identity, lambda: trusted_certificates(self.store))
        host, _, port = self.settings.node.listen.rpartition(":")
        try:
            bound = server.add_secure_port(self.settings.node.listen, credentials)
        except RuntimeError as error:
            raise StateError(
                f"cannot listen on {self.settings.node.listen}: the port is in use, or the address is not of this "
                "machine; change node.listen"
            ) from error
        await server.start()
        self._server = server
        self.listen = f"{host}:{bound or port}"

    def joined(self, peer: Peer) -> None:
        """Another node was paired with this one, from either side."""
        self.events.record("pairing.joined", peer=peer.name, peer_id=peer.node_id, fingerprint=peer.fingerprint)

    async def drain(self) -> None:
        """Let what was captured arrive, for at most DRAIN_SECONDS."""
        if self.production is None:
            return
        heads = self.production.heads()
        waits = [
            self.production.wait_acknowledged(target, domain, heads[domain])
            for (target, domain), sender in self.production.senders.items()
            if domain in heads
            and sender.view().progress.connected
            and sender.stream.automatic
            and sender.view().decision.phase is not Phase.SUSPENDED
        ]
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*waits)
        except TimeoutError:
            log.warning("stopping although not everything has arrived: it is sent at the next start")

    async def close(self) -> None:
        """End everything; a transaction that is being applied is finished first."""
        if self.failover is not None:
            self.failover.end_commands()
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
                node.production.start()
            elif node.failover is not None and node.mode is Mode.FAILOVER:
                node.failover.watch_for_drift(node.fail_from_any_thread)
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
            tasks.create_task(node.failed())
            tasks.create_task(vitals.run())
            tasks.create_task(keep_small())
            tasks.create_task(keep_state(node))
            tasks.create_task(Watchkeeper(node).run())
            if node.failover is not None:
                tasks.create_task(node.failover.run())
            if node.production is not None:
                tasks.create_task(node.production.run())
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
