"""Callers that wait until everything that happened before their call is recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from syncer.model import Head

BARRIER_SECONDS = 0.25
"""After this a barrier is taken for lost in an overflow, and set again."""


class Flush:
    """One caller; `reached` once all events of before its call were delivered.

    `by_scan`: no event can tell, so only a full scan that begins after the call can answer.
    """

    def __init__(self) -> None:
        self.done: Future[Head] = Future()
        self.reached = False
        self.by_scan = False
        self.asked_at = 0.0


class Flushes:
    """The flushes of one domain; asked for on any thread, answered on the capturer's."""

    def __init__(self, set_barrier: Callable[[Callable[[], None]], bool], wake: Callable[[], None]) -> None:
        """Use `set_barrier(reached)`, which returns False where events cannot tell; `wake` wakes the capturer."""
        self._set_barrier = set_barrier
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Flush] = []
        self._ended: BaseException | None = None

    def ask(self) -> Future[Head]:
        """Return the future of a new flush."""
        flush = Flush()
        with self._lock:
            ended = self._ended
            if ended is None:
                self._waiting.append(flush)
        if ended is not None:
            flush.done.set_exception(ended)
        else:
            self._begin(flush)
            self._wake()
        return flush.done

    def ready(self, now: float) -> list[Flush]:
        """Return the flushes that can be answered after one more look; sets lost barriers again."""
        with self._lock:
            waiting = list(self._waiting)
        for flush in waiting:
            # A scan that was under way when the call came may have passed by what the call is about.
            if flush.by_scan or (not flush.reached and now >= flush.asked_at + BARRIER_SECONDS):
                self._begin(flush)
        return [flush for flush in waiting if flush.reached or flush.by_scan]

    def next_due(self) -> float | None:
        """Return when a barrier is to be set again (seconds, monotonic), or None."""
        with self._lock:
            return min((flush.asked_at + BARRIER_SECONDS for flush in self._waiting), default=None)

    def answer(self, flushes: list[Flush], answer: Head | BaseException) -> None:
        """Let these callers go on, with the head or with an error."""
        with self._lock:
            self._waiting = [flush for flush in self._waiting if flush not in flushes]
        for flush in flushes:
            # A caller that gave up has cancelled its future.
            if not flush.done.set_running_or_notify_cancel():
                continue
            if isinstance(answer, BaseException):
                flush.done.set_exception(answer)
            else:
                flush.done.set_result(answer)

    def end(self, error: BaseException) -> None:
        """Answer all with an error, also those that still come."""
        with self._lock:
            self._ended = error
            waiting = list(self._waiting)
        self.answer(waiting, error)

    def _begin(self, flush: Flush) -> None:
        def reached() -> None:
            flush.reached = True
            self._wake()

        flush.asked_at = time.monotonic()
        flush.by_scan = not self._set_barrier(reached)
