"""What capture notices as events: each loss of sight is told, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.capture.state import OVERFLOWED, CaptureState
from syncer.events.catalogue import checked
from syncer.node.capture_events import CaptureEvents

STATE = CaptureState("watching", "", 1, 1, 0, 1, 0.0, (), 1)


def test_degraded_and_restored() -> None:
    raised: list[tuple[str, str]] = []

    def record(name: str, variables: Mapping[str, Any]) -> None:
        raised.append((name, str(checked(name, {"node": "n", **variables})["reason"])))

    events = CaptureEvents("d", record)
    missing = STATE._replace(state="degraded", reason="no watches")
    for state in (STATE, missing, missing, STATE, STATE):
        events.now(state)
    assert raised == [("watch.degraded", "no watches"), ("watch.restored", "no watches")]
    raised.clear()
    # An overflow is over once everything was scanned again.
    full = STATE._replace(state="degraded", reason=OVERFLOWED, overflows=1)
    for state in (full, full, STATE._replace(overflows=1, scans=2)):
        events.now(state)
    assert [name for name, _ in raised] == ["watch.degraded", "watch.restored"]
    raised.clear()
    for state in (
        missing._replace(overflows=2, scans=2),
        STATE._replace(overflows=2, scans=2),
        STATE._replace(state="unavailable", overflows=2, scans=3),
        STATE._replace(overflows=2, scans=3),
    ):
        events.now(state)
    assert [name for name, _ in raised] == ["watch.degraded", "watch.degraded", "watch.restored"]
