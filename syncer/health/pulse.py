"""Decides whether the node's pipeline really moves, from what its threads and tasks last did (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BEAT_EVERY = 1.0
"""Seconds between two beats of the event loop."""
LOOP_STUCK = 5.0
"""Seconds without a beat after which the event loop counts as blocked."""
CAPTURE_STUCK = 300.0
"""Seconds without a step: each directory is one, and each piece of a large file."""
LANE_STUCK = 1800.0
"""Seconds that one step of a transaction may take; a full one of millions of files is applied and flushed in one."""


class CaptureBeat(NamedTuple):
    """One capture thread (seconds since it last moved)."""

    domain: str
    alive: bool
    still: float
    waiting: int
    """Paths that may have changed and were not looked at yet."""


class LaneBeat(NamedTuple):
    """The worker of one domain on failover; `busy` is for how many seconds it has been at one step, 0: idle."""

    domain: str
    busy: float
    waiting: int
    """Steps that wait behind it."""
    allowed: float = 0.0
    """Seconds that the domain's own commands may take within a step."""


class StreamBeat(NamedTuple):
    """One sender's task. A peer that does not answer is no stall: the task lives, and tries again."""

    target: str
    domain: str
    alive: bool


class Pulse(NamedTuple):
    """What moves at one moment."""

    loop_still: float
    """Seconds since the event loop's last beat."""
    captures: Sequence[CaptureBeat] = ()
    lanes: Sequence[LaneBeat] = ()
    streams: Sequence[StreamBeat] = ()


def stalls(pulse: Pulse) -> list[str]:
    """Return one sentence for each part that should move and does not; none where all do."""
    found = []
    if pulse.loop_still > LOOP_STUCK:
        found.append(f"the event loop has been blocked for {pulse.loop_still:.0f} s")
    for capture in pulse.captures:
        if not capture.alive:
            found.append(f"capture of domain {capture.domain} has ended")
        elif capture.still > CAPTURE_STUCK:
            found.append(
                f"capture of domain {capture.domain} has not moved for {capture.still:.0f} s "
                f"({capture.waiting} paths wait)"
            )
    found += [
        f"applying to domain {lane.domain} has been at one step for {lane.busy:.0f} s ({lane.waiting} wait)"
        for lane in pulse.lanes
        if lane.busy > LANE_STUCK + lane.allowed
    ]
    found += [
        f"sending domain {stream.domain} to {stream.target} has ended" for stream in pulse.streams if not stream.alive
    ]
    return found
