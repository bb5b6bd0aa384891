"""What is to be done next with a domain's services, and what is known of them afterwards (pure).

Synchronization starts them once in each life of the machine, and restarts them never: `lived` is set, durably,
before a start begins, so that neither a crash nor a restart of the agent leads to a second one. Whoever stops
them, or sees them end, is not contradicted by the next change.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from syncer.model import ServiceLife, ServiceState

CUT_OFF = "the agent ended while they were being started: look whether they run"
ENDED_BY_ITSELF = "they have stopped without syncer: look why, then start them with `syncer service start`"
NOT_SEEN_RUNNING = "they were started, but `status` does not say that they run"
STILL_RUNNING = "they were stopped, but `status` says that they still run"
RUNS, IS_STOPPED = "0", "3"
"""Exit codes of `status`, as init scripts and systemctl have them; all others are neither."""


class Has(NamedTuple):
    """Which commands the configuration names."""

    start: bool = False
    status: bool = False


class Wish(NamedTuple):
    """What a synchronization has left to do, for a generation under a term (its counter)."""

    generation: int = 0
    term: int = 0
    start: bool = False
    """Services are meant to run here, and what stands was checked and acknowledged."""
    reload: bool = False
    """What they read has changed."""


class Step(Enum):
    """What to do next."""

    NOTHING = 0
    ASK = 1
    START = 2
    RELOAD = 3
    DROP_RELOAD = 4
    """Nothing runs that could be reloaded; what is started later reads the files anyway."""


def next_step(life: ServiceLife, wish: Wish, has: Has, *, fresh: bool) -> Step:
    """Decide what comes next; `fresh`: what is known is what `status` has just said."""
    starts = may_start(life, wish, has)
    if (starts or wish.reload) and has.status and not fresh:
        return Step.ASK
    if starts:
        return Step.START
    if not wish.reload:
        return Step.NOTHING
    if life.state is ServiceState.STOPPED or (life.state is ServiceState.FAILED and not has.status):
        return Step.DROP_RELOAD
    # Where nobody knows, the reload stays due until `status` says that they run.
    return Step.NOTHING if life.state is ServiceState.FAILED else Step.RELOAD


def may_start(life: ServiceLife, wish: Wish, has: Has) -> bool:
    """Tell whether synchronization is to start them: never a second time."""
    return wish.start and has.start and not life.lived


def remembered(life: ServiceLife, boot: str, now: float) -> ServiceLife:
    """Return what is known when the agent starts, of what was recorded before."""
    if life.boot != boot:
        # What ran has ended with the machine; what its own start-up has started, `status` will say.
        state = ServiceState.STOPPED if life.boot and life.state is not ServiceState.UNKNOWN else ServiceState.UNKNOWN
        return ServiceLife(state, now, boot)
    if life.state is ServiceState.STARTING:
        return life._replace(state=ServiceState.FAILED, since=now, detail=CUT_OFF)
    return life


def asked(life: ServiceLife, answer: str, said: str, now: float) -> ServiceLife:
    """Return what is known after `status` ended with `answer`; `said` tells a person how, where it is neither."""
    life = life._replace(checked_at=now)
    if answer == RUNS:
        return _turned(life, ServiceState.RUNNING, now)._replace(lived=True, detail="")
    if life.state is ServiceState.STARTING:
        return life
    if answer != IS_STOPPED:
        # Why a start failed says more than what it has left.
        detail = life.detail if life.state is ServiceState.FAILED and life.detail else said
        return _turned(life, ServiceState.FAILED, now)._replace(detail=detail)
    if life.state is ServiceState.RUNNING:
        return _turned(life, ServiceState.STOPPED, now)._replace(detail=ENDED_BY_ITSELF)
    return _turned(life, ServiceState.STOPPED, now)._replace(detail=life.detail if life.lived else "")


def starting(life: ServiceLife, generation: int, now: float) -> ServiceLife:
    """Return what is recorded before a start begins."""
    return life._replace(state=ServiceState.STARTING, since=now, lived=True, generation=generation, detail="")


def started(life: ServiceLife, failure: str, has: Has, now: float) -> ServiceLife:
    """Return what is known after a start: with a `status`, only that says that they run."""
    if failure:
        return life._replace(state=ServiceState.FAILED, since=now, detail=failure)
    return life if has.status else _turned(life, ServiceState.RUNNING, now)


def given_up(life: ServiceLife, now: float) -> ServiceLife:
    """Return what is known where they were not seen running within their time."""
    return life._replace(state=ServiceState.FAILED, since=now, detail=NOT_SEEN_RUNNING)


def stopped(life: ServiceLife, failure: str, now: float) -> ServiceLife:
    """Return what is known after a person's stop: synchronization does not start them again."""
    life = life._replace(lived=True, detail=failure)
    return _turned(life, ServiceState.FAILED if failure else ServiceState.STOPPED, now)


def _turned(life: ServiceLife, state: ServiceState, now: float) -> ServiceLife:
    """Put them in a state; where they are in it already, `since` stays."""
    return life if life.state is state else life._replace(state=state, since=now)
