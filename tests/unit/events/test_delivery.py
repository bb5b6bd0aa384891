"""What follows from each answer, and how long is waited."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.events.delivery import FIRST_WAIT, JITTER, LONGEST_WAIT, Answer, Outcome, Verdict, judge, wait_after

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
