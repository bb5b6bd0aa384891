"""What capture of one domain is doing, as status shows it."""

from __future__ import annotations

from typing import NamedTuple

from syncer.capture.tree_watch import TreeWatch
from syncer.model import Problem


class CaptureState(NamedTuple):
    """One moment of a capturer."""

    state: str
    """scanning (first scan), watching, polling, degraded or unavailable."""
    reason: str
    """Why it is polling, degraded or unavailable, and what to do; else ""."""
    directories: int
    watched: int
    overflows: int
    scans: int
    """Full scans that were completed and recorded."""
    last_full_scan: float
    """Seconds that the latest full scan took."""
    problems: tuple[Problem, ...]
    entries: int


class CaptureBeat(NamedTuple):
    """Whether a capturer moves."""

    alive: bool
    moved_at: float
    """When it last began something (seconds, monotonic)."""
    waiting: int
    """Paths that may have changed and were not looked at yet."""


OVERFLOWED = "the kernel's queue of changes was full: everything is scanned again, nothing to do"


def describe(
    watch: TreeWatch,
    *,
    unavailable: str,
    polled: str,
    overflowed: bool,
    scans: int,
    last_full_scan: float,
    problems: tuple[Problem, ...],
    entries: int,
) -> CaptureState:
    """Return the state; of several things to say, the gravest."""
    state, reason = "watching", ""
    if unavailable:
        state, reason = "unavailable", unavailable
    elif not scans:
        state = "scanning"
    elif polled:
        state, reason = "polling", polled
    elif overflowed:
        state, reason = "degraded", OVERFLOWED
    elif watch.unwatched:
        state, reason = "degraded", watch.degraded()
    watched = watch.watched
    directories = watched + watch.unwatched
    return CaptureState(state, reason, directories, watched, watch.overflows, scans, last_full_scan, problems, entries)
