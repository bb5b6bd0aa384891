"""The thread that keeps one domain's index equal to its tree: hints, settling, scans, timers, requests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from syncer.capture.contents import ContentCache
from syncer.capture.flushes import Flush, Flushes
from syncer.capture.gathering import Gathering
from syncer.capture.ignore import Scope
from syncer.capture.mount_guard import MountGuard
from syncer.capture.mounts import remote_kind
from syncer.capture.moving import MovingReads
from syncer.capture.reader import Reads
from syncer.capture.root_shape import ShapeWatch
from syncer.capture.settle import Settling
from syncer.capture.state import CaptureBeat, CaptureState, describe
from syncer.capture.tree_capture import CaptureIndex, TreeCapture
from syncer.capture.tree_watch import TreeWatch
from syncer.capture.watch import Watcher
from syncer.errors import SyncerError, UnavailableRootError
from syncer.model import Head, RootShape

__all__ = ["CaptureState", "Capturer"]

TICK_SECONDS = 1.0
"""How often the root's identity is checked (a mount over it gives no event), and files held open are read."""
POLL_SECONDS = 2.0
DEGRADED_SECONDS = 5.0
UNAVAILABLE_SECONDS = 1.0


class _StoppedError(Exception):
    """The thread is to end; what it was scanning is void."""


