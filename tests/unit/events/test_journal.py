"""The event journal: ordered, durable, bounded, checked, and never in the way of who raises an event."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import InvariantError, StateError
from syncer.events import journal as module
from syncer.events.journal import EventJournal
from syncer.state.events import add_events, read_events
from syncer.state.store import StateStore

DRIFT: dict[str, Any] = {"domain": "a", "paths": 2, "sample": "x", "policy": "report"}


@pytest.fixture
def journal(store: StateStore) -> Iterator[EventJournal]:
    found = EventJournal(store, "prod-a")
    yield found
    found.close()


def degraded(journal: EventJournal, reason: str) -> None:
    journal.record("watch.degraded", domain="a", reason=reason)


def reasons(journal: EventJournal, **how: Any) -> list[str]:
    return [event.variables["reason"] for event in journal.read(**how)]


def test_events_are_kept_in_order_with_the_node_and_survive(tmp_path: Path, store: StateStore) -> None:
    journal = EventJournal(store, "prod-a")
    for number in range(50):
        degraded(journal, str(number))
    journal.record("drift.detected", **DRIFT, node="other")
    journal.close()
    store.close()
    with StateStore.open(tmp_path / "state") as again:
        found = read_events(again)
    assert [event.variables["reason"] for event in found[:50]] == [str(number) for number in range(50)]
    assert [event.id for event in found] == sorted(event.id for event in found)
    assert found[0].variables["node"] == "prod-a"
    assert found[-1] == (found[-1].id, found[-1].at, "drift.detected", {**DRIFT, "node": "other"})


def test_an_event_is_written_within_a_second_by_itself(store: StateStore, journal: EventJournal) -> None:
    written = threading.Event()
    journal._followers.append(written.set)
    degraded(journal, "x")
    assert written.wait(1.0)
    assert [event.name for event in read_events(store)] == ["watch.degraded"]
    journal._followers.clear()


def test_reading_chooses_by_name_time_id_and_limit(store: StateStore) -> None:
    now = [100.0]
    journal = EventJournal(store, "n", clock=lambda: now[0])
    for number in range(5):
        now[0] = 100.0 + number
        degraded(journal, str(number))
        journal.record("drift.detected", **DRIFT)
    journal.flush()
    only = ("watch.degraded",)
    assert reasons(journal, names=only) == ["0", "1", "2", "3", "4"]
    assert reasons(journal, names=only, limit=2) == ["3", "4"]
    assert reasons(journal, names=only, since_time=103.0) == ["3", "4"]
    assert reasons(journal, names=only, since_id=journal.last_id() - 2) == ["4"]
    assert len(journal.read()) == 10
    journal.close()


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("no.such.event", {}),
        ("drift.detected", {**DRIFT, "paths": "2"}),
        ("drift.detected", {**DRIFT, "paths": True}),
        ("drift.detected", {**DRIFT, "more": 1}),
        ("drift.detected", {"domain": "a"}),
    ],
)
def test_what_the_catalogue_does_not_know_is_a_fault(journal: EventJournal, name: str, variables: Any) -> None:
    with pytest.raises(InvariantError, match="a fault in syncer"):
        journal.raise_event(name, variables)
    journal.flush()
    assert journal.read() == []


def test_a_whole_number_is_taken_for_a_float(journal: EventJournal) -> None:
    journal.record("hold.long", domain="a", command="c", pid=1, seconds=3)
    journal.flush()
    assert type(journal.read()[0].variables["seconds"]) is float


def test_paths_that_are_not_utf8_come_back_as_they_were(journal: EventJournal) -> None:
    degraded(journal, "caf\udce9")
    journal.flush()
    assert reasons(journal) == ["caf\udce9"]


def test_a_full_queue_counts_what_is_lost_and_says_so(store: StateStore) -> None:
    journal = EventJournal(store, "n", queued=10)
    # Whoever works with the store keeps the writer waiting, but not who raises events.
    with store.transaction():
        for number in range(25):
            degraded(journal, str(number))
    journal.close()
    found = read_events(store)
    assert [event.variables["reason"] for event in found[:10]] == [str(number) for number in range(10)]
    kept = [event for event in found if event.name == "watch.degraded"]
    lost = [event.variables["count"] for event in found if event.name == "events.lost"]
    assert len(kept) + sum(lost) == 25
    assert lost


def test_a_disk_that_takes_nothing_loses_nothing_and_tells_once(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = threading.Semaphore(0)
    failing = True
    write = add_events

    def add(where: StateStore, events: Sequence[Any]) -> None:
        attempts.release()
        if failing:
            raise StateError("node.db: no space is left on its disk")
        write(where, events)

    monkeypatch.setattr(module, "add_events", add)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.01)
    journal = EventJournal(store, "n")
    with caplog.at_level(logging.ERROR):
        degraded(journal, "kept")
        for _ in range(3):
            assert attempts.acquire(timeout=60)
    failing = False
    journal.close()
    assert reasons(journal) == ["kept"]
    assert [record.message for record in caplog.records if "cannot be written" in record.message] == [
        "events cannot be written, and wait: node.db: no space is left on its disk"
    ]


def test_it_is_bounded_by_count_and_by_age(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_EVENTS", 5)
    monkeypatch.setattr(module, "PRUNE_EVERY", 1)
    now = [0.0]
    journal = EventJournal(store, "n", clock=lambda: now[0])
    degraded(journal, "old")
    journal.flush()
    now[0] = module.KEPT_SECONDS + 1
    for number in range(8):
        degraded(journal, str(number))
    journal.flush()
    assert reasons(journal) == ["3", "4", "5", "6", "7"]
    newest = journal.last_id()
    now[0] *= 3
    degraded(journal, "last")
    journal.flush()
    # An id is never used twice, even where all others are gone.
    assert [(event.id, event.variables["reason"]) for event in journal.read()] == [(newest + 1, "last")]
    journal.close()


def test_followers_get_the_past_and_every_event_once(journal: EventJournal) -> None:
    async def follow() -> list[str]:
        for number in range(3):
            degraded(journal, str(number))
        journal.flush()
        found: list[str] = []
        writers = [threading.Thread(target=degraded, args=(journal, str(number))) for number in range(3, 40)]
        async with asyncio.timeout(20):
            events = journal.subscribe(0, ("watch.degraded",))
            async for event in events:
                found.append(event.variables["reason"])
                if len(found) == 3:
                    for writer in writers:
                        writer.start()
                    journal.record("drift.detected", **DRIFT)
                if len(found) == 40:
                    break
            await events.aclose()  # type: ignore[attr-defined]  # an async generator
        for writer in writers:
            writer.join()
        return found

    found = asyncio.run(follow())
    assert found[:3] == ["0", "1", "2"]
    assert sorted(found, key=int) == [str(number) for number in range(40)]
    assert journal._followers == []


def test_each_event_is_a_structured_log_line_too(journal: EventJournal, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        journal.record("drift.detected", **DRIFT)
    [record] = caplog.records
    assert record.__dict__["event"] == "drift.detected"
    assert record.__dict__["variables"] == {**DRIFT, "node": "prod-a"}
    assert record.message == "drift.detected: node='prod-a' domain='a' paths=2 sample='x' policy='report'"
