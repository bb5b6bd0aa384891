"""A thread for one domain's service commands: one at a time, beside what is applied, ended with the agent."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from syncer.errors import ApplyError, Reason, SyncerError

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 60.0
"""After a failure of syncer's own, such as a full disk: `work` is tried again then, or when woken."""


class ServiceLane:
    """Does `work` whenever it is woken, what comes meanwhile as one more time; in between, what persons ask for."""

    def __init__(self, name: str, work: Callable[[], float | None]) -> None:
        """Run on a thread called `name`, which starts with the first request.

        `work` returns the seconds after which it is to be done again by itself, or None. Where it raises
        ApplyError, the agent stops, and the thread ends.
        """
        self._name = name
        self._work = work
        self._condition = threading.Condition()
        self._woken = False
        self._asked: deque[Callable[[], None]] = deque()
        self._futures: set[Future[Any]] = set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the work done soon; returns at once."""
        with self._condition:
            self._woken = True
            self._begin()

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Do a person's `task` between two pieces of work. The future raises ApplyError where the agent stops."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(task())
            except Exception as error:  # who asked is told
                future.set_exception(error)
                if isinstance(error, ApplyError):
                    raise

        with self._condition:
            if self._closed:
                future.set_exception(self._stopping())
                return future
            self._futures.add(future)
            future.add_done_callback(self._futures.discard)
            self._asked.append(run)
            self._begin()
        return future

    def pause(self, seconds: float) -> None:
        """Wait, on the lane's own thread. Raises ApplyError where the agent stops meanwhile."""
        with self._condition:
            if self._condition.wait_for(lambda: self._closed, seconds):
                raise self._stopping()

    def close(self) -> None:
        """Take no more requests, and wait for the command that runs; cancel its runner first."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()
        for future in list(self._futures):
            if not future.done():
                future.set_exception(self._stopping())

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _stopping(self) -> ApplyError:
        return ApplyError(f"the agent stops: {self._name} runs nothing more", Reason.SHUTTING_DOWN)

    def _run(self) -> None:
        due: float | None = None
        while True:
            with self._condition:
                left = None if due is None else max(0.0, due - time.monotonic())
                self._condition.wait_for(lambda: self._closed or self._woken or bool(self._asked), left)
                if self._closed:
                    return
                self._woken = False
                task = self._asked.popleft() if self._asked else None
            try:
                if task is not None:
                    task()
                after = self._work()
            except ApplyError as stopped:
                log.info("%s", stopped)
                with self._condition:
                    self._closed = True
                return
            except SyncerError as error:
                log.error("%s: %s", self._name, error)  # noqa: TRY400 - a sentence for the operator, no traceback
                after = RETRY_SECONDS
            except Exception:  # a fault in syncer must not end the other commands of this domain for good
                log.exception("%s failed by a fault in syncer", self._name)
                after = RETRY_SECONDS
            due = None if after is None else time.monotonic() + after
