"""The events of a running command, and how its work is ended when nobody listens any more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

Event = TypeVar("Event")

Events = AsyncIterator[tuple[str, dict[str, Any]]]
"""What a command yields: ("progress", …) any number of times, then one ("result", …)."""


@contextlib.asynccontextmanager
async def ended(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """Lend `events`, and end the work behind them with the block, not when memory is next cleaned up."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
