"""What a stream raises as events: attempts, sums, suspensions, problems."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from syncer.errors import PeerRejectedError, Reason, UnreachableError
from syncer.events.catalogue import checked
from syncer.events.problems import NAMED_AT_ONCE, ProblemChanges
from syncer.model import Cursor, Problem
from syncer.replicate.messages import Ack
from syncer.replicate.outcomes import Outcomes
from syncer.replicate.progress import Decision, Phase, Step


class Recorder:
    """Keeps what was raised, checked as the journal checks it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.events.append((name, checked(name, {"node": "n", **variables})))

    def of(self, name: str, *keys: str) -> list[tuple[Any, ...]]:
        return [tuple(variables[key] for key in keys) for event, variables in self.events if event == name]


def ack(changes: int, problems: tuple[Problem, ...] = ()) -> Ack:
    return Ack(1, Cursor("index", "run", 1), changes, 100, 0.5, 1, problems)


def test_partial_successes_are_one_event_a_minute_and_full_ones_each() -> None:
    recorder = Recorder()

    async def run() -> None:
        outcomes = Outcomes("dr-a", "nginx", recorder)
        for _ in range(3):
            outcomes.arrived(ack(2), full=False)
        assert recorder.events == []
        outcomes.arrived(ack(7), full=True)
        outcomes.end_minute()
        outcomes.end_minute()

    asyncio.run(run())
    found = recorder.of("sync", "success", "kind", "changes", "bytes", "seconds", "error")
    assert found == [(True, "full", 7, 100, 0.5, ""), (True, "partial", 6, 300, 1.5, "")]


def test_each_failed_attempt_is_an_event() -> None:
    recorder = Recorder()
    outcomes = Outcomes("dr-a", "nginx", recorder)
    outcomes.lost(UnreachableError("gone"), 1, full=False)
    outcomes.lost(PeerRejectedError("a higher term", Reason.STALE_TERM), 2, full=True)
    keys = ("success", "kind", "error", "consecutive_failures")
    assert recorder.of("sync", *keys) == [(False, "partial", "gone", 1), (False, "full", "a higher term", 2)]


def test_a_suspension_is_told_once_and_ends_only_when_it_goes_on() -> None:
    recorder = Recorder()
    outcomes = Outcomes("dr-a", "nginx", recorder)
    outcomes.decided(Decision(Step.WAIT, Phase.STREAMING))
    for phase, reason in (
        (Phase.SUSPENDED, "no root"),
        (Phase.SUSPENDED, "no root"),
        (Phase.UNREACHABLE, "cut"),
        (Phase.CONNECTING, ""),
        (Phase.SUSPENDED, "no root"),
        (Phase.SUSPENDED, "emptied"),
        (Phase.STREAMING, ""),
        (Phase.STREAMING, ""),
    ):
        outcomes.decided(Decision(Step.WAIT, phase, reason))
    assert recorder.of("target.suspended", "reason") == [("no root",), ("emptied",)]
    assert recorder.of("target.resumed", "reason") == [("emptied",)]


def test_a_suspension_by_a_person_is_told_as_such() -> None:
    recorder = Recorder()
    outcomes = Outcomes("dr-a", "nginx", recorder)
    outcomes.decided(Decision(Step.WAIT, Phase.SUSPENDED, "new disks"), by_person=True)
    outcomes.decided(Decision(Step.WAIT, Phase.STREAMING))
    outcomes.decided(Decision(Step.WAIT, Phase.SUSPENDED, "no root"))
    assert recorder.of("target.suspended", "reason", "by_person") == [("new disks", True), ("no root", False)]
    assert recorder.of("target.resumed", "reason", "by_person") == [("new disks", True)]


