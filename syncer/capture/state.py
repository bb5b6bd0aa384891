"""What capture of one domain is doing, as status shows it."""

from __future__ import annotations

from typing import NamedTuple

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
