"""Keeps systemd informed while the agent runs: the line of its status, and the watchdog while the pipeline moves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from syncer.errors import SyncerError
from syncer.health.notifier import Notifier

log = logging.getLogger(__name__)

STATUS_EVERY = 5.0
"""Seconds between two looks at the leading sentence of the status, for systemd alone."""


class Systemd:
    """Two tasks on the node's event loop: one that is blocked feeds nothing."""

    def __init__(
        self, notifier: Notifier, stalled: Callable[[], list[str]], sentence: Callable[[], Awaitable[str]]
    ) -> None:
        """`stalled` says at once what does not move; `sentence` is what the status begins with."""
        self._notifier = notifier
        self._stalled = stalled
        self._sentence = sentence
        self._reasons: list[str] = []
        self._news = asyncio.Event()

    def look(self) -> None:
        """Tell at once what has changed."""
        self._news.set()

    async def run(self) -> None:
        """Run until cancelled."""
        if self._notifier.address:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._feed())
                tasks.create_task(self._tell())

    async def _feed(self) -> None:
        """Feed at half of the limit, as systemd asks for; where something stands still, let it run out."""
        if not self._notifier.watchdog:
            return
        while True:
            reasons = self._stalled()
            if not reasons:
                self._notifier.moves()
            elif not self._reasons:
                log.error("systemd's watchdog is not fed any more: %s", "; ".join(reasons))
            self._reasons = reasons
            await asyncio.sleep(self._notifier.watchdog / 2)

    async def _tell(self) -> None:
        told, due = "", 0.0
        while True:
            try:
                async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            due = time.monotonic() + STATUS_EVERY
            try:
                line = "; ".join(self._stalled()) or await self._sentence()
            except SyncerError as error:
                line = str(error)
            if line != told:
                self._notifier.status(line)
                told = line
