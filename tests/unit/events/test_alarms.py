"""The alarms at work: nothing lost at any crash, bounded, no loops, and never in the way."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import StateError
from syncer.events import outbox as outbox_module
from syncer.events.alarms import Alarms
from syncer.events.delivery import Answer, Deliver, Outcome, Parcel
from syncer.events.journal import EventJournal
from syncer.events.matching import Matcher, forget_triggers, memories_of
from syncer.events.notice import RECOVERY, Notice
from syncer.events.outbox import Act, Duty, Outbox
from syncer.events.triggers import Rule
from syncer.state.outbox import drop_actions, read_delivered, read_outbox
from syncer.state.store import StateStore
from tests.unit.events.conftest import notice

DONE = Answer(Outcome.DONE, "250 OK")


def rule(name: str = "t", event: str = "sync", **changes: Any) -> Rule:
    return Rule(name, event, lambda found: not found.get("success"), 0.0, 0.0, True)._replace(**changes)


def sync(success: bool, target: str = "a") -> dict[str, Any]:
    counts: dict[str, Any] = {"changes": 0, "bytes": 0, "seconds": 0.0, "consecutive_failures": int(not success)}
    counts["error_class"] = "" if success else "unreachable"
    return {"success": success, "kind": "full", "target": target, "domain": "d", "error": "x", **counts}


class Receiver:
    """Takes parcels as it is told, and remembers them."""

    def __init__(self, *answers: Answer) -> None:
        self.parcels: list[Parcel] = []
        self.answers = list(answers)
        self.news = threading.Condition()

    def __call__(self, parcel: Parcel) -> Answer:
        with self.news:
            self.parcels.append(parcel)
            self.news.notify_all()
            return self.answers.pop(0) if self.answers else DONE

    def wait_for(self, count: int) -> list[Parcel]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.parcels) >= count, 60), f"{len(self.parcels)} of {count} came"
            return self.parcels


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path, create=True) as found:
        yield found


@contextlib.contextmanager
def alarmed(
    store: StateStore, deliver: Deliver, *rules: Rule, receivers: tuple[str, ...] = (), give_up: float = 3600.0
) -> Iterator[EventJournal]:
    """Run a journal with these triggers, each with one action."""
    journal = EventJournal(store, "n")
    duties = {found.name: Duty({"email": Act(deliver, receivers, "shown")}, give_up) for found in rules}
    alarms = Alarms(store, journal, rules, duties, "n")
    alarms.start()
    try:
        yield journal
    finally:
        alarms.close()
        journal.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait on the database, which tells nobody of its changes."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, f"waited in vain until {what}"
        threading.Event().wait(0.005)


def names(store: StateStore) -> list[str]:
    with store.read() as reader:
        return [row[0] for row in reader.execute("SELECT name FROM event ORDER BY id")]


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


def test_what_was_held_back_is_told_with_its_count_after_a_restart(tmp_path: Path) -> None:
    """Another process each time, with nothing but node.db between them."""
    throttled = rule(throttle=900.0)

    def run(now: float, *events: dict[str, Any]) -> list[Notice]:
        found: list[Notice] = []
        with StateStore.open(tmp_path, create=True) as store:
            journal = EventJournal(store, "n", clock=lambda: now)
            matcher = Matcher(store, journal, [throttled], "n", lambda: "nothing would be lost")
            matcher.start(now)
            for event in events:
                journal.raise_event("sync", event)
            journal.flush()
            matcher.match(now, found.extend)
            journal.close()
        return found

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
    patient = rule(after=300.0)

    def run(now: float, *events: dict[str, Any]) -> list[Notice]:
        found: list[Notice] = []
        with StateStore.open(tmp_path, create=True) as store:
            journal = EventJournal(store, "n", clock=lambda: now)
            matcher = Matcher(store, journal, [patient], "n")
            for event in events:
                journal.raise_event("sync", event)
            journal.flush()
            matcher.match(now, found.extend)
            journal.close()
        return found

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


def test_what_waits_is_done_after_a_restart_with_the_same_key(store: StateStore) -> None:
    receiver = Receiver(Answer(Outcome.LATER, "451 busy", retry_after=0.0))
    with alarmed(store, receiver, rule(), receivers=("a@b.c",)) as journal:
        journal.raise_event("sync", sync(False))
        receiver.wait_for(1)
        until(lambda: [row.answer for row in read_outbox(store)] == ["451 busy"], "the answer was recorded")
    [row] = read_outbox(store)
    assert (row.attempts, row.given_up, row.receivers) == (1, None, ("a@b.c",))
    with store.transaction() as writer:
        writer.execute("UPDATE outbox SET due = 0")
    with alarmed(store, receiver, rule(), receivers=("a@b.c",)):
        receiver.wait_for(2)
    assert receiver.parcels[0] == receiver.parcels[1]
    assert read_outbox(store) == []


def test_what_is_given_up_is_told_once_and_a_trigger_on_that_makes_no_loop(store: StateStore) -> None:
    refusing: Deliver = lambda parcel: Answer(Outcome.REFUSED, "550 no")  # noqa: E731  # as short as can be
    failed = rule("on failure", "action.failed", holds=lambda _: True)
    with alarmed(store, refusing, rule(), failed, receivers=("a@b.c",)) as journal:
        for number in range(3):
            journal.raise_event("sync", sync(False, str(number)))
            until(lambda n=number: len(read_outbox(store)) == 2 * (n + 1), "both were given up")  # type: ignore[misc]
    given_up = read_outbox(store)
    assert all(row.given_up is not None and row.answer == "550 no" for row in given_up)
    assert names(store).count("action.failed") == 3
    variables = [event.variables for event in EventJournal(store, "n").read(names=["action.failed"])]
    assert {found["failed_trigger"] for found in variables} == {"t"}
    assert {found["receiver"] for found in variables} == {"a@b.c"}


def test_one_recipient_that_is_refused_is_told_and_the_others_are_not_mailed_again(store: StateStore) -> None:
    receiver = Receiver(Answer(Outcome.DONE, "250 OK; b: 550 no", (), ("b",)))
    with alarmed(store, receiver, rule(), receivers=("a", "b")) as journal:
        journal.raise_event("sync", sync(False))
        until(lambda: names(store).count("action.failed") == 1, "it was told")
    [row] = read_outbox(store)
    assert (row.receivers, row.given_up is not None, len(receiver.parcels)) == (("b",), True, 1)
    assert [found.answer for found in read_delivered(store)] == ["250 OK; b: 550 no"]


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


def test_more_actions_than_may_wait_are_counted_and_told(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MOST_WAITING", 5)
    later: Deliver = lambda parcel: Answer(Outcome.LATER, "451 busy")  # noqa: E731  # as short as can be
    rules = [rule(str(number)) for number in range(8)]
    overflow = rule("overflow", "actions.overflowed", holds=lambda _: True)
    with alarmed(store, later, *rules, overflow) as journal:
        journal.raise_event("sync", sync(False))
        until(lambda: "actions.overflowed" in names(store), "it was told")
    assert len(read_outbox(store)) == 5
    [event] = EventJournal(store, "n").read(names=["actions.overflowed"])
    assert event.variables["count"] == 3


def test_what_was_never_kept_is_counted_until_somebody_has_seen_it(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_WAITING", 2)
    outbox = Outbox(
        store, EventJournal(store, "n"), {"t": Duty({"email": Act(Receiver(), (), "x")}, 60.0)}, lambda: None
    )
    outbox.add([notice(trigger="t")] * 3, 1.0)
    outbox.add([notice(trigger="t")], 1.0)
    assert (outbox.lost, len(read_outbox(store))) == (2, 2)


def _mailed(store: StateStore, receiver: Receiver, *receivers: str) -> list[tuple[str, tuple[str, ...]]]:
    """Let a state begin, and end once its alarm was tried; returns what was tried, and for whom."""
    with alarmed(store, receiver, rule(), receivers=receivers) as journal:
        journal.raise_event("sync", sync(False))
        until(lambda: "sync" in names(store), "it was written")
        receiver.wait_for(1)
        until(lambda: all(row.attempts for row in read_outbox(store)), "it was recorded")
        journal.raise_event("sync", sync(True))
        until(lambda: not memories_of(store)["t"][1].lasting, "the end was seen")
        journal.flush()
        until(lambda: not any(row.due <= time.time() for row in read_outbox(store, waiting_only=True)), "all was tried")
    return [(parcel.notice.kind, parcel.receivers) for parcel in receiver.parcels]


def test_the_end_of_what_nobody_was_told_is_told_nobody(store: StateStore) -> None:
    refused = Answer(Outcome.REFUSED, "550 no")
    assert _mailed(store, Receiver(refused), "a@x", "b@x") == [("alarm", ("a@x", "b@x"))]
    assert [row.given_up is not None for row in read_outbox(store)] == [True]
    # Also once a person has taken note of it.
    drop_actions(store, [row.id for row in read_outbox(store)])
    assert _mailed(store, Receiver(refused), "a@x", "b@x") == [("alarm", ("a@x", "b@x"))]


def test_the_end_is_told_to_those_who_were_told_the_beginning(store: StateStore) -> None:
    partly = Answer(Outcome.DONE, "250 OK, but 550 for b@x", refused=("b@x",))
    assert _mailed(store, Receiver(partly), "a@x", "b@x") == [("alarm", ("a@x", "b@x")), ("recovery", ("a@x",))]


def test_the_end_is_told_where_the_beginning_was(store: StateStore) -> None:
    assert [kind for kind, _ in _mailed(store, Receiver())] == ["alarm", "recovery"]


@pytest.mark.parametrize("receivers", [(), ("a@x", "b@x")])
def test_no_end_comes_before_its_beginning_and_what_waits_comes_once_somebody_takes_it_again(
    store: StateStore, receivers: tuple[str, ...]
) -> None:
    receiver = Receiver(Answer(Outcome.LATER, "451 busy"))
    journal = EventJournal(store, "n")
    outbox = Outbox(store, journal, {"t": Duty({"email": Act(receiver, receivers, "shown")}, 3600.0)}, lambda: None)

    def work(now: float) -> list[str]:
        """Do all that is due, one at a time; returns what was tried."""
        before = len(receiver.parcels)
        while True:
            outbox.begin(now)
            outbox.wait(60.0)
            outbox.settle(now)
            if (due := outbox.due(now)) is None or due > now:
                return [parcel.notice.kind for parcel in receiver.parcels[before:]]

    begun = notice().since
    outbox.add([notice(trigger="t")], begun)
    assert work(begun) == ["alarm"]
    outbox.add([notice(trigger="t", kind=RECOVERY)], begun + 1)
    assert work(begun + 1) == []
    # Another alarm arrives: then what waits follows at once, each end behind its beginning.
    outbox.add([notice(trigger="t")], begun + 2)
    assert work(begun + 2) == ["alarm", "alarm", "recovery"]
    assert read_outbox(store) == []
    journal.close()


def test_an_end_waits_for_no_alarm_that_some_were_told(store: StateStore) -> None:
    partly = Answer(Outcome.DONE, "250 OK, but 451 for b@x", left=("b@x",))
    assert [kind for kind, _ in _mailed(store, Receiver(partly), "a@x", "b@x")][:2] == ["alarm", "recovery"]


def test_an_action_of_a_trigger_that_is_gone_is_given_up_for_all_to_see(
    store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    receiver = Receiver(Answer(Outcome.LATER, "451 busy"))
    with alarmed(store, receiver, rule("old")) as journal:
        journal.raise_event("sync", sync(False))
        until(lambda: [row.attempts for row in read_outbox(store)] == [1], "it was tried")
    with store.transaction() as writer:
        writer.execute("UPDATE outbox SET due = 0")
    with alarmed(store, receiver, rule("new")):
        until(lambda: [row.given_up is not None for row in read_outbox(store)] == [True], "it was given up")
    assert "not configured any more" in caplog.text
    assert names(store).count("action.failed") == 1


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
