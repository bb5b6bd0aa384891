"""Suspensions and holds as decisions: what stops a stream, and what a resume ends."""

from __future__ import annotations

import pytest

from syncer.model import Head
from syncer.replicate.pauses import (
    FORGOTTEN_SECONDS,
    Cause,
    Pause,
    alarms_due,
    orphaned,
    pause_of,
    replaced,
    resumed,
    suspended,
)
from syncer.replicate.progress import Facts, Phase, Progress, Step, decide
from syncer.state.holds import FAILED, Hold
from syncer.state.suspensions import Suspension

ALL = Suspension("dr-a", "", "maintenance", 1000.0, None)
ONE = Suspension("dr-a", "nginx", "", 1000.0, 1060.0)
HOLD = Hold("1", "nginx", 42, "boot:7", "make install", 1000.0)
BROKEN = HOLD._replace(id="2", state=FAILED, detail="exit 1")
DOMAINS = {"dr-a": ("nginx", "haproxy"), "dr-b": ("nginx",)}


def test_nothing_stops_what_nobody_stopped() -> None:
    assert pause_of([], [], "dr-a", "nginx", 0.0) == Pause()
    assert pause_of([ALL], [HOLD], "dr-b", "haproxy", 2000.0) == Pause()


def test_a_suspension_stops_its_target_or_its_domain_only_and_says_why() -> None:
    found = pause_of([ALL], [], "dr-a", "haproxy", 5000.0)
    assert found.cause is Cause.PERSON
    assert found.reason == (
        "suspended by a person since 1970-01-01 00:16:40 UTC (maintenance): continue with `syncer resume dr-a`"
    )
    assert "`syncer resume dr-a --domain nginx`" in pause_of([ONE], [], "dr-a", "nginx", 1001.0).reason
    assert pause_of([ONE], [], "dr-a", "haproxy", 1001.0) == Pause()


def test_a_suspension_ends_at_its_time() -> None:
    assert pause_of([ONE], [], "dr-a", "nginx", 1059.9).cause is Cause.PERSON
    assert pause_of([ONE], [], "dr-a", "nginx", 1060.0) == Pause()


def test_a_hold_stops_its_domain_for_all_and_a_failed_one_counts_most() -> None:
    for target in DOMAINS:
        assert pause_of([], [HOLD], target, "nginx", 1001.0).cause is Cause.HOLD
        assert pause_of([ALL], [HOLD, BROKEN], target, "nginx", 1001.0).cause is Cause.FAILED_HOLD
    reason = pause_of([], [BROKEN], "dr-a", "nginx", 1001.0).reason
    assert "by `make install`, which failed (exit 1): look at what it left, then `syncer resume dr-a`" in reason


def test_a_paused_stream_waits_suspended_whatever_else_holds_and_refuses_who_asks() -> None:
    facts = Facts(
        Head("i", "r", 5), True, True, "the root is away", True, True, False, None, suspended="a person said so"
    )
    for progress in (Progress(), Progress(connected=True), Progress(failures=3, error="cut")):
        assert decide(progress, facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, "a person said so")
        assert decide(progress, facts._replace(requested=True), 0.0).step is Step.REFUSE


def test_a_new_suspension_replaces_older_ones_of_its_place() -> None:
    later = ALL._replace(since=2000.0, until=3000.0)
    assert suspended([ALL, ONE], [later]) == (later,)
    assert suspended([ONE], [ONE._replace(reason="new")]) == (ONE._replace(reason="new"),)
    assert suspended([ALL], [ONE]) == (ALL, ONE)


def test_resuming_a_target_ends_all_of_it_and_nothing_of_others() -> None:
    other = Suspension("dr-b", "", "", 1.0, None)
    found = resumed([ALL, ONE, other], [], "dr-a", (), DOMAINS)
    assert found.suspensions == (other,)
    assert found.ended_suspensions == (ALL, ONE)


def test_resuming_one_domain_leaves_the_others_of_a_suspended_target() -> None:
    found = resumed([ALL], [], "dr-a", ("nginx",), DOMAINS)
    assert found.suspensions == (ALL._replace(domain="haproxy"),)
    assert pause_of(found.suspensions, [], "dr-a", "nginx", 0.0) == Pause()
    assert pause_of(found.suspensions, [], "dr-a", "haproxy", 0.0).cause is Cause.PERSON


@pytest.mark.parametrize(
    ("target", "domains", "ended"),
    [
        ("dr-a", (), True),
        ("dr-b", ("nginx",), True),
        (None, ("nginx",), True),
        (None, ("haproxy",), False),
        ("dr-a", ("haproxy",), False),
    ],
)
def test_resuming_ends_failed_holds_of_the_domains_and_never_active_ones(
    target: str | None, domains: tuple[str, ...], ended: bool
) -> None:
    found = resumed([], [HOLD, BROKEN], target, domains, DOMAINS)
    assert found.holds == ((HOLD,) if ended else (HOLD, BROKEN))
    assert found.ended_holds == ((BROKEN,) if ended else ())


def test_a_hold_lives_as_long_as_its_process_and_not_as_another_of_the_same_number() -> None:
    alive = {42: "boot:7"}
    assert orphaned([HOLD, BROKEN], lambda pid: alive.get(pid, "")) == []
    for identity in ("", "boot:8", "other:7"):
        [dead] = orphaned([HOLD, BROKEN], lambda _, found=identity: found)  # type: ignore[misc]  # bound on purpose
        assert (dead.id, dead.state) == ("1", FAILED)
        assert replaced([HOLD, BROKEN], [dead]) == (dead, BROKEN)


def test_a_forgotten_hold_is_an_alarm_once_an_hour() -> None:
    assert [alarms_due(HOLD, 1000.0 + FORGOTTEN_SECONDS * hours) for hours in (-1, 0.9, 1.0, 1.9, 2.0)] == [
        0,
        0,
        1,
        1,
        2,
    ]
    assert alarms_due(BROKEN, 1e9) == 0
