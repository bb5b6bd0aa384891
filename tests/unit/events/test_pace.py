"""What begins again and again begins at a steady rate, and nothing that is rare ever waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncer.events.pace import Pace


@given(st.lists(st.sampled_from([0.0, 0.01, 0.049, 0.051, 0.3, 5.0]), max_size=200))
def test_no_more_begin_than_the_burst_and_the_rate_allow(pauses: list[float]) -> None:
    now = [100.0]
    pace = Pace(8, 20.0, clock=lambda: now[0])
    begun: list[float] = []
    for pause in pauses:
        now[0] += pause
        if pace.take():
            begun.append(now[0])
        else:
            assert 0.0 < pace.wait() <= 0.05 + 1e-9
    for number, start in enumerate(begun):
        later = sum(at <= start + 1.0 for at in begun[number:])
        assert later <= 8 + 20 + 1


def test_a_few_at_once_never_wait_and_who_waits_as_told_may_begin() -> None:
    now = [0.0]
    pace = Pace(8, 20.0, clock=lambda: now[0])
    assert [pace.take() for _ in range(9)] == [True] * 8 + [False]
    for _ in range(100):
        now[0] += pace.wait() + 1e-9
        assert pace.take()
    now[0] += 3600.0
    assert [pace.take() for _ in range(9)] == [True] * 8 + [False]
