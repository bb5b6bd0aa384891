"""Gathers one group of changes: scans what hints name until it is quiet, or may wait no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from syncer.capture.settle import Settling
from syncer.capture.tree_capture import TreeCapture
from syncer.capture.tree_watch import TreeWatch
from syncer.errors import UnavailableRootError


class Gathering:
    """Fills the group of one capture, on its thread; `hurry`, `reread` and `retime` may be called from any."""

    def __init__(
        self, watch: TreeWatch, capture: TreeCapture, settling: Settling, scan_everything: Callable[[], None]
    ) -> None:
        """`scan_everything` is called where only a full scan can tell what there is; it is to come soon."""
        self._watch = watch
        self._capture = capture
        self._settling = settling
        self._scan_everything = scan_everything
        self._urgent = threading.Event()
        self._lock = threading.Lock()
        self._reread: set[bytes] = set()

    def retime(self, settling: Settling) -> None:
        """Settle by other times from the next group on."""
        # RACE: replaced as a whole, and read once for each group.
        self._settling = settling

    def reread(self, path: bytes) -> None:
        """Have `path` read again and given a fresh seq."""
        with self._lock:
            self._reread.add(path)
        self._watch.hint(path)

    def hint_rereads(self) -> None:
        """Hint again what is to be read again: a full scan has taken its hints, and reads only what looks changed."""
        with self._lock:
            reread = set(self._reread)
        for path in reread:
            self._watch.hint(path)

    def hurry(self) -> None:
        """End the sleep of a group that settles."""
        self._urgent.set()

    def begin(self) -> None:
        """What was hurried until now is over."""
        self._urgent.clear()

    def is_due(self) -> bool:
        """Tell whether what waits has settled."""
        return self._settling.hinted(*self._watch.span).is_due(time.monotonic())

    def gather(self, *, at_once: bool) -> bool:
        """Scan hints into the group until none are left, or no more may wait; True where it is torn.

        Raises UnavailableRootError.
        """
        settling = self._settling
        while True:
            settling = settling.hinted(*self._watch.span)
            if not at_once:
                settling = self._until_quiet(settling)
            if self._watch.wants_everything:
                self._watch.take()
                self._scan_everything()
                return True
            self.look_at_hints()
            if not self._watch.is_waiting():
                return False
            if at_once or settling.is_over(time.monotonic()):
                return True

    def look_at_hints(self) -> None:
        """Scan what hints name into the group; raises UnavailableRootError."""
        hints = self._watch.take()
        with self._lock:
            reread, self._reread = self._reread, set()
        if hints is not None:
            try:
                self._capture.look_at(hints.dirty, hints.fresh, reread)
            except UnavailableRootError:
                # The full scan tells whether it is away, or another one by now.
                self._scan_everything()
                raise

    def _until_quiet(self, settling: Settling) -> Settling:
        """Sleep until the group may be scanned; a request ends it at once."""
        while (due := settling.due_at()) is not None and (wait := due - time.monotonic()) > 0:
            if self._urgent.wait(wait):
                break
            settling = settling.hinted(*self._watch.span)
        return settling
