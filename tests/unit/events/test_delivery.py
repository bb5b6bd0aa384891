"""What follows from each answer, and how long is waited."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.events.delivery import (
    ANSWER_LENGTH,
    FIRST_WAIT,
    JITTER,
    LONGEST_WAIT,
    Answer,
    Outcome,
    Verdict,
    judge,
    told,
    wait_after,
)

DONE, LATER, REFUSED = Outcome.DONE, Outcome.LATER, Outcome.REFUSED


@pytest.mark.parametrize(
    ("answer", "age", "expected"),
    [
        (Answer(DONE, ""), 0, Verdict((), None, (), failed=False)),
        (Answer(DONE, "", left=("b",)), 0, Verdict(("b",), 0.0, (), failed=False)),
        (Answer(DONE, "", refused=("b",)), 0, Verdict((), None, ("b",), failed=True)),
        (Answer(DONE, "", left=("a",), refused=("b",)), 0, Verdict(("a",), 0.0, ("b",), failed=True)),
        (Answer(LATER, ""), 0, Verdict(("a", "b"), 0.0, (), failed=False)),
        (Answer(LATER, "", refused=("b",)), 0, Verdict(("a",), 0.0, ("b",), failed=True)),
        (Answer(LATER, "", left=("b",)), 0, Verdict(("b",), 0.0, (), failed=False)),
        (Answer(LATER, ""), 3600, Verdict((), None, ("a", "b"), failed=True)),
        (Answer(DONE, "", left=("b",)), 3600, Verdict((), None, ("b",), failed=True)),
        (Answer(REFUSED, ""), 0, Verdict((), None, ("a", "b"), failed=True)),
    ],
)
def test_what_follows(answer: Answer, age: float, expected: Verdict) -> None:
    now = 10_000.0
    found = judge(answer, ("a", "b"), 1, now - age, now, 3600.0)
    if expected.due is not None:
        assert found.due is not None
        assert now + FIRST_WAIT <= found.due <= now + FIRST_WAIT * (1 + JITTER)
        found = found._replace(due=0.0)
    assert found == expected


def test_an_action_without_receivers_is_tried_again_too() -> None:
    assert judge(Answer(LATER, ""), (), 1, 0.0, 0.0, 60.0).due is not None
    assert judge(Answer(DONE, ""), (), 1, 0.0, 0.0, 60.0) == Verdict((), None, (), failed=False)


def test_who_asks_to_wait_is_given_the_time_and_the_last_attempt_is_at_the_end() -> None:
    asked = judge(Answer(LATER, "", retry_after=600.0), (), 1, 0.0, 0.0, 3600.0)
    assert asked.due == 600.0
    assert judge(Answer(LATER, ""), (), 20, 0.0, 3000.0, 3600.0).due == 3600.0


@given(st.integers(1, 10_000))
def test_waits_grow_up_to_half_an_hour(attempts: int) -> None:
    least = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 20))
    assert least <= wait_after(attempts) <= least * (1 + JITTER)


@given(st.lists(st.sampled_from("abc"), unique=True, min_size=1), st.data())
def test_no_receiver_is_forgotten_or_judged_twice(receivers: list[str], data: st.DataObject) -> None:
    fate = {name: data.draw(st.sampled_from(["done", "later", "refused"])) for name in receivers}
    by: dict[str, Any] = {how: tuple(name for name in receivers if fate[name] == how) for how in ("later", "refused")}
    answer = Answer(DONE, "", by["later"], by["refused"])
    if "done" not in fate.values():
        answer = Answer(LATER, "", by["later"], by["refused"]) if by["later"] else Answer(REFUSED, "")
    found = judge(answer, tuple(receivers), 1, 0.0, 0.0, 60.0)
    assert (found.receivers, set(found.given_up)) == (by["later"], set(by["refused"]))
    assert (found.due is None) == (not by["later"])


KEY_BLOCK = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("250 OK", "250 OK"),
        (
            "550 5.7.1 no such user <a@b.c>; see password=hunter2 there",
            "550 5.7.1 no such user <a@b.c>; see password=[redacted]",
        ),
        ("550 password=\n  hunter2", "550 password= [redacted]"),
        ("421 Authorization: Bearer abcdefgh12345678\r\n", "421 Authorization: [redacted]"),
        (f"554 {KEY_BLOCK}\nbye", "[redacted] bye"),
        ("535 dXNlcgBzZWNyZXQ= was wrong, and my-secret too", "535 [redacted] was wrong, and [redacted] too"),
        ("x" * 400, "x" * 299 + "…"),
        # Cut behind what is taken out, not through it.
        ("y" * 290 + " token=" + "a1" * 100, "y" * 290 + " token=[r…"),
    ],
)
def test_words_of_others_are_one_line_bounded_and_without_secrets(text: str, shown: str) -> None:
    assert told(text, ("dXNlcgBzZWNyZXQ=", "my-secret")) == shown


@given(st.text())
def test_whatever_is_answered_is_one_short_printable_line(text: str) -> None:
    assert told(text).isprintable()
    assert len(told(text)) <= ANSWER_LENGTH


def test_all_that_is_kept_of_an_answer_is_in_its_words() -> None:
    assert Answer(DONE, "250 OK").words == "250 OK"
    assert Answer(DONE, "250 OK", trouble="the template failed").words == "250 OK (the template failed)"
