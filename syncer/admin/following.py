"""Follows a procedure for whoever began it: each step as it goes on, then what it came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.procedures import document_of
from syncer.errors import RefusedError, SyncerError, UnreachableError
from syncer.procedures.shown import LED_BY

if TYPE_CHECKING:
    from syncer.node.agent import Node

Event = tuple[Literal["progress", "result"], dict[str, Any]]

LOOK_EVERY = 0.1
"""Seconds between two looks at the journal; a look is a few reads of node.db."""
_WORKING = ("running", "undoing", "failed")


async def begun_and_followed(node: Node, procedure: str) -> AsyncIterator[Event]:
    """Yield what becomes of a procedure, by its whole id, until it is over or waits for a person.

    Where the other node is waited for and has been away for `peer_timeout`, this ends, too, and the procedure goes on
    when that returns. Progress is `{"step", "title", "on", "state", "text", "done", "total"}`, `on` being the name of
    the node that does the step; the result `{"procedure", "exit_code"}`. Whoever stops listening stops nothing.
    """
    told: dict[str, dict[str, Any]] = {}
    away = time.monotonic()
    while True:
        found = await asyncio.to_thread(document_of, node, procedure)
        for event in news(told, found["procedure"], node.settings.node.name):
            yield "progress", event
        code = exit_code(found["procedure"])
        away = away if found["procedure"]["without_peer"] else time.monotonic()
        if code is None and time.monotonic() - away >= node.settings.node.peer_timeout:
            code = UnreachableError.exit_code
        if code is not None:
            yield "result", {**found, "exit_code": code}
            return
        await asyncio.sleep(LOOK_EVERY)


def news(told: dict[str, dict[str, Any]], found: dict[str, Any], own_name: str) -> Iterator[dict[str, Any]]:
    """Yield what is new of a procedure as it is shown; `told` remembers what was told of each step (pure)."""
    working = [step for step in found["steps"] if step["state"] in _WORKING]
    waiting = [step for step in found["steps"] if step["state"] == "pending"]
    # What it does now, or where it waits to begin something.
    current = (working or waiting or [None])[0] if found["outcome"] == "open" else None
    for step in found["steps"]:
        is_current = current is not None and step["name"] == current["name"]
        event = {
            "step": step["name"],
            "title": step["title"],
            "on": found["peer"] if (step["on"] == "second") == (found["role"] == "lead") else own_name,
            "state": step["state"],
            "text": _said(step, found) if is_current else step["reason"],
            "done": found["progress"]["done"] if is_current else 0,
            "total": found["progress"]["total"] if is_current else 0,
        }
        if step["state"] == "pending" and not event["text"]:
            continue
        if told.get(step["name"]) != event:
            told[step["name"]] = event
            yield event


def exit_code(found: dict[str, Any]) -> int | None:
    """Return how a command ends that followed a procedure; None while there is something to follow."""
    if found["outcome"] == "finished":
        return 0
    if found["outcome"] == "aborted":
        return SyncerError.exit_code
    return RefusedError.exit_code if found["needs_person"] else None


def _said(step: dict[str, Any], found: dict[str, Any]) -> str:
    """Say how far a step is, or what holds it up."""
    progress, waits_for = str(found["progress"]["text"]), str(found["waits_for"])
    # What it waits for is the step itself while nothing holds it up, or the node that leads.
    is_usual = step["title"] in waits_for or waits_for == LED_BY.format(peer=found["peer"])
    return progress or ("" if is_usual else waits_for)
