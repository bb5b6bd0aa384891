"""The age of the oldest change that a target lacks, against a model that remembers everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncer.model import Head
from syncer.replicate.lag import GRAIN_SECONDS, MOST, Lag


def head(seq: int, index: str = "index") -> Head:
    return Head(index, "run", seq)


def test_nothing_that_is_missing_has_no_age() -> None:
    assert Lag().seconds(head(5), 5, 100.0, reached=True) == 0.0


def test_a_busy_target_that_keeps_up_is_never_late() -> None:
    lag = Lag()
    for second in range(1000):
        # At each look something new is on its way, but what was there a second ago has arrived.
        assert lag.seconds(head(second + 1), second, float(second), reached=False) == 0.0


def test_the_oldest_counts_and_what_arrives_falls_off() -> None:
    lag = Lag()
    lag.seconds(head(1), 0, 0.0, reached=False)
    lag.seconds(head(2), 0, 10.0, reached=False)
    assert lag.seconds(head(2), 0, 30.0, reached=False) == 30.0
    assert lag.seconds(head(2), 1, 30.0, reached=False) == 20.0
    assert lag.seconds(head(2), 2, 30.0, reached=True) == 0.0


def test_what_waited_at_the_start_is_older_than_can_be_known() -> None:
    lag = Lag()
    steps = ((5, 3, 0.0), (6, 4, 10.0), (6, 5, 11.0))
    found = [(lag.seconds(head(seq), told, now, reached=False), lag.is_whole) for seq, told, now in steps]
    # With the last all of that has arrived: what is missing now came since.
    assert found == [(0.0, False), (10.0, False), (1.0, True)]
    level = Lag()
    level.seconds(head(5), 5, 0.0, reached=True)
    assert level.is_whole


def test_a_target_whose_place_is_unknown_lacks_all_since_it_was_seen() -> None:
    lag = Lag()
    lag.seconds(head(5), None, 0.0, reached=False)
    assert lag.seconds(head(6), None, 7.0, reached=False) == 7.0


def test_a_new_index_begins_anew() -> None:
    lag = Lag()
    lag.seconds(head(50), 0, 0.0, reached=False)
    assert lag.seconds(head(3, "another"), None, 9.0, reached=False) == 0.0
    assert lag.seconds(head(4, "another"), 3, 12.0, reached=False) == 0.0


@given(st.lists(st.tuples(st.floats(0.1, 20.0), st.integers(0, 3), st.integers(0, 3)), max_size=3 * MOST))
def test_the_age_is_right_to_the_grain_and_never_too_small(looks: list[tuple[float, int, int]]) -> None:
    lag = Lag()
    now, seq, acknowledged = 0.0, 0, 0
    first_seen: dict[int, float] = {}
    for pause, changes, arrived in looks:
        now, seq = now + pause, seq + changes
        acknowledged = min(acknowledged + arrived, seq)
        for number in range(seq - changes + 1, seq + 1):
            first_seen[number] = now
        found = lag.seconds(head(seq), acknowledged, now, reached=acknowledged == seq)
        truth = now - first_seen[acknowledged + 1] if acknowledged < seq else 0.0
        assert found >= truth - 1e-6
        assert len(lag._seen) <= MOST
        if len(first_seen) <= MOST:
            assert found <= truth + GRAIN_SECONDS + 1e-6
