"""When the pipeline counts as standing still: the decision that feeds systemd's watchdog, as a table."""

from __future__ import annotations

import pytest

from syncer.health.pulse import (
    CAPTURE_STUCK,
    LANE_STUCK,
    LOOP_STUCK,
    CaptureBeat,
    LaneBeat,
    Pulse,
    StreamBeat,
    stalls,
)

MOVING = Pulse(
    0.3,
    [CaptureBeat("nginx", True, 0.9, 0)],
    [LaneBeat("nginx", 0.0, 0)],
    [StreamBeat("dr-a", "nginx", True)],
)


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        (MOVING, []),
        (Pulse(0.0), []),
        # The event loop.
        (MOVING._replace(loop_still=LOOP_STUCK), []),
        (MOVING._replace(loop_still=LOOP_STUCK + 1), ["the event loop has been blocked for 6 s"]),
        # Capture: paths that wait are no stall while the thread moves; a thread that ended is one at once.
        (MOVING._replace(captures=[CaptureBeat("nginx", True, 2.0, 90_000)]), []),
        (MOVING._replace(captures=[CaptureBeat("nginx", True, CAPTURE_STUCK, 0)]), []),
        (
            MOVING._replace(captures=[CaptureBeat("nginx", True, CAPTURE_STUCK + 1, 7)]),
            ["capture of domain nginx has not moved for 301 s (7 paths wait)"],
        ),
        (
            MOVING._replace(captures=[CaptureBeat("mail", True, 0.1, 0), CaptureBeat("nginx", False, 0.1, 0)]),
            ["capture of domain nginx has ended"],
        ),
        # Applying: what waits behind a step that moves is no stall; a check may take its time.
        (MOVING._replace(lanes=[LaneBeat("nginx", LANE_STUCK, 4)]), []),
        (MOVING._replace(lanes=[LaneBeat("nginx", LANE_STUCK + 30, 4, allowed=60.0)]), []),
        (
            MOVING._replace(lanes=[LaneBeat("nginx", LANE_STUCK + 61, 4, allowed=60.0)]),
            ["applying to domain nginx has been at one step for 1861 s (4 wait)"],
        ),
        # Sending: a peer that does not answer is the task's business, a task that ended is a stall.
        (
            MOVING._replace(streams=[StreamBeat("dr-a", "nginx", False), StreamBeat("dr-b", "nginx", True)]),
            ["sending domain nginx to dr-a has ended"],
        ),
    ],
)
def test_what_stands_still(pulse: Pulse, said: list[str]) -> None:
    assert stalls(pulse) == said


def test_everything_that_stands_still_is_named() -> None:
    pulse = Pulse(
        9.0,
        [CaptureBeat("a", False, 0.0, 0)],
        [LaneBeat("b", 9_999.0, 0)],
        [StreamBeat("dr-a", "c", False)],
    )
    assert len(stalls(pulse)) == 4
