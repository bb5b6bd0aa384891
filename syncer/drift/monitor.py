"""The thread that notices local edits of one domain on a receiver: watch, look, confirm, record, tell."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from syncer.capture.doubt import StoppedError
from syncer.capture.mounts import remote_kind
from syncer.capture.tree_watch import TreeWatch
from syncer.capture.watch import Watcher
from syncer.drift.look import OnWorker, between_transactions, confirmed, look
from syncer.errors import SyncerError, UnavailableRootError
from syncer.model import EventValue, RecordEvent, shown
from syncer.replicate.destination import Destination
from syncer.replicate.drifted import RestorePace
from syncer.state.drift import forget_drift, read_drift, record_drift
from syncer.state.protected import awaits_filling
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

GATHER_SECONDS = 1.0
"""How long hints gather before they are looked at: drift is no race, and own transactions give hints, too."""
QUIET_SECONDS = 0.1
PATIENCE_SECONDS = 1.0
"""How long a look waits at most for this long a pause between transactions."""
TICK_SECONDS = 2.0
"""How often files are looked at that are written without being closed."""
AGAIN_SECONDS = 5.0
"""How soon everything is looked at again where the root was away or there are no events."""


class DriftState(NamedTuple):
    """What status shows of the watching; trouble is "" where all is well."""

    looks: int
    """Times that everything was looked at."""
    trouble: str


class DriftMonitor(threading.Thread):
    """Watches one domain until stopped."""

    def __init__(
        self,
        destination: Destination,
        store: StateStore,
        watcher: Watcher,
        on_worker: OnWorker,
        *,
        policy: str,
        rescan: float,
        record: RecordEvent,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Watch `destination`; policy is report or restore, rescan seconds between two looks at everything.

        `record` takes events; `on_failure` is called where the thread ends by a fault of syncer.
        """
        super().__init__(name=f"drift-{destination.domain}", daemon=True)
        self.state = DriftState(0, "")
        self._destination = destination
        self._store = store
        self._watcher = watcher
        self._on_worker = on_worker
        self._policy = policy
        self._rescan = rescan
        self._record = record
        self._on_failure = on_failure
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._asked = threading.Event()
        self._watch = TreeWatch(watcher, self._wake.set)
        self._full_at = 0.0
        self._pace = RestorePace()
        self._restore_at: float | None = None
        self._recorded = {row.path: row.what for row in read_drift(store, destination.domain)}
        destination.after_commit = self._after_commit

    def look_again(self) -> None:
        """Have everything looked at soon; from any thread."""
        self._asked.set()
        self._wake.set()

    def stop(self) -> None:
        """End the thread; returns when it has ended, or after 2 s."""
        self._stopping.set()
        self._wake.set()
        if self.is_alive():
            self.join(2.0)

    def run(self) -> None:
        """Watch until stopped."""
        try:
            while not self._stopping.is_set():
                self._step()
        except StoppedError:
            log.debug("watching for drift of %s has ended", self._destination.domain)
        # Whatever it is: the node must hear of it, since nobody watches any more.
        except Exception as failure:  # noqa: BLE001
            self._on_failure(failure)
        finally:
            self._watch.close()

    def _after_commit(self, full: bool) -> None:
        """Before the first one nothing is watched; what is restored by a full one is gone at once."""
        if full and (not self.state.looks or self._recorded):
            self.look_again()

    def _step(self) -> None:
        self._wake.wait(max(min(self._next_due() - time.monotonic(), TICK_SECONDS), 0.0))
        self._wake.clear()
        # RACE: taken before anything is looked at, so that a commit during the look asks for another one.
        if self._asked.is_set():
            self._asked.clear()
            self._full_at = 0.0
        self._watch.note_open_files()
        if self._watch.is_waiting() and time.monotonic() < self._full_at:
            self._stopping.wait(max(self._watch.span[0] + GATHER_SECONDS - time.monotonic(), 0.0))
            self._let_transactions_pass()
        if self._stopping.is_set():
            return
        try:
            if self._is_there():
                self._look()
                self._restore()
        except StoppedError:
            raise
        except UnavailableRootError as error:
            log.debug("drift of %s: %s", self._destination.domain, error)
            self._full_at = time.monotonic() + AGAIN_SECONDS
        except SyncerError as error:
            # The disk or node.db: shown in status, and tried again.
            if str(error) != self.state.trouble:
                log.warning("drift of %s cannot be watched: %s", self._destination.domain, error)
            self.state = DriftState(self.state.looks, str(error))
            self._full_at = time.monotonic() + AGAIN_SECONDS

    def _let_transactions_pass(self) -> None:
        """Wait, not for long, until nothing arrives: a look would slow it down, and finds what arrives as well."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and not self._destination.is_quiet(QUIET_SECONDS):
            if self._stopping.wait(QUIET_SECONDS / 5):
                return

    def _next_due(self) -> float:
        return self._full_at if self._restore_at is None else min(self._full_at, self._restore_at)

    def _is_there(self) -> bool:
        """Tell whether there is anything to compare with; a root that is away is no drift."""
        standing = self._destination.standing()
        # Of a node that comes home, what stands is not what was applied: until it is filled that is no news.
        if standing is None or awaits_filling(self._store, self._destination.domain, standing.generation):
            # The first commit wakes us.
            self._full_at = time.monotonic() + self._rescan
            self._watch.take()
            return False
        if self._destination.trouble():
            self._full_at = time.monotonic() + AGAIN_SECONDS
            self._watch.take()
            return False
        return True

    def _look(self) -> None:
        """Look at what hints name, or at everything where that is due; record what is sure."""
        everything = time.monotonic() >= self._full_at or self._watch.wants_everything
        if not everything and not self._watch.is_waiting():
            return
        # A look that fails is made again, at everything.
        self._full_at = time.monotonic() + AGAIN_SECONDS if everything else self._full_at
        hints = self._watch.take()
        if everything:
            self._watch.begin_sweep()
            looked = look(self._destination, self._recorded, self._enter, None)
            self._watch.end_sweep()
        else:
            assert hints is not None, "it was waiting"
            looked = look(self._destination, self._recorded, self._enter, hints.dirty, hints.fresh)
        if looked.unsure:
            self._confirm(looked.unsure)
        if everything:
            self._full_at = time.monotonic() + self._interval()
            self.state = DriftState(self.state.looks + 1, "")

    def _enter(self, path: bytes, directory: int) -> None:
        if self._stopping.is_set():
            raise StoppedError("the node is stopping")
        self._watch.enter(path, directory)

    def _interval(self) -> float:
        sees = not (self._watcher.unusable or self._watch.unwatched or remote_kind(self._destination.root))
        return self._rescan if sees else min(AGAIN_SECONDS, self._rescan)

    def _confirm(self, unsure: set[bytes]) -> None:
        destination = self._destination
        found = between_transactions(
            destination, self._on_worker, lambda: confirmed(destination, unsure), self._stopping.wait
        )
        gone = [path for path in unsure if path in self._recorded and path not in found]
        changed = {path: what for path, what in found.items() if self._recorded.get(path) != what}
        if not gone and not changed:
            return
        new = [path for path in changed if path not in self._recorded]
        destination.drift_count = record_drift(self._store, destination.domain, changed, gone, time.time())
        for path in gone:
            del self._recorded[path]
        self._recorded.update(changed)
        if new:
            self._tell(new)

    def _tell(self, new: list[bytes]) -> None:
        domain, sample = self._destination.domain, shown(min(new))
        found: dict[str, EventValue] = {"domain": domain, "paths": len(new), "sample": sample, "policy": self._policy}
        self._record("drift.detected", found)

    def _restore(self) -> None:
        """Ask production for a full synchronization where edits are to be put back, and it is time."""
        if self._policy != "restore":
            return
        now = time.monotonic()
        self._restore_at = self._pace.due(self._recorded, now)
        if self._restore_at is None or self._restore_at > now or self._destination.wants_full:
            # While one is asked for, its commit wakes us.
            self._restore_at = None if self._destination.wants_full else self._restore_at
            return
        self._pace.asked(self._recorded, now)
        self._restore_at = None
        between_transactions(self._destination, self._on_worker, self._destination.require_full, self._stopping.wait)


def forget_what_is_not_watched(destination: Destination, store: StateStore) -> None:
    """Forget the drift of a domain that is not watched any more (`drift = "ignore"`)."""
    forget_drift(store, destination.domain)
    destination.drift_count = 0
