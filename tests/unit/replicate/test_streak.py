"""Suspension by failures as a state machine: tables, and random histories of years."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import Reason
from syncer.model import Cursor, Head, Term
from syncer.replicate.failing import Failing
from syncer.replicate.failures import WORSENED_BY_RETRYING, FailureClass
from syncer.replicate.messages import Reject, Welcome
from syncer.replicate.progress import (
    Facts,
    Phase,
    Progress,
    Step,
    after_loss,
    after_reject,
    after_rest,
    after_resume,
    after_welcome,
    decide,
    is_retrying,
)
from syncer.replicate.streak import (
    Streak,
    SuspendPolicy,
    after_attempt,
    after_failure,
    handed_over,
    may_attempt,
    remembered,
    sentence,
)
from syncer.state.failure_suspensions import FailureSuspensions
from syncer.state.store import StateStore

POLICY = SuspendPolicy(3, True, 60.0)
HEAD = Head("index", "run", 10)
FACTS = Facts(HEAD, True, True, "", False, True, False)
FULL = FailureClass.DISK_FULL


def failed(times: int, policy: SuspendPolicy = POLICY, kind: FailureClass = FULL, now: float = 100.0) -> Streak:
    streak = Streak()
    for _ in range(times):
        streak = after_failure(streak, policy, kind, "no space", now, 1e9)
    return streak


def connected() -> Progress:
    welcome = Welcome(1, "0", "b", "dr-a", Term(1, "a"), Cursor("index", "run", 7), b"p", b"", True, (), 0)
    return after_welcome(Progress(), welcome, b"p", b"")


@pytest.mark.parametrize(("times", "suspended"), [(0, False), (2, False), (3, True), (4, True)])
def test_it_is_suspended_after_so_many_failures_in_a_row(times: int, suspended: bool) -> None:
    streak = failed(times)
    assert (streak.suspension is not None) == suspended
    assert may_attempt(streak, POLICY, 100.0) != suspended


def test_what_is_remembered_is_the_failure_that_suspended() -> None:
    streak = after_failure(failed(3), POLICY, FailureClass.INTERNAL, "another", 101.0, 2e9)
    assert streak.suspension == ("disk full", "no space", 3, 1e9)
    assert sentence(streak, POLICY, "dr-a", "nginx") == (
        "suspended after 3 failures in a row (disk full: no space): free space there; it is tried again every 60 s by "
        "itself, or at once with `syncer resume dr-a --domain nginx`"
    )
    assert sentence(failed(1, SuspendPolicy(1, False)), SuspendPolicy(1, False), "dr-a", "nginx") == (
        "suspended after a failure (disk full: no space): free space there; then `syncer resume dr-a --domain nginx`"
    )
    assert sentence(failed(2), POLICY, "dr-a", "nginx") == ""


def test_half_open_is_one_attempt_for_each_pause() -> None:
    streak = failed(3, now=100.0)
    assert not may_attempt(streak, POLICY, 159.9)
    assert may_attempt(streak, POLICY, 160.0)
    begun = after_attempt(streak, POLICY, 160.0)
    assert not may_attempt(begun, POLICY, 219.9)
    assert may_attempt(begun, POLICY, 220.0)


def test_without_probes_time_ends_nothing() -> None:
    policy = POLICY._replace(probe=False)
    assert not may_attempt(failed(3, policy), policy, math.inf)


def test_zero_means_that_nothing_suspends() -> None:
    policy = SuspendPolicy(0)
    assert failed(1000, policy).suspension is None
    assert remembered(failed(3).suspension, policy, 0.0) == Streak()


def test_a_restart_waits_for_the_pause_before_it_probes() -> None:
    streak = remembered(failed(3).suspension, POLICY, 5.0)
    assert not may_attempt(streak, POLICY, 64.9)
    assert may_attempt(streak, POLICY, 65.0)
    assert remembered(None, POLICY, 5.0) == Streak()


@given(st.lists(st.sampled_from(sorted(set(FailureClass) - WORSENED_BY_RETRYING, key=str)), max_size=200))
def test_what_retrying_does_not_worsen_never_suspends(kinds: list[FailureClass]) -> None:
    streak = failed(2)
    for kind in kinds:
        streak = after_failure(streak, POLICY, kind, "x", 0.0, 0.0)
    assert streak == (Streak() if FailureClass.CHECK_FAILED in kinds else failed(2))


def test_a_check_that_refused_proves_that_the_disk_took_it() -> None:
    assert after_failure(failed(3), POLICY, FailureClass.CHECK_FAILED, "no", 0.0, 0.0) == Streak()


EVENTS = st.one_of(st.sampled_from(list(FailureClass)), st.sampled_from(["ok", "person", "restart"]))


@given(st.lists(st.tuples(EVENTS, st.floats(0.01, 100.0)), max_size=100), st.booleans(), st.integers(1, 5))
def test_histories_suspend_exactly_at_the_limit_and_resume_exactly_by_success_or_a_person(
    history: list[tuple[FailureClass | str, float]], probe: bool, limit: int
) -> None:
    policy = SuspendPolicy(limit, probe, 60.0)
    streak, counted, now, attempts = Streak(), 0, 0.0, [-math.inf]
    for event, pause in history:
        now += pause
        if event == "restart":
            streak = remembered(streak.suspension, policy, now)
            counted = streak.count
            continue
        if event == "person":
            streak, counted = Streak(), 0
            continue
        suspended = streak.suspension is not None
        if not may_attempt(streak, policy, now):
            assert suspended
            continue
        if suspended:
            assert probe
            assert now - attempts[-1] >= 60.0 or len(attempts) == 1
        attempts.append(now)
        streak = after_attempt(streak, policy, now)
        if event == "ok":
            streak, counted = Streak(), 0
        elif isinstance(event, FailureClass):
            counted = 0 if event is FailureClass.CHECK_FAILED else counted + (event in WORSENED_BY_RETRYING)
            streak = after_failure(streak, policy, event, "x", now, now)
        assert (streak.suspension is not None) == (counted >= limit)


def test_a_suspended_stream_sends_only_probes_and_what_a_person_asks() -> None:
    facts = FACTS._replace(failing="suspended after 3", probing=False)
    assert decide(connected(), facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, "suspended after 3")
    assert decide(connected(), facts._replace(probing=True), 0.0) == (
        Step.PARTIAL, Phase.SUSPENDED, "suspended after 3",
    )  # fmt: skip  # a decision in one line
    assert decide(connected(), facts._replace(requested=True), 0.0).step is Step.FULL
    assert decide(Progress(), facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, "suspended after 3")
    # What a person has stopped comes first, and what cannot be read is refused as ever.
    assert decide(connected(), facts._replace(suspended="by a person"), 0.0).reason == "by a person"
    assert decide(connected(), facts._replace(unavailable="no root", requested=True), 0.0).step is Step.REFUSE


def test_a_probe_does_not_pass_what_else_holds_it_back() -> None:
    facts = FACTS._replace(failing="suspended after 3", probing=True, unavailable="the root is missing")
    assert decide(connected(), facts, 0.0).step is Step.WAIT


def test_waiting_to_try_again_is_shown_as_suspended_but_is_no_suspension_yet() -> None:
    rejected = after_reject(connected(), Reject(1, Reason.DISK_FULL, "no space"), 10, 100.0, 5.0)
    for now in (101.0, 105.0):
        decision = decide(rejected, FACTS, now)
        assert decision[1:] == (Phase.SUSPENDED, "no space")
        assert is_retrying(rejected, decision)
    # Also after the connection was lost meanwhile, for whatever reason.
    lost = after_loss(rejected, "cut", refused=False)
    assert decide(lost, FACTS, 101.0).phase is Phase.UNREACHABLE
    again = decide(connected_again(lost), FACTS, 105.0)
    assert again[1:] == (Phase.SUSPENDED, "no space")
    suspended = decide(rejected, FACTS._replace(failing="suspended after 3"), 105.0)
    assert not is_retrying(rejected, suspended)
    assert not is_retrying(after_rest(rejected), decide(after_rest(rejected), FACTS, 101.0))
    refused = after_reject(connected(), Reject(1, Reason.APPROVAL_REQUIRED, "needs a person"), 10, 100.0, 5.0)
    assert not is_retrying(refused, decide(refused, FACTS, 101.0))


def connected_again(progress: Progress) -> Progress:
    welcome = Welcome(1, "0", "b", "dr-a", Term(1, "a"), Cursor("index", "run", 7), b"p", b"", True, (), 0)
    return after_welcome(progress, welcome, b"p", b"")


def test_a_person_who_resumes_has_it_tried_at_once() -> None:
    rejected = after_reject(connected(), Reject(1, Reason.DISK_FULL, "no space"), 10, 100.0, 50.0)
    assert decide(rejected, FACTS, 101.0).step is Step.WAIT
    assert decide(after_resume(rejected), FACTS, 101.0).step is Step.PARTIAL
    checked = after_reject(connected(), Reject(1, Reason.CHECK_FAILED, "the check refused"), 10, 100.0, 50.0)
    assert decide(after_resume(checked), FACTS, 1e9).step is Step.WAIT


@pytest.mark.parametrize("reloads", [1, 100])
def test_failures_are_counted_on_through_reloads_of_the_configuration(reloads: int) -> None:
    failing = Failing("dr-a", "nginx", POLICY)
    for _ in range(POLICY.suspend_after):
        assert failing.suspension is None
        failing.failed(FULL, "no space")
        for _ in range(reloads):
            before, failing = failing, Failing("dr-a", "nginx", POLICY)
            failing.take_over(before)
    assert failing.suspension is not None
    assert failing.suspension.failures == POLICY.suspend_after
    assert failing.reason


def test_another_policy_counts_for_what_is_taken_over() -> None:
    suspended = failed(3)
    assert suspended.probe_at == 160.0
    assert handed_over(suspended, SuspendPolicy(0), 110.0) == Streak()
    assert handed_over(suspended, SuspendPolicy(3, True, 5.0), 110.0).probe_at == 115.0
    assert handed_over(suspended, SuspendPolicy(3, True, 600.0), 110.0).probe_at == 160.0
    # A limit that is lower than what was counted already suspends at the next failure.
    lowered = SuspendPolicy(2)
    streak = handed_over(failed(2), lowered, 110.0)
    assert (streak.count, streak.suspension) == (2, None)
    assert after_failure(streak, lowered, FULL, "no space", 111.0, 1e9).suspension is not None


def test_a_suspension_by_failures_is_durable_and_forgotten_when_it_ends(store: StateStore) -> None:
    now = [100.0]

    def begin() -> Failing:
        kept = FailureSuspensions(store, "dr-a", "nginx")
        return Failing("dr-a", "nginx", POLICY, kept, clock=lambda: now[0], wall=lambda: 1e9)

    failing = begin()
    for _ in range(3):
        assert failing.is_kept()
        failing.failed(FULL, "no space")
    assert not failing.is_kept()
    failing.keep()
    again = begin()
    assert again.is_kept()
    assert (again.reason, again.suspension) == (failing.reason, failing.suspension)
    assert again.probe_at == 160.0
    assert not again.may_attempt()
    now[0] = 160.0
    assert again.may_attempt()
    again.attempting()
    assert again.probe_at == 220.0
    assert again.ended()
    assert not again.ended()
    assert (again.reason, again.probe_at) == ("", 0.0)
    again.keep()
    assert begin().suspension is None
    assert FailureSuspensions(store, "dr-a", "other").read() is None
