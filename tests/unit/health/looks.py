"""What a node shows in the tests of health: statuses of the documentation, made quiet, and a fake of the whole."""

from __future__ import annotations

from typing import Any

from syncer.health.answers import Shown
from syncer.health.measurements import Measurements
from syncer.health.pulse import CaptureBeat, LaneBeat, Pulse, StreamBeat
from syncer.health.samples import Look
from tests.documented import examples

PULSE = Pulse(
    0.2, [CaptureBeat("nginx", True, 0.4, 3)], [LaneBeat("nginx", 0.0, 2)], [StreamBeat("dr-a", "nginx", True)]
)


def production() -> dict[str, Any]:
    return examples()["status"]


def failover() -> dict[str, Any]:
    return examples()["status-failover"]


class FakeNode:
    """Shows what a test says."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.shown = status
        self.still = 0.1
        self.stalled: list[str] = []
        self.looks = 0

    def look(self) -> dict[str, Any]:
        self.looks += 1
        return self.shown

    def _look(self) -> dict[str, Any]:
        # A test may have put another one in its place by now.
        return self.look()

    def as_shown(self) -> Shown:
        return Shown(
            lambda: self.still,
            lambda: str(self.shown["mode"]),
            self._look,
            lambda: self.stalled,
            lambda: (b"syncer_ready 1\n", "text/plain; version=0.0.4; charset=utf-8"),
        )


def look(status: dict[str, Any]) -> Look:
    return Look(status, PULSE, [], [], 4, 5, ("sync", "problem"))


def measured() -> Measurements:
    """Return measurements in which everything has happened once."""
    found = Measurements()
    found.acknowledged("dr-a", "nginx", full=False, changes=3, sent_bytes=2048, seconds=0.004)
    found.failed("dr-a", "nginx", "unreachable")
    found.rejected("dr-a", "nginx", "disk_full", full=True)
    found.applied("nginx", full=True, changes=2, received_bytes=512, seconds=400.0)
    found.refused("nginx", "check_failed")
    found.flushed("file", 0.001)
    found.raised("sync")
    return found
