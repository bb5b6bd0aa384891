"""What comes next with services, as a table: started once, restarted never, reloaded where they run."""

from __future__ import annotations

import pytest

from syncer.model import ServiceLife, ServiceState
from syncer.services import lifecycle
from syncer.services.lifecycle import Has, Step, Wish

BOTH, START, STATUS, NEITHER = Has(True, True), Has(True, False), Has(False, True), Has(False, False)
NEVER = ServiceLife(boot="b")
UP = ServiceLife(ServiceState.RUNNING, 1.0, "b", lived=True)
DOWN = ServiceLife(ServiceState.STOPPED, 1.0, "b")
DIED = ServiceLife(ServiceState.STOPPED, 1.0, "b", lived=True, detail=lifecycle.ENDED_BY_ITSELF)
BROKEN = ServiceLife(ServiceState.FAILED, 1.0, "b", lived=True, detail="start failed")
WANTED = Wish(1, 1, start=True)
CHANGED = Wish(1, 1, start=True, reload=True)
NOT_WANTED = Wish(1, 1, start=False, reload=True)


@pytest.mark.parametrize(
    ("life", "wish", "has", "fresh", "step"),
    [
        (NEVER, Wish(), BOTH, False, Step.NOTHING),
        # Asked before it is started, where somebody can be asked.
        (NEVER, WANTED, BOTH, False, Step.ASK),
        (NEVER, WANTED, BOTH, True, Step.START),
        (DOWN, CHANGED, BOTH, True, Step.START),
        (NEVER, WANTED, START, False, Step.START),
        (DOWN, WANTED, START, False, Step.START),
        (NEVER, WANTED, STATUS, True, Step.NOTHING),
        (NEVER, WANTED, NEITHER, False, Step.NOTHING),
        # Not where production does not say so.
        (NEVER, NOT_WANTED, START, False, Step.RELOAD),
        (DOWN, NOT_WANTED, BOTH, True, Step.DROP_RELOAD),
        # What runs is reloaded where something has changed.
        (UP, WANTED, BOTH, True, Step.NOTHING),
        (UP, WANTED, BOTH, False, Step.NOTHING),
        (UP, CHANGED, BOTH, False, Step.ASK),
        (UP, CHANGED, BOTH, True, Step.RELOAD),
        (UP, CHANGED, START, False, Step.RELOAD),
        # Nobody can tell: as told, so that a reload alone can be configured.
        (NEVER, CHANGED, NEITHER, False, Step.RELOAD),
        # Restarted never.
        (DIED, CHANGED, BOTH, True, Step.DROP_RELOAD),
        (DIED, WANTED, BOTH, True, Step.NOTHING),
        (DIED, WANTED, START, False, Step.NOTHING),
        (BROKEN, WANTED, START, False, Step.NOTHING),
        (BROKEN, CHANGED, START, False, Step.DROP_RELOAD),
        # It may run: the reload is due until somebody says.
        (BROKEN, CHANGED, BOTH, False, Step.ASK),
        (BROKEN, CHANGED, BOTH, True, Step.NOTHING),
    ],
)
def test_next_step(life: ServiceLife, wish: Wish, has: Has, fresh: bool, step: Step) -> None:
    assert lifecycle.next_step(life, wish, has, fresh=fresh) is step


@pytest.mark.parametrize(
    ("life", "answer", "state", "lived", "detail", "since"),
    [
        (NEVER, "0", ServiceState.RUNNING, True, "", 9.0),
        (UP, "0", ServiceState.RUNNING, True, "", 1.0),
        (BROKEN, "0", ServiceState.RUNNING, True, "", 9.0),
        (NEVER, "3", ServiceState.STOPPED, False, "", 9.0),
        (DOWN, "3", ServiceState.STOPPED, False, "", 1.0),
        (UP, "3", ServiceState.STOPPED, True, lifecycle.ENDED_BY_ITSELF, 9.0),
        (DIED, "3", ServiceState.STOPPED, True, lifecycle.ENDED_BY_ITSELF, 1.0),
        # It is stopped because it never came up.
        (BROKEN, "3", ServiceState.STOPPED, True, "start failed", 9.0),
        (BROKEN, "1", ServiceState.FAILED, True, "start failed", 1.0),
        (UP, "1", ServiceState.FAILED, True, "said", 9.0),
        (UP, "time limit", ServiceState.FAILED, True, "said", 9.0),
        (DOWN, "4", ServiceState.FAILED, False, "said", 9.0),
        # An answer that is not clear is forgotten with the next one that is.
        (ServiceLife(ServiceState.FAILED, 1.0, "b", detail="said"), "3", ServiceState.STOPPED, False, "", 9.0),
    ],
)
def test_what_status_says(
    life: ServiceLife, answer: str, state: ServiceState, lived: bool, detail: str, since: float
) -> None:
    after = lifecycle.asked(life, answer, "said", 9.0)
    assert (after.state, after.lived, after.detail, after.since) == (state, lived, detail, since)
    assert after.checked_at == 9.0


def test_what_is_being_started_is_waited_for() -> None:
    begun = lifecycle.starting(DOWN, 7, 2.0)
    assert (begun.state, begun.lived, begun.generation) == (ServiceState.STARTING, True, 7)
    assert lifecycle.started(begun, "", START, 3.0).state is ServiceState.RUNNING
    waiting = lifecycle.started(begun, "", BOTH, 3.0)
    for answer in ("3", "1", "time limit"):
        assert lifecycle.asked(waiting, answer, "said", 4.0).state is ServiceState.STARTING
    assert lifecycle.asked(waiting, "0", "", 4.0).state is ServiceState.RUNNING
    assert lifecycle.given_up(waiting, 5.0).detail == lifecycle.NOT_SEEN_RUNNING
    assert lifecycle.started(begun, "start failed", BOTH, 3.0).state is ServiceState.FAILED


@pytest.mark.parametrize(
    ("life", "boot", "state", "lived"),
    [
        (ServiceLife(), "b", ServiceState.UNKNOWN, False),
        (UP, "b", ServiceState.RUNNING, True),
        (DIED, "b", ServiceState.STOPPED, True),
        (lifecycle.starting(DOWN, 1, 1.0), "b", ServiceState.FAILED, True),
        (NEVER, "c", ServiceState.UNKNOWN, False),
        (UP, "c", ServiceState.STOPPED, False),
        (DIED, "c", ServiceState.STOPPED, False),
        (BROKEN, "c", ServiceState.STOPPED, False),
        (lifecycle.starting(DOWN, 1, 1.0), "c", ServiceState.STOPPED, False),
    ],
)
def test_what_is_remembered_ends_with_the_machine(
    life: ServiceLife, boot: str, state: ServiceState, lived: bool
) -> None:
    found = lifecycle.remembered(life, boot, 9.0)
    assert (found.state, found.boot, found.lived) == (state, boot, lived)
    assert bool(found.detail) == (life.boot == boot and state is not ServiceState.RUNNING)


def test_a_stop_by_a_person_is_no_failure_and_lasts() -> None:
    after = lifecycle.stopped(UP, "", 9.0)
    assert (after.state, after.lived, after.detail) == (ServiceState.STOPPED, True, "")
    assert lifecycle.next_step(after, WANTED, START, fresh=False) is Step.NOTHING
    # Also of what was never started.
    assert lifecycle.next_step(lifecycle.stopped(NEVER, "", 9.0), WANTED, START, fresh=False) is Step.NOTHING
    assert lifecycle.stopped(UP, "stop failed", 9.0).state is ServiceState.FAILED