def test_trying_again_ends_no_suspension_and_what_arrives_does() -> None:
    recorder = Recorder()

    async def run() -> None:
        outcomes = Outcomes("dr-a", "nginx", recorder)
        suspended = Decision(Step.WAIT, Phase.SUSPENDED, "disk full")
        outcomes.decided(suspended)
        for step, phase in ((Step.PARTIAL, Phase.STREAMING), (Step.FULL, Phase.FULL)):
            # A person has it tried again; it fails again.
            outcomes.continued()
            outcomes.decided(Decision(step, phase))
            outcomes.decided(suspended)
            outcomes.decided(suspended)
        assert recorder.of("target.suspended", "reason") == [("disk full",)] * 3
        assert recorder.of("target.resumed", "reason") == []
        outcomes.arrived(ack(1), full=False)
        outcomes.end_minute()
        outcomes.decided(Decision(Step.WAIT, Phase.STREAMING))

    asyncio.run(run())
    assert recorder.of("target.resumed", "reason") == [("disk full",)]


def test_problems_are_told_when_they_come_and_when_they_go() -> None:
    recorder = Recorder()
    changes = ProblemChanges("", "nginx", recorder)
    a, b = Problem("nginx", b"a", "unreadable"), Problem("nginx", b"b\xff", "is a socket")
    changes.now((a, b))
    changes.now((a, b))
    changes.now((b, a._replace(reason="is a device")))
    changes.now((b,))
    assert recorder.of("problem", "path", "reason") == [
        ("a", "unreadable"),
        ("b\udcff", "is a socket"),
        ("a", "is a device"),
    ]
    assert recorder.of("problem.cleared", "path", "reason") == [("a", "is a device")]


def test_a_storm_of_problems_is_bounded() -> None:
    recorder = Recorder()
    changes = ProblemChanges("dr-a", "nginx", recorder)
    changes.now([Problem("nginx", b"%d" % number, "no") for number in range(1000)])
    found = recorder.of("problem", "path", "reason")
    assert len(found) == NAMED_AT_ONCE + 1
    assert found[-1] == ("", "and 980 more paths: see `syncer status`")


def test_a_target_that_is_reached_again_with_nothing_to_send_is_a_success_once() -> None:
    recorder = Recorder()
    settled = Decision(Step.WAIT, Phase.STREAMING)

    async def run() -> None:
        outcomes = Outcomes("dr-a", "nginx", recorder)
        outcomes.decided(settled)
        outcomes.decided(settled)
        outcomes.lost(UnreachableError("cut"), 1, full=False)
        for phase, reason in ((Phase.UNREACHABLE, "cut"), (Phase.SUSPENDED, "braked"), (Phase.STREAMING, "automatic")):
            outcomes.decided(Decision(Step.WAIT, phase, reason))
        outcomes.decided(Decision(Step.PARTIAL, Phase.STREAMING))
        assert [success for success, _ in recorder.of("sync", "success", "changes")] == [True, False]
        outcomes.decided(settled)
        outcomes.decided(settled)
        outcomes.lost(UnreachableError("cut again"), 1, full=False)
        # What arrives after a failure is told at once, not after the minute.
        outcomes.arrived(ack(2), full=False)
        outcomes.decided(settled)

    asyncio.run(run())
    expected = [(True, 0), (False, 0), (True, 0), (False, 0), (True, 2)]
    assert recorder.of("sync", "success", "changes") == expected


def test_failures_in_a_row_are_counted_since_the_target_had_everything() -> None:
    recorder = Recorder()
    outcomes = Outcomes("dr-a", "nginx", recorder)
    settled = Decision(Step.WAIT, Phase.STREAMING)
    # What is counted outside begins anew with each acknowledgement only.
    for failures in (1, 2, 0, 3, 4, 0, 5, 1, 2, 0, 1):
        if failures:
            outcomes.lost(UnreachableError("cut"), failures, full=False)
        else:
            outcomes.decided(settled)
    assert [count for (count,) in recorder.of("sync", "consecutive_failures")] == [1, 2, 0, 1, 2, 0, 1, 1, 2, 0, 1]
