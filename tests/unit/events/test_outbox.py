"""What waits in the outbox: kept over a restart, given up for all to see, bounded and counted."""

from __future__ import annotations

import logging

import pytest

from syncer.events import outbox as outbox_module
from syncer.events.delivery import Answer, Deliver, Outcome
from syncer.events.journal import EventJournal
from syncer.events.outbox import Act, Duty, Outbox
from syncer.state.outbox import read_delivered, read_outbox
from syncer.state.store import StateStore
from tests.unit.events.alarming import Receiver, alarmed, names, rule, sync, until
from tests.unit.events.conftest import notice


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
