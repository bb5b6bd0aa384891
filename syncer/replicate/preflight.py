"""What production must know before it says Hello: who owns what in the domain."""

from __future__ import annotations

import asyncio

from syncer.replicate.stream import Production

FIRST_SCAN_SECONDS = 3.0
"""How long the first handshake waits for the first scan; the target is asked about a larger tree at the next one."""


async def first_scan(domain: str, production: Production, moved: asyncio.Event) -> None:
    """Wait, not for long, until owners are known or the root cannot be read; `moved` is set at each news."""
    try:
        async with asyncio.timeout(FIRST_SCAN_SECONDS):
            while not production.scanned(domain) and not production.unavailable(domain):
                moved.clear()
                await moved.wait()
    except TimeoutError:
        return
