"""The command that shows the event journal, once or for as long as somebody follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from syncer.errors import ConfigurationError, UnreachableError
from syncer.events.catalogue import CATALOGUE
from syncer.state.events import EventRow

if TYPE_CHECKING:
    from syncer.node.agent import Node

Event = tuple[Literal["progress", "result"], dict[str, Any]]

SHOWN = 1000
"""Events that are shown unless told otherwise."""
AT_ONCE = 1000
"""Events of one message: making and encoding a longer list would hold up the event loop, and all that it carries."""
MOST_ASKED = 1 << 31
"""More than any journal holds; and small enough for SQLite."""


async def show_events(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Yield the chosen events in pages, the last one as the result; to who follows, each as progress, without end.

    Raises ConfigurationError for an unknown name or a limit below 0, UnreachableError where nobody could
    tell a follower anything.
    """
    names = [str(name) for name in arguments.get("names") or []]
    limit = int(SHOWN if arguments.get("limit") is None else arguments["limit"])
    errors = [
        f"there is no event {name!a}: docs/events.md lists them ({', '.join(CATALOGUE)})"
        for name in names
        if name not in CATALOGUE
    ]
    if limit < 0:
        errors.append("--limit must be 0 or more")
    if errors:
        raise ConfigurationError(*errors)
    if arguments.get("follow") and not node.is_agent:
        raise UnreachableError("no agent is running, so nothing happens that could be followed: start `syncer agent`")
    # What was raised before the call is shown by it.
    await asyncio.to_thread(node.events.flush)
    # RACE: asked first, so that what is written from here on is among the followed, and shown once.
    last = await asyncio.to_thread(node.events.last_id)
    since = float(arguments.get("since") or 0.0)
    page: list[dict[str, Any]] = []
    behind = await asyncio.to_thread(node.events.before, since, names, min(limit, MOST_ASKED), last)
    while found := await asyncio.to_thread(_page, node, behind, since, names, last):
        if arguments.get("follow"):
            for event in found:
                yield "progress", _document(event)
        else:
            if page:
                yield "progress", {"events": page}
            page = [_document(event) for event in found]
        behind = found[-1].id
    if not arguments.get("follow"):
        yield "result", {"events": page, "exit_code": 0}
        return
    async for event in node.events.subscribe(last, names):
        yield "progress", _document(event)


def _page(node: Node, behind: int, since: float, names: list[str], last: int) -> list[EventRow]:
    found = node.events.after(behind, AT_ONCE, since_time=since, names=names)
    return [event for event in found if event.id <= last]


def _document(event: EventRow) -> dict[str, Any]:
    time = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    return {"id": event.id, "time": time, "event": event.name, "variables": event.variables}
