"""The one thread that changes a domain on failover, which can be asked how long it has been at what it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Worker(ThreadPoolExecutor):
    """Runs one step after the other."""

    def __init__(self, name: str) -> None:
        """Name the thread."""
        super().__init__(1, name)
        self._began = 0.0

    @property
    def busy_seconds(self) -> float:
        """Return for how long the step that runs has been running; 0 while none runs."""
        # RACE: read once; the thread may end its step meanwhile.
        began = self._began
        return time.monotonic() - began if began else 0.0

    @property
    def waiting(self) -> int:
        """Return how many steps wait behind the one that runs."""
        return self._work_queue.qsize()

    def submit(self, work: Callable[Given, Result], /, *arguments: Given.args, **named: Given.kwargs) -> Future[Result]:
        """Run `work` after everything that was submitted before; RuntimeError after shutdown."""
        return super().submit(self._timed, work, *arguments, **named)

    def _timed(self, work: Callable[Given, Result], /, *arguments: Given.args, **named: Given.kwargs) -> Result:
        self._began = time.monotonic()
        try:
            return work(*arguments, **named)
        finally:
            self._began = 0.0