class Capturer(threading.Thread):
    """Captures one domain until stopped; callbacks are called on this thread."""

    def __init__(
        self,
        domain: str,
        root: Path,
        scope: Scope,
        *,
        settle: float,
        settle_max: float,
        rescan: float,
        index: CaptureIndex,
        watcher: Watcher,
        contents: ContentCache | None,
        on_head: Callable[[str, Head], None],
        on_state: Callable[[str, CaptureState], None],
        on_failure: Callable[[BaseException], None],
        reads: Reads | None = None,
        on_shape: Callable[[str, RootShape | None], None] = lambda domain, shape: None,
    ) -> None:
        """Take a domain; settle, settle_max and rescan are seconds.

        `on_shape` is told the shape of the root under which the index was scanned, None while there is none.
        `on_failure` is called where the thread ends by an error, which it does rather than go on blindly.
        """
        super().__init__(name=f"capture-{domain}", daemon=True)
        self.domain = domain
        self.root = root
        self._rescan = rescan
        self._index = index
        self._watcher = watcher
        self._on_head = on_head
        self._on_state = on_state
        self._on_failure = on_failure
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._watch = TreeWatch(watcher, self._wake.set)
        self._mounts = MountGuard(ShapeWatch(root), lambda shape: on_shape(domain, shape))
        self._capture = TreeCapture(
            domain,
            root,
            scope,
            index,
            enter=self._enter,
            contents=contents,
            reads=reads or MovingReads(self._moved),
            before_commit=self._mounts.before_commit,
        )
        self._gathering = Gathering(self._watch, self._capture, Settling(settle, settle_max), self._scan_soon)
        self._flushes = Flushes(self._set_barrier, self._hurry)
        self._full_at = 0.0
        self._tick_at = 0.0
        self._polled = ""
        self._unavailable = ""
        self._overflows_scanned = 0
        self._scans = 0
        self._last_full_scan = 0.0
        self._scanning = False
        self._published: CaptureState | None = None
        self._moved_at = time.monotonic()

    def flush(self) -> Future[Head]:
        """Return a future of the head that holds everything that happened before this call.

        It raises UnavailableRootError where the root cannot be read. May be called from any thread.
        """
        return self._flushes.ask()

    def beat(self) -> CaptureBeat:
        """Tell whether this thread moves; from any thread."""
        return CaptureBeat(self.ident is None or self.is_alive(), self._moved_at, self._watch.waiting)

    def rescan_now(self) -> None:
        """Have everything scanned soon."""
        self._watch.hint_everything("asked for")

    def retime(self, settle: float, settle_max: float, rescan: float) -> None:
        """Go by other times (seconds) from the next group on; from any thread."""
        changed = rescan != self._rescan
        self._gathering.retime(Settling(settle, settle_max))
        # RACE: replaced as a whole, and read afresh for each scan.
        self._rescan = rescan
        if changed:
            # The next scan was put off by the old time, which may be far longer.
            self.rescan_now()

    def content_changed(self, path: bytes) -> None:
        """Have `path` read again and given a fresh seq: a reader found other bytes than the index says."""
        self._gathering.reread(path)

    def stop(self) -> None:
        """End the thread; returns when it has ended, or after 2 s."""
        self._stopping.set()
        self._hurry()
        if self.is_alive():
            self.join(2.0)

    def run(self) -> None:
        """Capture until stopped."""
        error: BaseException = self._stopped()
        try:
            self._publish()
            while not self._stopping.is_set():
                self._step()
        except _StoppedError:
            self._capture.discard()
        # Whatever it is: the node must hear of it, since nothing is captured any more.
        except Exception as failure:  # noqa: BLE001
            error = failure
            self._on_failure(failure)
        finally:
            self._stopping.set()
            self._watch.close()
            self._flushes.end(error)

    def _step(self) -> None:
        """Do what is due, then sleep until something is."""
        self._wake.clear()
        self._gathering.begin()
        now = self._moved_at = time.monotonic()
        self._tick(now)
        ready = self._flushes.ready(now)
        if ready:
            self._watch.note_open_files()
        for path in self._capture.deferred.take(float("inf") if ready else now):
            self._watch.hint(path)
        try:
            # While the root is away, its return is looked for at the pace of `_full_at`.
            moved = self._mounts.wants_scan and not self._unavailable
            if now >= self._full_at or moved or self._wants_scan(ready):
                self._scan_everything()
            elif self._watch.is_waiting():
                self._capture_group(at_once=bool(ready))
        except UnavailableRootError as error:
            self._lose_root(error)
        if ready:
            self._answer(ready)
        if not self._watch.is_waiting() and not (self._mounts.wants_scan and not self._unavailable):
            self._wake.wait(max(self._next_due() - time.monotonic(), 0.0))

    def _tick(self, now: float) -> None:
        """Look at what gives no event: the root itself, and files that are written without being closed."""
        if now < self._tick_at:
            return
        self._tick_at = now + TICK_SECONDS
        self._watch.note_open_files()
        if self._capture.root_identity is None or self._unavailable:
            return
        try:
            status = os.stat(self.root)
        except OSError:
            self._full_at = now
        else:
            if (status.st_dev, status.st_ino) != self._capture.root_identity or self._mounts.look():
                self._full_at = now

    def _next_due(self) -> float:
        waits = [self._full_at, self._tick_at]
        deferred = self._capture.deferred.next_due()
        waits.extend(due for due in (deferred, self._flushes.next_due()) if due is not None)
        return min(waits)

    def _scan_everything(self) -> None:
        """Scan the whole tree and record it, with the hints that came meanwhile."""
        begun = time.monotonic()
        # A partial scan that fails finds out here what has become of the root.
        self._full_at = begun + UNAVAILABLE_SECONDS
        if self._watch.overflows > self._overflows_scanned:
            # It lasts as long as the scan does, and must not be seen only when it is over.
            self._publish()
        self._watch.take()
        # RACE: counted after the take: one that came before it is made up for by this scan, and by no other.
        overflows = self._watch.overflows
        self._polled = self._poll_reason()
        self._watch.begin_sweep()
        self._scanning = True
        self._mounts.begin_scan()
        try:
            self._capture.look_at_everything()
        finally:
            self._scanning = False
        self._watch.end_sweep()
        self._last_full_scan = time.monotonic() - begun
        self._full_at = time.monotonic() + self._interval()
        self._gathering.hint_rereads()
        torn = self._watch.is_waiting() and self._gathering.gather(at_once=False)
        # CRASH: only now, since all that was found is void where the root vanished before.
        self._unavailable = ""
        self._overflows_scanned = overflows
        self._scans += 1
        self._record(torn=torn, force=True)
        self._mounts.end_scan()
        self._capture.prune()

    def _capture_group(self, *, at_once: bool) -> None:
        """Scan what hints named, until it is quiet or settle_max has passed, and record it as one group."""
        torn = self._gathering.gather(at_once=at_once)
        self._record(torn=torn, force=at_once)
        # What was found may not be watched: then the next full scan is due in seconds, not in an hour.
        self._full_at = min(self._full_at, time.monotonic() + self._interval())

    def _scan_soon(self) -> None:
        self._full_at = 0.0

    def _record(self, *, torn: bool, force: bool) -> None:
        before = self._index.head(self.domain)
        self._watch.forget(self._capture.gone_directories())
        head = self._capture.record(torn=torn, force=force)
        if head != before and self._scans:
            self._on_head(self.domain, head)
        self._publish()

    def _enter(self, path: bytes, directory: int) -> None:
        """Watch a directory before it is listed; during a long scan, let settled changes pass."""
        if self._stopping.is_set():
            raise _StoppedError
        # A scan of millions of paths is one step, and moves with each directory.
        self._moved()
        if not self._polled:
            self._watch.enter(path, directory)
        if self._scanning and self._scans and self._watch.is_waiting() and not self._watch.wants_everything:
            if not self._gathering.is_due():
                return
            # The scan goes on afterwards: what it finds then is compared with what is recorded here.
            self._scanning = False
            unfinished = self._capture.has_findings
            self._gathering.look_at_hints()
            self._record(torn=unfinished or self._watch.is_waiting(), force=False)
            self._scanning = True

    def _moved(self) -> None:
        self._moved_at = time.monotonic()

    def _answer(self, ready: list[Flush]) -> None:
        """Tell the flushes that all of before is recorded, unless a full scan is due first."""
        if self._unavailable:
            self._flushes.answer(ready, UnavailableRootError(self._unavailable))
        elif time.monotonic() < self._full_at:
            self._flushes.answer(ready, self._index.head(self.domain))

    def _set_barrier(self, reached: Callable[[], None]) -> bool:
        """Have `reached` called behind all events of before; False where events cannot tell everything."""
        return self._hears_everything() and self._watcher.barrier(reached)

    def _hurry(self) -> None:
        """End what sleeps, also a group that settles."""
        self._gathering.hurry()
        self._wake.set()

    def _hears_everything(self) -> bool:
        """Tell whether every change below the root gives an event."""
        return not (self._polled or self._unavailable or self._watch.unwatched or not self._scans)

    def _wants_scan(self, ready: list[Flush]) -> bool:
        """Tell whether only a full scan can answer what waits."""
        return any(flush.by_scan for flush in ready) or (bool(self._unavailable) and self._watch.is_waiting())

    def _lose_root(self, error: UnavailableRootError) -> None:
        """Drop what was found. The next full scan tells whether the root is away or was replaced."""
        self._capture.discard()
        if self._full_at:
            self._unavailable = str(error)
            self._publish()

    def _poll_reason(self) -> str:
        if self._watcher.unusable:
            return self._watcher.unusable
        kind = remote_kind(self.root)
        return f"changes on {kind} give no events: everything is scanned each 2 s" if kind else ""

    def _interval(self) -> float:
        if self._polled:
            return min(POLL_SECONDS, self._rescan)
        return min(DEGRADED_SECONDS, self._rescan) if self._watch.unwatched else self._rescan

    def _publish(self) -> None:
        """Tell the state where it changed."""
        found = describe(
            self._watch,
            unavailable=self._unavailable,
            polled=self._polled,
            overflowed=self._watch.overflows > self._overflows_scanned,
            scans=self._scans,
            last_full_scan=self._last_full_scan,
            problems=self._capture.problems(),
            entries=self._index.count(self.domain),
        )
        if found != self._published:
            self._published = found
            self._on_state(self.domain, found)

    def _stopped(self) -> SyncerError:
        return SyncerError(f"capture of domain {self.domain} is stopping; ask again after the restart")
