"""Work comes one at a time, what is asked for meanwhile comes as one more, and persons are answered in between."""

from __future__ import annotations

import logging
import threading

import pytest

from syncer.errors import ApplyError, StateError
from syncer.services.lane import ServiceLane
from tests.waiting import wait_until


class Slow:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go = threading.Semaphore(0)
        self.after: float | None = None
        self.error: Exception | None = None

    def __call__(self) -> float | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.runs += 1
        assert self.go.acquire(timeout=60)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        return self.after


def test_what_comes_during_the_work_becomes_one_more() -> None:
    slow = Slow()
    lane = ServiceLane("test", slow)
    lane.wake()
    wait_until(lambda: slow.runs == 1, 60, "it works")
    for _ in range(9):
        lane.wake()
    slow.go.release()
    wait_until(lambda: slow.runs == 2, 60, "it works once more")
    asked = lane.submit(lambda: slow.at_once)
    slow.go.release(2)
    # A person's task runs when nothing else does, and the work looks afterwards what it means.
    assert asked.result(60) == 0
    wait_until(lambda: slow.runs == 3, 60, "it looks")
    lane.close()
    assert (slow.runs, slow.most_at_once) == (3, 1)


def test_it_works_again_by_itself_after_the_time_that_it_says() -> None:
    slow = Slow()
    slow.after = 0.01
    slow.go.release(3)
    lane = ServiceLane("test", slow)
    lane.wake()
    wait_until(lambda: slow.runs == 4, 60, "it works again")
    slow.after = None
    slow.go.release()
    lane.close()


def test_the_end_of_the_agent_ends_it_and_tells_who_waits() -> None:
    slow = Slow()
    slow.error = ApplyError("the agent stops")
    lane = ServiceLane("test", slow)
    lane.wake()
    wait_until(lambda: slow.runs == 1, 60, "it works")
    waiting = lane.submit(lambda: 1)
    slow.go.release()
    lane.close()
    for future in (waiting, lane.submit(lambda: 1)):
        with pytest.raises(ApplyError):
            future.result(60)
    lane.wake()
    assert slow.runs == 1


def test_a_failure_of_syncers_own_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    lane = ServiceLane("test", slow)
    slow.go.release(4)
    for error in (StateError("the disk is full"), ValueError("a fault")):
        slow.error = error
        runs = slow.runs
        with caplog.at_level(logging.ERROR):
            lane.wake()
            wait_until(lambda runs=runs: slow.runs > runs and str(slow.error) in caplog.text, 60, "it was told")  # type: ignore[misc]
    slow.error = None
    assert lane.submit(lambda: "fine").result(60) == "fine"
    failing = lane.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(60)
    slow.go.release()
    lane.close()


def test_a_pause_ends_with_the_agent() -> None:
    lane = ServiceLane("test", lambda: None)
    begun = threading.Event()

    def task() -> None:
        begun.set()
        lane.pause(600)

    waiting = lane.submit(task)
    assert begun.wait(60)
    lane.close()
    with pytest.raises(ApplyError):
        waiting.result(60)
