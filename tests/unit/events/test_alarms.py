"""The alarms at work: nothing lost at any crash, bounded, no loops, and never in the way."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import StateError
from syncer.events.alarms import Alarms
from syncer.events.delivery import Answer, Parcel
from syncer.events.journal import EventJournal
from syncer.events.matching import Matcher, forget_triggers
from syncer.events.notice import RECOVERY, Notice
from syncer.events.outbox import Act, Duty, Outbox
from syncer.events.triggers import Rule
from syncer.state.outbox import read_delivered, read_outbox
from syncer.state.store import StateStore
from tests.unit.events.alarming import Receiver, alarmed, rule, sync, until


def test_an_event_becomes_an_action_that_is_done_once_and_recorded(store: StateStore) -> None:
    receiver = Receiver()
    with alarmed(store, receiver, rule()) as journal:
        journal.raise_event("sync", sync(False))
        receiver.wait_for(1)
        journal.raise_event("sync", sync(True))
        parcels = receiver.wait_for(2)
        until(lambda: not read_outbox(store), "the outbox was empty")
    assert [parcel.notice.kind for parcel in parcels] == ["alarm", RECOVERY]
    assert parcels[0].key != parcels[1].key
    [delivered] = read_delivered(store)
    assert (delivered.name, delivered.action, delivered.answer) == ("t", "email", "250 OK")


def test_what_happened_before_there_was_a_trigger_is_no_news(store: StateStore) -> None:
    journal = EventJournal(store, "n")
    journal.raise_event("sync", sync(False, "before"))
    journal.close()
    forget_triggers(store)
    receiver = Receiver()
    with alarmed(store, receiver, rule()) as journal:
        journal.raise_event("sync", sync(False, "after"))
        receiver.wait_for(1)
    assert [parcel.notice.subjects for parcel in receiver.parcels] == [("after, d",)]
    # None is configured for a while: what happens then is none either.
    forget_triggers(store)
    journal = EventJournal(store, "n")
    journal.raise_event("sync", sync(False, "between"))
    journal.close()
    with alarmed(store, receiver, rule()) as journal:
        journal.raise_event("sync", sync(False, "again"))
        receiver.wait_for(2)
    assert receiver.parcels[1].notice.subjects == ("again, d",)


def in_a_process(state: Path, found: Rule, now: float, *events: dict[str, Any]) -> list[Notice]:
    """Return what a trigger says of these events, with nothing but node.db between this process and others."""
    said: list[Notice] = []
    with StateStore.open(state, create=True) as store:
        journal = EventJournal(store, "n", clock=lambda: now)
        matcher = Matcher(store, journal, [found], "n", lambda: "nothing would be lost")
        matcher.start(now)
        for event in events:
            journal.raise_event("sync", event)
        journal.flush()
        matcher.match(now, said.extend)
        journal.close()
    return said


def test_what_was_held_back_is_told_with_its_count_after_a_restart(tmp_path: Path) -> None:
    run = partial(in_a_process, tmp_path, rule(throttle=900.0))
    [first] = run(1000.0, sync(False))
    assert (first.times, first.exposure) == (1, "nothing would be lost")
    assert run(1100.0, sync(False), sync(False)) == []
    assert run(1200.0, sync(False)) == []
    assert run(1899.0) == []
    [later] = run(1900.0)
    assert (later.kind, later.times, later.since, later.lasting) == ("alarm", 3, 1100.0, True)
    [over] = run(2500.0, sync(True))
    assert (over.kind, over.times, over.lasted) == (RECOVERY, 4, 1500.0)
    assert run(9000.0) == []


def test_after_counts_over_a_restart_and_what_ended_before_it_is_never_told(tmp_path: Path) -> None:
    run = partial(in_a_process, tmp_path, rule(after=300.0))
    assert run(1000.0, sync(False)) == []
    assert run(1250.0, sync(True)) == []
    assert run(1400.0) == []
    assert run(2000.0, sync(False)) == []
    assert run(2299.0) == []
    [alarm] = run(2300.0)
    assert (alarm.since, alarm.times) == (2000.0, 1)
    [over] = run(2400.0, sync(True))
    assert (over.kind, over.lasted) == (RECOVERY, 400.0)


class CrashError(Exception):
    """The process ends here."""


def crash_at(steps: int) -> Callable[[], None]:
    """Return a call that ends the process at the given one of its uses."""
    left = [steps]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise CrashError

    return count


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("ab")), min_size=1, max_size=12),
    st.lists(st.integers(0, 12), max_size=8),
)
def test_a_crash_at_any_statement_loses_no_notice_and_makes_none_twice(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[bool, str]], crashes: list[int]
) -> None:
    """Every write of the triggers may be the last one; after a start everything is as without the crash."""

    def run(crashes: list[int]) -> list[tuple[str, int, tuple[str, ...]]]:
        folder = tmp_path_factory.mktemp("state")
        left = list(events)
        with StateStore.open(folder, create=True) as store:
            Matcher(store, EventJournal(store, "n"), [rule()], "n")
        while True:
            with StateStore.open(folder) as store:
                count = crash_at(crashes.pop(0)) if crashes else lambda: None
                journal = EventJournal(store, "n")
                with contextlib.suppress(CrashError):
                    matcher = Matcher(store, journal, [rule()], "n")
                    outbox = Outbox(store, journal, {"t": Duty({"email": Act(Receiver(), (), "")}, 1.0)}, lambda: None)
                    while True:
                        _match(store, matcher, outbox, count)
                        if not left:
                            break
                        success, target = left[0]
                        journal.raise_event("sync", sync(success, target))
                        # Durable first: what the journal had not written yet, nobody knows of.
                        journal.flush()
                        left.pop(0)
                        count()
                    journal.close()
                    notices = [Notice.loaded(row.notice) for row in read_outbox(store)]
                    return [(found.kind, found.times, found.subjects) for found in notices]
                journal.close()

    # One event at a time: how they fall into batches changes what a notice stands for, not what is told.
    assert run(crashes) == run([])


def _match(store: StateStore, matcher: Matcher, outbox: Outbox, count: Callable[[], None]) -> None:
    def at_write(action: int, *_: object) -> int:
        if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
            try:
                count()
            except CrashError:
                crashed.append(True)
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    crashed: list[bool] = []
    store._connection.set_authorizer(at_write)
    try:
        matcher.match(1000.0, lambda notices: outbox.add(notices, 1000.0))
    except (StateError, sqlite3.Error):
        assert crashed
        raise CrashError from None
    finally:
        store._connection.set_authorizer(None)


def test_a_disk_that_refuses_for_a_while_loses_and_doubles_nothing(
    store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver()
    refused = threading.Event()

    class Refusing(StateStore):
        @contextlib.contextmanager
        def transaction(self) -> Iterator[sqlite3.Connection]:
            if threading.current_thread().name == "alarms" and not refused.is_set():
                refused.set()
                raise StateError("no space is left")
            with super().transaction() as writer:
                yield writer

    with alarmed(store, receiver, rule()) as journal:
        store.__class__ = Refusing
        journal.raise_event("sync", sync(False))
        receiver.wait_for(1)
        store.__class__ = StateStore
    assert refused.is_set()
    assert len(receiver.parcels) == 1
    assert "no space is left" in caplog.text


def test_an_action_that_crashes_or_blocks_holds_up_neither_events_nor_others(
    store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    blocked, free = threading.Event(), threading.Event()
    receiver = Receiver()

    def deliver(parcel: Parcel) -> Answer:
        [subject] = parcel.notice.subjects
        if subject.startswith("crash"):
            raise RuntimeError("a fault")
        if subject.startswith("block"):
            blocked.set()
            free.wait(100)
        return receiver(parcel)

    with alarmed(store, deliver, rule()) as journal:
        for target in ("block1", "block2", "block3", "crash"):
            journal.raise_event("sync", sync(False, target))
            until(lambda n=target: any(n in row.notice for row in read_outbox(store)), "it was kept")  # type: ignore[misc]
        assert blocked.wait(60)
        started = time.perf_counter()
        for _ in range(1000):
            journal.raise_event("sync", sync(False, "fine"))
        assert time.perf_counter() - started < 30
        receiver.wait_for(1)
        started = time.monotonic()
    # With three that are blocked: the end waits half a second for them, and they are done at the next start.
    assert time.monotonic() - started < 30
    free.set()
    assert sum("block" in row.notice for row in read_outbox(store, waiting_only=True)) == 3
    assert "fault in syncer" in caplog.text


def test_a_trigger_on_another_event_forgets_what_it_remembered(store: StateStore) -> None:
    receiver = Receiver()
    with alarmed(store, receiver, rule(throttle=3600.0)) as journal:
        journal.raise_event("sync", sync(False))
        receiver.wait_for(1)
    with alarmed(store, receiver, rule(event="service.failed", throttle=3600.0)) as journal:
        journal.raise_event("sync", sync(True))
        words: dict[str, Any] = {"domain": "d", "action": "reload", "command": "x", "exit": "1", "seconds": 0.0}
        journal.raise_event("service.failed", {**words, "output": ""})
        receiver.wait_for(2)
    assert [parcel.notice.event for parcel in receiver.parcels] == ["sync", "service.failed"]


def test_other_triggers_are_taken_over_while_actions_are_under_way(store: StateStore) -> None:
    receiver, free = Receiver(), threading.Event()

    def slow(parcel: Parcel) -> Answer:
        answer = receiver(parcel)
        free.wait(60)
        return answer

    journal = EventJournal(store, "n")
    duties = {name: Duty({"email": Act(slow, (), "")}, 3600.0) for name in ("old", "new")}
    alarms = Alarms(store, journal, [rule("old")], duties, "n")
    alarms.start()
    try:
        journal.raise_event("sync", sync(False, "before"))
        receiver.wait_for(1)
        alarms.change([rule("new"), rule("old", throttle=3600.0)], duties)
        until(lambda: alarms._changed is None, "it was taken over")
        free.set()
        journal.raise_event("sync", sync(False, "after"))
        until(lambda: len(receiver.parcels) == 2 and not read_outbox(store), "all was done")
        # The old one remembers that it has spoken; the new one has not seen what was before it.
        found = [(parcel.notice.trigger, parcel.notice.subjects) for parcel in receiver.parcels]
        assert found == [("old", ("before, d",)), ("new", ("after, d",))]
    finally:
        free.set()
        alarms.close()
        journal.close()
