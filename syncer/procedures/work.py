"""One order that the second carries out: to its end, also where the connection is lost; whoever asks follows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from syncer.errors import UnreachableError
from syncer.procedures.messages import Action, Ending, Order, Progress
from syncer.procedures.voice import Limits

Carry = Callable[["Work"], Awaitable[Ending]]
"""Carries the order out, and makes its end durable before it returns."""
Start = Callable[[Awaitable[Ending]], "asyncio.Task[Ending]"]


class Work:
    """An order that is under way, or was carried out in this life of the agent."""

    def __init__(self, order: Order, carry: Carry, start: Start) -> None:
        """Begin at once."""
        self.step = order.step
        self.action: Action = order.action
        self._progress = Progress()
        self._news = asyncio.Event()
        self._task = start(carry(self))

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return not self._task.done()

    @property
    def progress(self) -> Progress:
        """Return how far it is."""
        return self._progress

    def tell(self, text: str, done: int = 0, total: int = 0) -> None:
        """Take note of how far it is."""
        self._progress = Progress(text, max(done, 0), max(total, 0))
        self._news.set()

    async def interrupt(self) -> None:
        """End it, and return once nothing of it runs any more."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def follow(self, limits: Limits) -> AsyncIterator[Progress | Ending]:
        """Yield how far it is, at least each `limits.beat`, then how it ended.

        UnreachableError where it was interrupted, or failed in a way that the journal does not know.
        """
        while not self._task.done():
            yield self._progress
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait({self._task, news}, timeout=limits.beat, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await news
        if self._task.cancelled() or self._task.exception() is not None:
            raise UnreachableError(f"{self.step} was interrupted there")
        yield self._task.result()
