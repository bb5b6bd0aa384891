"""Signs of life of a command that has nothing to say for a while, so that who waits can tell it from a frozen agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from syncer.admin import wire
from syncer.admin.stream import ended

ALIVE_SECONDS = 2.0
"""How often a command that says nothing shows that the agent's event loop moves."""


async def with_signs_of_life(
    events: AsyncIterator[wire.Event], seconds: float = ALIVE_SECONDS
) -> AsyncIterator[wire.Event]:
    """Yield `events`, and an Alive for each `seconds` without one; ends their work with the caller."""
    # One at a time: who reads slowly must hold up the command, not fill the memory.
    said: asyncio.Queue[wire.Event | None] = asyncio.Queue(1)

    async def listen() -> None:
        # In one task from beginning to end: a time limit within the command belongs to the task that has set it.
        async with ended(events):
            async for event in events:
                await said.put(event)
        await said.put(None)

    listening = asyncio.create_task(listen())
    getting: asyncio.Task[wire.Event | None] | None = None
    try:
        while True:
            getting = getting or asyncio.create_task(said.get())
            await asyncio.wait({getting, listening}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                event, getting = getting.result(), None
                if event is None:
                    return
                yield event
            elif listening.done():
                # RACE: what it said last may be on its way still; an error comes to the surface here.
                listening.result()
            else:
                yield wire.Alive()
    finally:
        for task in (listening, getting):
            if task is not None:
                task.cancel()
        await asyncio.wait({listening})
