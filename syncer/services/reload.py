"""Reloads a domain's services on a thread of its own: one at a time, what comes meanwhile as one more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from syncer.errors import ApplyError, CommandFailure

log = logging.getLogger(__name__)

Reload = Callable[[int, int], CommandFailure | None]
"""Reloads for a generation under a term; returns how that failed. ApplyError: the agent stops."""


class Reloader:
    """Runs reloads that are requested, the latest request for all that wait."""

    def __init__(self, name: str, reload: Reload) -> None:
        """Call `reload` on a thread called `name`, which starts with the first request."""
        self.failure: CommandFailure | None = None
        self._name = name
        self._reload = reload
        self._condition = threading.Condition()
        self._waiting: tuple[int, int, Callable[[], None]] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def request(self, generation: int, term: int, done: Callable[[], None]) -> None:
        """Reload soon; `done` is called on the thread once it was, however it ended. Returns at once."""
        with self._condition:
            if self._closed:
                return
            self._waiting = (generation, term, done)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._condition.notify()

    def close(self) -> None:
        """Take no more requests, and wait for the reload that runs."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._waiting is not None)
                if self._closed or self._waiting is None:
                    return
                generation, term, done = self._waiting
                self._waiting = None
            try:
                self.failure = self._reload(generation, term)
            except ApplyError as stopped:
                log.info("%s", stopped)
                return
            done()
