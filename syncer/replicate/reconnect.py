"""Trying again: sessions until one has proven itself, with growing, jittered, capped pauses that can be cut short."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import tenacity

from syncer.errors import PeerRejectedError, Reason, SyncerError


async def reconnecting(
    attempt: Callable[[], Awaitable[None]], hurry: asyncio.Event, shortest: float, longest: float
) -> None:
    """Run `attempt` until it returns, pausing after each SyncerError for seconds between both bounds.

    Setting `hurry` ends a pause at once.
    """

    async def pause(seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, shortest)):
                await hurry.wait()
        except TimeoutError:
            return

    retrying = tenacity.AsyncRetrying(
        wait=tenacity.wait_random_exponential(multiplier=shortest, max=longest),
        retry=tenacity.retry_if_exception_type(SyncerError),
        sleep=pause,
    )
    await retrying(attempt)


async def until_news(news: asyncio.Event, at: float) -> None:
    """Wait for news, or for the time of the next attempt (monotonic seconds); a time in the past is none."""
    delay = at - time.monotonic()
    if delay <= 0:
        await news.wait()
        return
    try:
        async with asyncio.timeout(delay):
            await news.wait()
    except TimeoutError:
        return


async def until_ended(running: asyncio.Task[None]) -> None:
    """Wait for a session; one that was cancelled from outside ends as a refusal, our own end cancels it."""
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        if running.cancelled():
            raise PeerRejectedError("the target was forgotten on this node", Reason.NOT_PAIRED) from None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf of a group: the others are consequences of it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
