"""The production side of a node: its captures, and one sender a domain and target."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from syncer import __version__
from syncer.capture.capturer import CaptureState
from syncer.capture.contents import ContentCache
from syncer.capture.ignore import Scope
from syncer.config import Settings
from syncer.errors import CommandFailure, Reason, RefusedError
from syncer.events.problems import StandingProblems
from syncer.index.store import IndexStore
from syncer.leftovers.on_production import Sent
from syncer.leftovers.own_addresses import own_addresses
from syncer.leftovers.watch import LeftoverWatch
from syncer.model import NEVER, Head, RecordEvent, Start, Term
from syncer.node.building import Building
from syncer.node.captures import Captures
from syncer.node.home_decisions import HomeDecisions, obey, ways_of
from syncer.node.pauses import Pauses
from syncer.node.protected import protected_paths
from syncer.node.reload_plan import Plan
from syncer.node.standings import record_all
from syncer.node.supervised import Supervised
from syncer.node.target_words import TargetWords, nobody_is_fenced
from syncer.observations import UNOBSERVED, Observations
from syncer.procedures.background import BackgroundVerification
from syncer.procedures.verify import Domain
from syncer.replicate.messages import Ack
from syncer.replicate.pauses import Pause
from syncer.replicate.sender import Sender
from syncer.replicate.stream import Stream, StreamView
from syncer.state.cursors import TargetProgress, read_target, record_progress
from syncer.state.store import StateStore
from syncer.state.term import read_term
from syncer.trust.identity import Identity

log = logging.getLogger(__name__)

CONTENT_CACHE_BYTES = 8 * 1024 * 1024
_BACKGROUND = ("", "")
"""Among the streams: verification in the background, which ends with them."""
RECORD_EVERY = 2.0
"""Seconds between two records of one stream's progress in node.db; it is for people, the target's cursor decides."""


class Exposure(NamedTuple):
    """What a target does not have yet: changes, bytes of content, age of the oldest in seconds."""

    changes: int
    bytes: int
    oldest_seconds: float


class ProductionSide:
    """Everything that captures and sends."""

    software = __version__

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        identity: Identity,
        on_failure: Callable[[BaseException], None],
        record: RecordEvent,
        *,
        automatic: bool = True,
        observations: Observations = UNOBSERVED,
        standing: StandingProblems | None = None,
        start: Start = NEVER,
        saw_term: Callable[[str, Term], None] = nobody_is_fenced,
        refusal: str = "",
        is_open: Callable[[str], bool] = lambda procedure: False,
        awaited: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Build capturers and senders; with `automatic` False nothing is sent but what is asked for.

        `start` is which start of the node it is; `saw_term` is told a target's name with each term that it says. A
        `refusal` says why nothing is sent at all: then there are no senders. `is_open` tells whether a procedure is,
        `awaited` which nodes come home and cannot be sent anything yet.
        """
        self.refusal = refusal
        """Why nothing is sent any more; "" where it is."""
        self.words = TargetWords(store, settings.node.name, start, record, saw_term)
        self.node_id = store.node_id
        self.name = settings.node.name
        self.record = record
        self.observations = observations
        self.standing_problems = standing or StandingProblems()
        self.index = IndexStore.open(settings.node.state / "index.db")
        if self.index.was_rebuilt:
            record("index.rebuilt", {"path": str(settings.node.state / "index.db")})
        self._settings = settings
        self._store = store
        self._identity = identity
        self._loop = asyncio.get_running_loop()
        self._automatic = automatic
        self._recorded: dict[tuple[str, str], float] = {}
        self.port = 0
        """What this node listens on; 0 while it does not."""
        self.met: Callable[[str], None] = lambda target: None
        """Told the name of each target that has answered."""
        self._cache = ContentCache(CONTENT_CACHE_BYTES)
        self.leftovers = LeftoverWatch(self.index, own_addresses, record)
        self.captures = self._captures(settings, on_failure)
        self.pauses = Pauses(store, _domains_of(settings), record, self._pauses_changed)
        self._running: Supervised[tuple[str, str]] = Supervised()
        self._in_force = asyncio.Event()
        self._in_force.set()
        shapes = self.captures.shapes.get
        self.decisions = HomeDecisions(store, is_open, awaited)
        """What was decided for nodes that come home."""
        self.building = Building(self, store, identity, self.index, self._cache, shapes, lambda: self._settings)
        self.senders: Mapping[tuple[str, str], Sender] = self._senders(settings, {})
        """By target and domain; replaced as a whole, never changed: other threads read it."""

    def _captures(self, settings: Settings, on_failure: Callable[[BaseException], None]) -> Captures:
        return Captures(
            settings,
            self.index,
            self._cache,
            self.record,
            self.standing_problems,
            moved=lambda domain: self._post(self._head_moved, domain),
            on_failure=lambda error: self._post(on_failure, error),
        )

    @property
    def states(self) -> Mapping[str, CaptureState]:
        """What the capture of each domain last told of itself."""
        return self.captures.states

    def start(self) -> None:
        """Begin to capture."""
        self.captures.start()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._running.open(tasks)
            if self._automatic and not self.refusal:
                self._running.begin(_BACKGROUND, self._background().run)
            for key, sender in self.senders.items():
                self._running.begin(key, sender.run)
            tasks.create_task(self.pauses.run())

    def stop_sending(self, why: str) -> None:
        """Send nothing any more, from this moment; returns at once. Captures go on; whoever waits is told `why`."""
        if self.refusal:
            return
        self.refusal = why
        for sender in self.senders.values():
            sender.end(why)
        self._running.stop()

    async def sending_ended(self) -> None:
        """Return when the streams have ended, and how far each came is durable: the rest is unsent."""
        await self._running.stopped()
        await asyncio.to_thread(record_all, self._store, list(self.senders.values()))
        self.senders = {}

    def stop(self, *, goes_on: bool = False) -> None:
        """End the capture threads and close the index; blocking. `goes_on`: the agent does, so nothing may be left."""
        self.leftovers.close()
        (self.captures.end if goes_on else self.captures.stop)()
        self.index.close()

    async def flush(self) -> None:
        """Return once everything that happened before the call is in the index."""
        await self.captures.flush()

    async def wait_acknowledged(self, target: str, domain: str, head: Head) -> None:
        """Return once the target is durable at `head` or beyond it, or does not receive the domain any more.

        Raises RefusedError where this node stops sending.
        """
        while True:
            if self.refusal:
                raise RefusedError(self.refusal, Reason.WRONG_MODE)
            # RACE: a stream that is replaced is replaced by the time of the next look, so that this cannot spin.
            await self._in_force.wait()
            sender = self.senders.get((target, domain))
            if sender is None:
                return
            await sender.wait_acknowledged(head)
            if not sender.ending:
                return

    async def reload(self, plan: Plan) -> None:
        """Put a new configuration in force: what the plan does not name goes on undisturbed."""
        self._in_force.clear()
        try:
            before = self.senders
            for key in plan.streams.ended:
                before[key].end("the stream was restarted with a new configuration: run it again")
            await self._running.end(plan.streams.ended)
            await self.captures.reload(plan)
            self._settings = plan.settings
            self.pauses.configured(_domains_of(plan.settings))
            kept = {key: sender for key, sender in before.items() if key not in plan.streams.ended}
            # RACE: it may have been fenced meanwhile: its streams have ended then, and none begins.
            if self.refusal:
                return
            self.senders = self._senders(plan.settings, kept)
            for key in plan.streams.begun:
                if key in before:
                    self.senders[key].take_over(before[key])
                self._running.begin(key, self.senders[key].run)
        finally:
            self._in_force.set()

    def drop(self, target: str) -> None:
        """The target is forgotten: end its session, and do not know it any more."""
        for (name, _), sender in self.senders.items():
            if name == target:
                sender.reset()

    def heads(self) -> Mapping[str, Head]:
        """Return where the index stands, for each domain."""
        return {name: self.index.head(name) for name in self.captures.capturers}

    def hurry(self) -> None:
        """Have every sender try now: a peer was paired, or came back."""
        for sender in self.senders.values():
            sender.hurry()

    def exposure(self, view: StreamView) -> Exposure:
        """Return what failing over now would lose of one stream; a few reads of the index, blocking."""
        cursor = view.progress.cursor
        head = self.index.head(view.domain)
        # What must be compared as a whole, under other rules for example, may differ in every path.
        if cursor is not None and view.progress.trusted and self.index.is_resumable(view.domain, cursor):
            if cursor.seq >= head.seq:
                return Exposure(0, 0, 0.0)
            since = cursor.seq
        else:
            since = 0
        with contextlib.closing(self.index.snapshot(view.domain)) as snapshot:
            oldest = snapshot.oldest_since(since)
            age = max(time.time() - oldest, 0.0) if oldest is not None else 0.0
            return Exposure(snapshot.count_since(since), snapshot.bytes_since(since), age)

    def addresses(self) -> tuple[str, ...]:
        """Return by what this node is reached."""
        return own_addresses()

    def sent(self, stream: Stream) -> Sent:
        """Return what of a stream is searched for what still stands on its target."""
        root = next(found.path for found in self._settings.domains if found.name == stream.domain)
        kept = self.senders[stream.target, stream.domain].view().kept_local
        return Sent(stream.domain, root, stream.rules, frozenset(kept))

    def term(self) -> Term:
        """Return this node's term."""
        return read_term(self._store)

    def unavailable(self, domain: str) -> str:
        """Say why the domain's root cannot be read; "" where it can."""
        state = self.states.get(domain)
        return state.reason if state is not None and state.state == "unavailable" else ""

    def pause(self, target: str, domain: str) -> Pause:
        """Return why nothing is to be sent by a person's word."""
        return self.pauses.pause(target, domain)

    def held_back(self, target: str, domain: str) -> str:
        """Return why only what is asked for is sent, by a procedure's word."""
        return self.decisions.held_back(target, domain)

    def kept_apart(self, target: str) -> str:
        """Return why no connection is made, by a procedure's word; blocking."""
        return self.decisions.kept_apart(target)

    def homeward(self) -> set[tuple[str, str]]:
        """Return the streams, by target and domain, that bring home what stands here."""
        return {key for key, sender in self.senders.items() if ways_of(sender.rendering) is not None}

    def obey(self, node_id: str) -> None:
        """Have the streams to a node that comes home obey what was decided of late; blocking."""
        self.decisions.refresh()
        for (target, _), sender in self.senders.items():
            record = read_target(self._store, target)
            ways = ways_of(sender.rendering)
            if record is not None and record.node_id == node_id and ways is not None:
                obey(self._store, ways, node_id)

    def holds_begun(self, domain: str) -> int:
        """Return how many holds of the domain have begun."""
        return self.pauses.holds_begun(domain)

    def scanned(self, domain: str) -> bool:
        """Tell whether the first scan since the start is complete."""
        state = self.states.get(domain)
        return state is not None and state.scans > 0

    def content_changed(self, domain: str, path: bytes) -> None:
        """Have the path read again, and given a fresh seq once it is stable."""
        self.captures.capturers[domain].content_changed(path)

    def succeeded(self, stream: Stream, ack: Ack, *, full: bool) -> None:
        """Record an acknowledgement, at most every RECORD_EVERY seconds for each stream."""
        if full:
            self.leftovers.after_full(stream.target, self.sent(stream))
        now = time.monotonic()
        key = (stream.target, stream.domain)
        if not full and now - self._recorded.get(key, 0.0) < RECORD_EVERY:
            return
        self._recorded[key] = now
        view = self.senders[key].view()
        progress = TargetProgress(
            stream.target, stream.domain, ack.cursor, view.last_success, "", view.last_full, stream.rules.hash
        )
        self._loop.run_in_executor(None, record_progress, self._store, progress)

    def reached(self, stream: Stream) -> None:
        """Have the other streams of a target try again now: it has answered."""
        self.building.answered(stream.target)
        self.met(stream.target)
        for (target, domain), sender in self.senders.items():
            if target == stream.target and domain != stream.domain and not sender.view().progress.connected:
                sender.hurry()

    def check_failed(self, stream: Stream, failure: CommandFailure) -> None:
        """Raise the event of a transaction that the target's check refused."""
        self.record("check.failed", {"target": stream.target, "domain": stream.domain, **failure._asdict()})

    def to_verify(self, domain: str, *, paced: bool = False) -> Domain:
        """Return what a verification reads of a domain, `paced` at the configured rate."""
        settings = next(found for found in self._settings.domains if found.name == domain)
        scope = Scope(settings.patterns, protected_paths(self._settings, settings.path))
        return Domain(domain, settings.path, scope, settings.verify_rate if paced else 0)

    def _background(self) -> BackgroundVerification:
        return BackgroundVerification(
            self,
            self._store,
            lambda: {
                item.name: (self.to_verify(item.name, paced=True), item.verify) for item in self._settings.domains
            },
            lambda: list(self.senders.values()),
            record=self.record,
        )

    def _senders(self, settings: Settings, kept: Mapping[tuple[str, str], Sender]) -> Mapping[tuple[str, str], Sender]:
        if self.refusal:
            return {}
        domains = {domain.name: domain for domain in settings.domains}
        return {
            (target.name, name): kept.get((target.name, name))
            or self.building.sender(target, domains[name], automatic=self._automatic)
            for target in settings.failover
            for name in target.domains
        }

    def _pauses_changed(self) -> None:
        for sender in self.senders.values():
            sender.head_moved()

    def _head_moved(self, domain: str) -> None:
        for (_, name), sender in self.senders.items():
            if name == domain:
                sender.head_moved()

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        """Run `call` on the event loop; a loop that has ended needs no news."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def _domains_of(settings: Settings) -> Mapping[str, Collection[str]]:
    return {target.name: target.domains for target in settings.failover}
