"""States that somebody must hear of, once when they begin and once when they end: a pure state machine.

A look brings one observation for each thing that is watched. What it says holds raises the alarm's event unless that
stands already; what it says is over raises the other event, unless nothing stands. What it cannot tell changes
nothing. Who counts seconds counts them on a monotonic clock; the times here are for display.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

ENDS = {"target.behind": "target.caught_up", "peer.silent": "peer.heard", "clock.skewed": "clock.agreed"}
"""The event that begins a state, and the one that ends it."""

SKEWED_SECONDS = 5.0
AGREED_SECONDS = 4.0
"""Clocks agree again below this; in between nothing is said, so that a clock at the limit makes no storm."""
CAUGHT_UP_PART = 0.5
"""A target has caught up below this part of the lag that counts as behind, for the same reason."""


class Alarm(NamedTuple):
    """What an alarm is about; `peer` and `domain` are "" where it is about no one of them."""

    name: str
    peer: str = ""
    domain: str = ""


class Observation(NamedTuple):
    """What one look says of one alarm."""

    alarm: Alarm
    holds: bool | None
    """None: it cannot be told now, or is not to be told: what stands stays."""


class Raised(NamedTuple):
    """An event that is due; `since`: when the state began, in Unix seconds."""

    event: str
    alarm: Alarm
    since: float


def looked(
    standing: Mapping[Alarm, float], observations: Iterable[Observation], wall: float
) -> tuple[dict[Alarm, float], list[Raised]]:
    """Return what stands after a look at `wall` (Unix seconds), and the events that are due.

    What was not observed is watched no more (the target is gone, or nobody is paired): it stands no more, silently.
    """
    now: dict[Alarm, float] = {}
    due: list[Raised] = []
    for alarm, holds in observations:
        since = standing.get(alarm)
        if holds and since is None:
            due.append(Raised(alarm.name, alarm, wall))
            now[alarm] = wall
        elif holds is False and since is not None:
            due.append(Raised(ENDS[alarm.name], alarm, since))
        elif since is not None:
            now[alarm] = since
    return now, due


def is_behind(lag: float, behind_after: float, *, excused: bool, whole: bool = True) -> bool | None:
    """Tell whether a target is behind (seconds); `excused`: a person has stopped it, so that it is no alarm.

    A lag that is not `whole` is at least so much: that tells of no end.
    """
    if lag > behind_after:
        return None if excused else True
    return False if whole and lag <= behind_after * CAUGHT_UP_PART else None


def is_silent(now: float, heard: float | None, counted_from: float, timeout: float) -> bool | None:
    """Tell whether production is silent (monotonic seconds).

    `heard`: when it spoke last, None: not since the start. `counted_from`: before this nobody was listening.
    """
    if now - max(heard or counted_from, counted_from) > timeout:
        return True
    return False if heard is not None and now - heard <= timeout else None


def is_skewed(skew: float | None, round_trip: float | None) -> bool | None:
    """Tell whether two clocks differ (seconds); half the way there and back is how wrong the measure may be."""
    if skew is None:
        return None
    most = abs(skew)
    if most - (round_trip or 0.0) / 2 > SKEWED_SECONDS:
        return True
    return False if most < AGREED_SECONDS else None
