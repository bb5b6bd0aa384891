"""What production must know before it connects: whether the target may be called, and who owns what in the domain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from syncer.errors import RefusedError, SyncerError
from syncer.replicate.stream import Production

FIRST_SCAN_SECONDS = 3.0
"""How long the first handshake waits for the first scan; the target is asked about a larger tree at the next one."""
APART_SECONDS = 0.5
"""Between two looks at whether a procedure still keeps a target apart; what it asks for itself is asked at once."""


async def let_in(
    blocking: Callable[[Callable[[], str]], Awaitable[str]],
    kept_apart: Callable[[], str],
    moved: asyncio.Event,
    refuse: Callable[[SyncerError], None],
) -> None:
    """Wait until a procedure lets the target be called; whoever asks for something meanwhile is refused.

    `blocking` runs what blocks; `moved` is set at each news.
    """
    while True:
        # RACE: cleared before the look, so that what is asked for after it is looked at once more.
        moved.clear()
        why = await blocking(kept_apart)
        if not why:
            return
        refuse(RefusedError(why))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(APART_SECONDS):
                await moved.wait()


async def first_scan(domain: str, production: Production, moved: asyncio.Event) -> None:
    """Wait, not for long, until owners are known or the root cannot be read; `moved` is set at each news."""
    try:
        async with asyncio.timeout(FIRST_SCAN_SECONDS):
            while not production.scanned(domain) and not production.unavailable(domain):
                moved.clear()
                await moved.wait()
    except TimeoutError:
        return
