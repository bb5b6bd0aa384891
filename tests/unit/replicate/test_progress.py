"""The state machine of one stream, driven by scripts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.errors import CommandFailure, Reason
from syncer.model import Cursor, Head, Term
from syncer.replicate.brake import PREFIX
from syncer.replicate.messages import Ack, Approval, Reject, Welcome
from syncer.replicate.progress import (
    EMPTIED,
    Facts,
    Phase,
    Progress,
    Step,
    after_ack,
    after_approval,
    after_brake,
    after_full_wanted,
    after_loss,
    after_reject,
    after_release,
    after_welcome,
    backoff,
    braking_reason,
    decide,
)

HEAD = Head("index", "run", 10)
FACTS = Facts(HEAD, True, True, "", False, True, False)


def welcome(seq: int | None, *, patterns: bytes = b"p", resumable: bool = True) -> Welcome:
    cursor = None if seq is None else Cursor("index", "run", seq)
    return Welcome(1, "0", "b", "dr-a", Term(1, "a"), cursor, patterns, b"", resumable, (), 0)


def connected(seq: int | None, **how: object) -> Progress:
    return after_welcome(Progress(), welcome(seq, **how), b"p", b"")  # type: ignore[arg-type]  # test shorthand


def ack(seq: int) -> Ack:
    return Ack(1, Cursor("index", "run", seq), 1, 1, 0.1, 1, ())


def test_nothing_is_sent_before_a_connection() -> None:
    assert decide(Progress(), FACTS, 0.0).step is Step.WAIT
    assert decide(Progress(), FACTS, 0.0).phase is Phase.CONNECTING


def test_first_contact_is_full_then_streams_then_rests() -> None:
    progress = connected(None)
    assert decide(progress, FACTS, 0.0).step is Step.FULL
    progress = after_ack(progress, ack(10))
    assert decide(progress, FACTS, 0.0) == (Step.WAIT, Phase.STREAMING, "")
    assert decide(progress, FACTS._replace(head=Head("index", "run", 11)), 0.0).step is Step.PARTIAL


def test_a_known_cursor_resumes_and_an_unknown_one_is_full() -> None:
    progress = connected(7)
    assert decide(progress, FACTS, 0.0).step is Step.PARTIAL
    assert decide(progress, FACTS._replace(resumable=False), 0.0).step is Step.FULL


@pytest.mark.parametrize("how", [{"patterns": b"other"}, {"resumable": False}])
def test_another_pattern_hash_or_an_untrusted_base_is_full(how: dict[str, object]) -> None:
    assert decide(connected(10, **how), FACTS, 0.0).step is Step.FULL


def test_an_unavailable_root_suspends_whatever_else_holds() -> None:
    decision = decide(connected(7), FACTS._replace(unavailable="the root is missing"), 0.0)
    assert decision == (Step.WAIT, Phase.SUSPENDED, "the root is missing")
    asked = decide(connected(7), FACTS._replace(unavailable="the root is missing", requested=True), 0.0)
    assert asked.step is Step.REFUSE


def test_an_emptied_root_suspends_until_a_person_approves_that_very_state() -> None:
    facts = FACTS._replace(emptied=True)
    progress = connected(7)
    assert decide(progress, facts, 0.0).reason == EMPTIED
    approved = after_approval(progress, 10)
    assert decide(approved, facts, 0.0).step is Step.PARTIAL
    later = facts._replace(head=Head("index", "run", 11))
    assert decide(approved, later, 0.0).reason == EMPTIED


def test_an_emptied_root_says_nothing_to_a_target_that_has_nothing() -> None:
    assert decide(connected(None), FACTS._replace(emptied=True), 0.0).step is Step.FULL


def test_nothing_is_believed_before_the_first_scan() -> None:
    decision = decide(connected(7), FACTS._replace(scanned=False), 0.0)
    assert (decision.step, decision.phase) == (Step.WAIT, Phase.CONNECTING)


def test_manual_targets_only_on_request() -> None:
    facts = FACTS._replace(automatic=False)
    assert decide(connected(None), facts, 0.0).step is Step.WAIT
    assert decide(connected(None), facts._replace(requested=True), 0.0).step is Step.FULL


def test_a_target_that_comes_home_is_sent_only_what_its_procedure_asks_for() -> None:
    facts = FACTS._replace(held_back="it comes home")
    assert decide(connected(None), facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, "it comes home")
    assert decide(connected(3), facts, 0.0).step is Step.WAIT
    assert decide(connected(None), facts._replace(requested=True), 0.0).step is Step.FULL
    # Before it is called at all, too; but where it is not there, that is said.
    refused = after_loss(Progress(), "run `syncer rejoin`", refused=True)
    assert decide(Progress(), facts, 0.0).reason == decide(refused, facts, 0.0).reason == "it comes home"
    assert decide(after_loss(Progress(), "no route", refused=False), facts, 0.0).phase is Phase.UNREACHABLE


def test_a_rejected_state_waits_for_time_or_news() -> None:
    rejected = after_reject(connected(7), Reject(1, Reason.DISK_FULL, "no space"), 10, 100.0, 5.0)
    assert decide(rejected, FACTS, 101.0) == (Step.WAIT, Phase.SUSPENDED, "no space")
    assert decide(rejected, FACTS, 105.0).step is Step.PARTIAL
    assert decide(rejected, FACTS._replace(head=Head("index", "run", 11)), 101.0).step is Step.PARTIAL
    assert decide(after_ack(rejected, ack(10)), FACTS, 101.0).phase is Phase.STREAMING


def test_what_a_check_refused_waits_for_news_or_a_person_and_counts_towards_nothing() -> None:
    failure = CommandFailure("nginx -t", "1", 0.1, "\n  unknown directive\nline two\nline three\nline four")
    reject = Reject(1, Reason.CHECK_FAILED, "the check refused", failure=failure)
    refused = after_reject(connected(7), reject, 10, 100.0, 5.0)
    reason = "the check refused; unknown directive; line two; line three"
    assert decide(refused, FACTS, 1e9) == (Step.WAIT, Phase.SUSPENDED, reason)
    assert refused.failures == 0
    again = after_welcome(after_loss(refused, "cut", refused=False), welcome(7), b"p", b"")
    assert decide(again, FACTS, 1e9) == (Step.WAIT, Phase.SUSPENDED, reason)
    assert decide(again, FACTS._replace(requested=True), 1e9).step is Step.FULL
    news = FACTS._replace(head=Head("index", "run", 11))
    # Refused until one has passed: an edit that is as wrong as the last one is no end of it.
    assert decide(again, news, 0.0) == (Step.PARTIAL, Phase.SUSPENDED, reason)
    assert decide(after_ack(again, ack(11)), news, 0.0) == (Step.WAIT, Phase.STREAMING, "")
    # Another refusal of the newer state has its own rule.
    full = after_reject(again, Reject(2, Reason.DISK_FULL, "no space"), 11, 100.0, 5.0)
    assert decide(full, news, 105.0).step is Step.PARTIAL


def test_a_cursor_mismatch_is_answered_by_a_full_at_once() -> None:
    rejected = after_reject(connected(7), Reject(1, Reason.CURSOR_MISMATCH, "elsewhere"), 10, 100.0, 5.0)
    assert decide(rejected, FACTS, 100.0).step is Step.FULL


def test_a_plan_waits_for_a_person_even_when_news_arrive() -> None:
    approval = Approval("plan-1", 3, 1)
    reject = Reject(1, Reason.APPROVAL_REQUIRED, "needs a person", approval)
    waiting = after_reject(connected(None), reject, 10, 0.0, 1.0)
    news = FACTS._replace(head=Head("index", "run", 99))
    assert decide(waiting, news, 1000.0) == (Step.WAIT, Phase.SUSPENDED, "needs a person")
    approved = after_approval(waiting, 10)
    assert approved.approved == "plan-1"
    assert decide(approved, news, 1000.0).step is Step.FULL
    assert after_ack(approved, ack(99)).approval is None


def test_a_waiting_plan_survives_a_reconnect() -> None:
    reject = Reject(1, Reason.APPROVAL_REQUIRED, "needs a person", Approval("plan-1", 3, 1))
    waiting = after_reject(connected(None), reject, 10, 0.0, 1.0)
    again = after_welcome(after_loss(waiting, "cut", refused=False), welcome(None), b"p", b"")
    assert decide(again, FACTS, 1000.0) == (Step.WAIT, Phase.SUSPENDED, "needs a person")


def test_loss_shows_unreachable_and_refusal_shows_suspended() -> None:
    lost = after_loss(connected(7), "cut", refused=False)
    assert decide(lost, FACTS, 0.0) == (Step.WAIT, Phase.UNREACHABLE, "cut")
    refused = after_loss(connected(7), "wrong mode", refused=True)
    assert decide(refused, FACTS, 0.0) == (Step.WAIT, Phase.SUSPENDED, "wrong mode")


def test_losing_the_connection_keeps_the_cursor_for_display() -> None:
    assert after_loss(connected(7), "cut", refused=False).cursor == Cursor("index", "run", 7)


def test_backoff_doubles_and_is_capped() -> None:
    assert [backoff(n, 1.0, 10.0) for n in (1, 2, 3, 4, 5, 1000)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_decisions_do_not_change_what_they_look_at() -> None:
    progress = connected(7)
    before = replace(progress)
    decide(progress, FACTS, 0.0)
    assert progress == before


def test_what_the_brake_holds_back_waits_and_is_judged_again_when_the_head_moves() -> None:
    braked = after_brake(connected(7), "too many", 10)
    decision = decide(braked, FACTS, 0.0)
    assert decision == (Step.WAIT, Phase.SUSPENDED, "too many")
    assert braking_reason(braked, FACTS, decision) == "too many"
    assert decide(braked, FACTS._replace(requested=True), 0.0).step is Step.REFUSE
    assert decide(braked, FACTS._replace(requested=True, preview=True), 0.0).step is Step.FULL
    news = FACTS._replace(head=Head("index", "run", 11))
    # Never shown green before it has passed.
    assert decide(braked, news, 0.0) == (Step.PARTIAL, Phase.SUSPENDED, "too many")
    assert decide(after_release(braked), news, 0.0) == (Step.PARTIAL, Phase.STREAMING, "")
    assert decide(after_approval(braked, 10), FACTS, 0.0).step is Step.PARTIAL
    assert not after_ack(braked, ack(10)).braked


def test_a_mount_that_went_suspends_all_but_a_preview_and_one_that_moves_waits() -> None:
    facts = FACTS._replace(mounts="x is not mounted any more")
    decision = decide(connected(7), facts, 0.0)
    assert decision == (Step.WAIT, Phase.SUSPENDED, "x is not mounted any more")
    assert braking_reason(connected(7), facts, decision)
    assert decide(connected(7), facts._replace(requested=True), 0.0).step is Step.REFUSE
    assert decide(connected(7), facts._replace(requested=True, preview=True), 0.0).step is Step.FULL
    moving = FACTS._replace(mounts=None, requested=True, preview=True)
    assert decide(connected(7), moving, 0.0).step is Step.WAIT


def test_the_targets_brake_is_asked_again_once_news_and_time_have_come() -> None:
    reject = Reject(1, Reason.APPROVAL_REQUIRED, "too many there", Approval(PREFIX + "1", 30, 0))
    waiting = after_reject(connected(7), reject, 10, 0.0, 5.0)
    news = FACTS._replace(head=Head("index", "run", 11))
    assert decide(waiting, FACTS, 1000.0) == (Step.WAIT, Phase.SUSPENDED, "too many there")
    assert decide(waiting, news, 1.0).step is Step.WAIT
    assert decide(waiting, news, 6.0) == (Step.PARTIAL, Phase.SUSPENDED, "too many there")
    assert braking_reason(waiting, news, decide(waiting, news, 6.0)) == "too many there"
    assert decide(after_approval(waiting, 10), FACTS, 1.0) == (Step.PARTIAL, Phase.STREAMING, "")


def test_a_target_that_asks_gets_a_full_synchronization_and_then_the_stream_again() -> None:
    progress = after_full_wanted(connected(10))
    assert decide(progress, FACTS, 0.0).step is Step.FULL
    assert decide(after_ack(progress, ack(10)), FACTS, 0.0) == (Step.WAIT, Phase.STREAMING, "")
    assert decide(progress, FACTS._replace(automatic=False), 0.0).step is Step.WAIT


def test_a_domain_that_is_empty_on_both_sides_waits_for_nobody() -> None:
    facts = FACTS._replace(emptied=True)
    assert decide(connected(10), facts, 0.0) == (Step.WAIT, Phase.STREAMING, "")
    assert decide(connected(7), facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, EMPTIED)
    assert decide(connected(10, resumable=False), facts, 0.0) == (Step.WAIT, Phase.SUSPENDED, EMPTIED)
