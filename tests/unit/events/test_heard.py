"""The end of a state is told to those who were told its beginning, and never before it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from syncer.events.delivery import Answer, Outcome
from syncer.events.heard import alarm_before
from syncer.events.journal import EventJournal
from syncer.events.matching import memories_of
from syncer.events.notice import RECOVERY
from syncer.events.outbox import Act, Duty, Outbox
from syncer.state.outbox import ActionRow, drop_actions, read_outbox
from syncer.state.store import StateStore
from tests.unit.events.alarming import Receiver, alarmed, names, rule, sync, until
from tests.unit.events.conftest import notice


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


@pytest.mark.parametrize(
    ("before", "end", "waits"),
    [
        (("a",), ("a",), True),
        (("a", "b"), ("b",), True),
        (("b",), ("a",), False),
        # Not all are named: then it may be of the same.
        (tuple(map(str, range(20))), ("a",), True),
    ],
)
def test_an_end_waits_for_alarms_of_the_same_states_only(
    before: tuple[str, ...], end: tuple[str, ...], waits: bool
) -> None:
    def row(number: int, **changes: Any) -> ActionRow:
        return ActionRow(number, "k", "t", "email", ("x@y",), notice(**changes).dumped(), 1.0, 1, 1.0, None, "")

    alarm, over = row(1, subjects=before), row(2, kind=RECOVERY, subjects=end)
    assert (alarm_before(over, [alarm, over], ("x@y",)) is alarm) is waits
    for other in (alarm._replace(given_up=1.0), alarm._replace(id=3), alarm._replace(name="u")):
        assert alarm_before(over, [other, over], ("x@y",)) is None
    assert alarm_before(over, [alarm], ("x@y", "z@y")) is None
    assert alarm_before(alarm, [row(0, subjects=before)], ("x@y",)) is None


def test_an_end_waits_for_no_alarm_that_some_were_told(store: StateStore) -> None:
    partly = Answer(Outcome.DONE, "250 OK, but 451 for b@x", left=("b@x",))
    assert [kind for kind, _ in _mailed(store, Receiver(partly), "a@x", "b@x")][:2] == ["alarm", "recovery"]
