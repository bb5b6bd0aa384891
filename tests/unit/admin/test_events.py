"""`syncer events`: whatever is asked for, it comes in pages that hold up nobody, whole and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syncer.admin import events as events_module
from syncer.admin.events import show_events
from syncer.events.journal import EventJournal
from syncer.state.store import StateStore

COUNT = 25


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Any]:
    now = [0.0]
    with StateStore.open(tmp_path / "state", create=True) as store:
        journal = EventJournal(store, "n", clock=lambda: now[0])
        for number in range(COUNT):
            now[0] += 1.0
            name = "watch.restored" if number % 5 else "watch.degraded"
            journal.record(name, domain="d", reason=str(number))
        journal.close()
        yield SimpleNamespace(events=journal, is_agent=True)


def pages(node: Any, **arguments: Any) -> list[list[str]]:
    """Return the reasons of the events in each message."""

    async def collect() -> list[list[str]]:
        found = []
        async for _, body in show_events(node, {"follow": False, "names": [], **arguments}):
            found.append([event["variables"]["reason"] for event in body["events"]])
        return found

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, range(COUNT)),
        ({"limit": 7}, range(COUNT - 7, COUNT)),
        ({"limit": 0}, []),
        ({"limit": 10**40}, range(COUNT)),
        ({"since": 20.0}, range(19, COUNT)),
        ({"since": 1e300}, []),
        ({"names": ["watch.degraded"]}, range(0, COUNT, 5)),
        ({"names": ["watch.degraded"], "limit": 2, "since": 3.0}, [15, 20]),
        ({"names": ["split"]}, None),
        ({"limit": -1}, None),
    ],
)
def test_what_is_asked_for_comes_whole_in_pages(
    node: Any, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], expected: Any
) -> None:
    monkeypatch.setattr(events_module, "AT_ONCE", 4)
    if expected is None:
        with pytest.raises(Exception, match=r"there is no event|must be 0 or more"):
            pages(node, **arguments)
        return
    found = pages(node, **arguments)
    assert [reason for page in found for reason in page] == [str(number) for number in expected]
    assert max(map(len, found)) <= 4
    assert len(found) == max(1, -(-len(list(expected)) // 4))
