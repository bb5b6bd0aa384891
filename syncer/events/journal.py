"""Keeps the events of a node in node.db, in order, without ever holding up who raises one.

Raising an event puts it into a bounded queue; one thread writes what has gathered, in one transaction, within a
second. So what happened in the last second before a crash may be missing from the journal: nothing that syncer
does depends on it. Where the queue overflows, the loss is counted and is an event itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from syncer.errors import StateError
from syncer.events.catalogue import checked
from syncer.model import EventValue
from syncer.state.events import EventRow, add_events, id_before, last_event_id, prune_events, read_events
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

KEPT_EVENTS = 100_000
KEPT_SECONDS = 90 * 86400.0
QUEUED_EVENTS = 10_000
"""Events that wait to be written; what comes while there are as many is counted, not kept."""
GATHER_SECONDS = 0.1
"""How long the first event of a batch waits for others: a storm must not cost a flush each."""
RETRY_SECONDS = 1.0
"""Pause after a write that failed, for example on a full disk."""
PRUNE_EVERY = 1000
"""Events written between two looks at what has grown too old or too many."""
FOLLOWED_AT_ONCE = 500


class EventJournal:
    """The events of one node; usable from any thread, until closed."""

    def __init__(
        self, store: StateStore, node_name: str, *, queued: int = QUEUED_EVENTS, clock: Callable[[], float] = time.time
    ) -> None:
        """Write to `store`; events without the variable `node` are of `node_name`."""
        self._store = store
        self._node_name = node_name
        self._queued = queued
        self._clock = clock
        self._queue: deque[tuple[float, str, Mapping[str, EventValue]]] = deque()
        self._lost = 0
        self._news = threading.Condition()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._unpruned = PRUNE_EVERY
        self._followers: list[Callable[[], None]] = []
        self.observe: Callable[[str], None] = lambda name: None
        """Told the name of each event that is raised, on the thread that raises it; must not block."""

    def record(self, name: str, **variables: EventValue) -> None:
        """Raise an event; durable within a second. Raises InvariantError for what the catalogue does not know."""
        self.raise_event(name, variables)

    def raise_event(self, name: str, variables: Mapping[str, EventValue]) -> None:
        """Raise an event, as `record` does; this is the callable that the other rooms get."""
        found = checked(name, {"node": self._node_name, **variables})
        log.info("%s: %s", name, _sentence(found), extra={"event": name, "variables": found})
        self.observe(name)
        with self._news:
            if len(self._queue) >= self._queued:
                self._lost += 1
                return
            self._queue.append((self._clock(), name, found))
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._write_all, name="events", daemon=True)
                self._thread.start()
            self._news.notify()

    def raise_within(self, name: str, variables: Mapping[str, EventValue]) -> None:
        """Write an event within the transaction that the caller has open: it is durable with it, or not at all."""
        found = checked(name, {"node": self._node_name, **variables})
        log.info("%s: %s", name, _sentence(found), extra={"event": name, "variables": found})
        self.observe(name)
        add_events(self._store, [(self._clock(), name, found)])
        with self._news:
            followers = list(self._followers)
        for tell in followers:
            tell()

    def listen(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have `tell` called, on any thread, whenever events were written; returns what ends that.

        It must not block.
        """

        def stop() -> None:
            with self._news:
                self._followers.remove(tell)

        with self._news:
            self._followers.append(tell)
        return stop

    def after(self, event: int, limit: int, *, since_time: float = 0.0, names: Collection[str] = ()) -> list[EventRow]:
        """Return the oldest `limit` events behind the one with this id, of those chosen."""
        return read_events(self._store, since_id=event, since_time=since_time, names=names, limit=limit, newest=False)

    def before(self, since_time: float, names: Collection[str], limit: int, last: int) -> int:
        """Return the id behind which the newest `limit` of those chosen begin, up to the event with the id `last`."""
        return id_before(self._store, since_time=since_time, names=names, limit=limit, last=last)

    @property
    def waiting(self) -> int:
        """Return how many events wait to be written."""
        return len(self._queue)

    def read(
        self, *, since_id: int = 0, since_time: float = 0.0, names: Collection[str] = (), limit: int = 1000
    ) -> list[EventRow]:
        """Return the newest `limit` events of those chosen, oldest first; `since_time` in Unix seconds."""
        return read_events(self._store, since_id=since_id, since_time=since_time, names=names, limit=limit)

    def last_id(self) -> int:
        """Return the id of the newest event that was written."""
        return last_event_id(self._store)

    async def subscribe(self, since_id: int, names: Collection[str] = ()) -> AsyncIterator[EventRow]:
        """Yield every event behind `since_id`, those of the past first, then each as it is written; without end."""
        news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            # A loop that has ended follows nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(news.set)

        with self._news:
            self._followers.append(tell)
        try:
            while True:
                # RACE: cleared before the look, so that what is written after the look wakes us again.
                news.clear()
                found = await asyncio.to_thread(self._behind, since_id, names)
                for event in found:
                    yield event
                    since_id = event.id
                if len(found) < FOLLOWED_AT_ONCE:
                    await news.wait()
        finally:
            with self._news:
                self._followers.remove(tell)

    def flush(self) -> None:
        """Write what waits now; blocking. Raises StateError."""
        with self._writing:
            with self._news:
                batch, lost = list(self._queue), self._lost
            if not batch and not lost:
                return
            if lost:
                batch.append((self._clock(), "events.lost", checked("events.lost", self._loss(lost))))
            add_events(self._store, batch)
            with self._news:
                # Only here are events taken away, so these are the first ones still.
                for _ in range(len(batch) - bool(lost)):
                    self._queue.popleft()
                self._lost -= lost
                followers = list(self._followers)
            for tell in followers:
                tell()
            self._prune(len(batch))

    def close(self) -> None:
        """Write what waits and end the thread; a failing disk is logged. Before the store is closed."""
        self._closing.set()
        with self._news:
            self._news.notify()
        if self._thread is not None:
            self._thread.join()
        failure = self._attempt()
        if failure is not None:
            log.error("%d events could not be kept: %s", len(self._queue) + self._lost, failure)

    def _behind(self, since_id: int, names: Collection[str]) -> list[EventRow]:
        return read_events(self._store, since_id=since_id, names=names, limit=FOLLOWED_AT_ONCE, newest=False)

    def _loss(self, count: int) -> dict[str, EventValue]:
        return {"node": self._node_name, "count": count}

    def _write_all(self) -> None:
        failing = False
        while not self._closing.is_set():
            with self._news:
                while not (self._queue or self._lost or self._closing.is_set()):
                    self._news.wait()
            self._closing.wait(GATHER_SECONDS)
            failure = self._attempt()
            if failure is not None:
                if not failing:
                    log.error("events cannot be written, and wait: %s", failure)
                self._closing.wait(RETRY_SECONDS)
            failing = failure is not None

    def _attempt(self) -> StateError | None:
        """Write what waits; returns why it could not be written, and still waits."""
        try:
            self.flush()
        except StateError as error:
            return error
        return None

    def _prune(self, written: int) -> None:
        self._unpruned += written
        if self._unpruned >= PRUNE_EVERY:
            self._unpruned = 0
            prune_events(self._store, keep=KEPT_EVENTS, before=self._clock() - KEPT_SECONDS)


def _sentence(variables: Mapping[str, EventValue]) -> str:
    return " ".join(f"{key}={value!a}" for key, value in variables.items())
