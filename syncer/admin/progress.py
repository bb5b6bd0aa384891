"""Tells what a command's work says while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

Said = TypeVar("Said")


async def while_working(working: asyncio.Task[object], said: asyncio.Queue[Said]) -> AsyncGenerator[Said, None]:
    """Yield what is said until `working` has ended and nothing is left to say; give up the work with the caller."""
    try:
        while not working.done() or not said.empty():
            getting = asyncio.create_task(said.get())
            await asyncio.wait({working, getting}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
            else:
                getting.cancel()
    finally:
        working.cancel()
