"""Callers that wait until all of before is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncer.capture.flushes import BARRIER_SECONDS, Flushes
from syncer.errors import SyncerError
from syncer.model import Head

HEAD = Head("index", "run", 7)


class Barriers:
    """Barriers that a test reaches, or refuses."""

    def __init__(self) -> None:
        self.possible = True
        self.set: list[Callable[[], None]] = []
        self.woken = 0

    def __call__(self, reached: Callable[[], None]) -> bool:
        if self.possible:
            self.set.append(reached)
        return self.possible

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def barriers() -> Barriers:
    return Barriers()


@pytest.fixture
def flushes(barriers: Barriers) -> Flushes:
    return Flushes(barriers, barriers.wake)


def test_a_flush_is_ready_once_its_barrier_is_reached(flushes: Flushes, barriers: Barriers) -> None:
    done = flushes.ask()
    assert flushes.ready(0.0) == []
    barriers.set[0]()
    assert barriers.woken == 2
    (ready,) = flushes.ready(0.0)
    assert not ready.by_scan
    flushes.answer([ready], HEAD)
    assert done.result(0) == HEAD
    assert flushes.next_due() is None


def test_a_lost_barrier_is_set_again(flushes: Flushes, barriers: Barriers) -> None:
    flushes.ask()
    due = flushes.next_due()
    assert due is not None
    assert flushes.ready(due - BARRIER_SECONDS / 2) == []
    assert len(barriers.set) == 1
    flushes.ready(due)
    assert len(barriers.set) == 2


def test_without_barriers_a_scan_answers(flushes: Flushes, barriers: Barriers) -> None:
    barriers.possible = False
    flushes.ask()
    (ready,) = flushes.ready(0.0)
    assert ready.by_scan


def test_a_call_during_a_scan_waits_for_events_that_the_scan_passed_by(flushes: Flushes, barriers: Barriers) -> None:
    barriers.possible = False
    flushes.ask()
    # The scan has ended meanwhile, and everything is watched now.
    barriers.possible = True
    assert flushes.ready(0.0) == []
    barriers.set[0]()
    (ready,) = flushes.ready(0.0)
    assert not ready.by_scan


def test_the_end_answers_all_and_those_who_still_come(flushes: Flushes) -> None:
    waiting = flushes.ask()
    flushes.end(SyncerError("stopping"))
    for done in (waiting, flushes.ask()):
        with pytest.raises(SyncerError, match="stopping"):
            done.result(0)


def test_a_caller_that_gave_up_is_no_trouble(flushes: Flushes, barriers: Barriers) -> None:
    done = flushes.ask()
    barriers.set[0]()
    done.cancel()
    flushes.answer(flushes.ready(0.0), HEAD)
    assert done.cancelled()
