"""Alarms are told once when they begin and once when they end, whatever happens in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.events.catalogue import CATALOGUE
from syncer.events.standing import ENDS, Alarm, Observation, is_behind, is_silent, is_skewed, looked

BEHIND = Alarm("target.behind", "dr-a", "nginx")
OTHER = Alarm("target.behind", "dr-b", "nginx")


def test_every_alarm_and_its_end_are_events_with_the_same_variables() -> None:
    for begin, end in ENDS.items():
        assert CATALOGUE[begin].variables == CATALOGUE[end].variables


def test_it_is_told_when_it_begins_and_when_it_ends() -> None:
    standing, due = looked({}, [Observation(BEHIND, True), Observation(OTHER, False)], 100.0)
    assert [(item.event, item.alarm, item.since) for item in due] == [("target.behind", BEHIND, 100.0)]
    standing, due = looked(standing, [Observation(BEHIND, True)], 101.0)
    assert (standing, due) == ({BEHIND: 100.0}, [])
    standing, due = looked(standing, [Observation(BEHIND, None)], 102.0)
    assert (standing, due) == ({BEHIND: 100.0}, [])
    standing, due = looked(standing, [Observation(BEHIND, False)], 103.0)
    assert (standing, [(item.event, item.since) for item in due]) == ({}, [("target.caught_up", 100.0)])


def test_what_is_watched_no_more_stands_no_more() -> None:
    assert looked({BEHIND: 1.0}, [], 2.0) == ({}, [])


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.sampled_from([True, False, None])), max_size=60))
def test_beginnings_and_ends_alternate_for_each_alarm(history: list[tuple[bool | None, bool | None]]) -> None:
    standing: dict[Alarm, float] = {}
    told: dict[Alarm, list[str]] = {BEHIND: [], OTHER: []}
    for wall, holds in enumerate(history):
        observations = [Observation(alarm, found) for alarm, found in zip((BEHIND, OTHER), holds, strict=True)]
        standing, due = looked(standing, observations, float(wall))
        for item in due:
            told[item.alarm].append(item.event)
    for number, (alarm, events) in enumerate(told.items()):
        assert events == ["target.behind", "target.caught_up"] * (len(events) // 2) + ["target.behind"] * (
            len(events) % 2
        )
        decisive = [holds[number] for holds in history if holds[number] is not None]
        assert (alarm in standing) == (bool(decisive) and decisive[-1] is True)


@pytest.mark.parametrize(
    ("lag", "excused", "expected"),
    [(0.0, False, False), (15.0, False, False), (20.0, False, None), (31.0, False, True), (31.0, True, None)],
)
def test_behind(lag: float, excused: bool, expected: bool | None) -> None:
    assert is_behind(lag, 30.0, excused=excused) is expected
    # Where it may be more, that it is little tells nothing.
    assert is_behind(lag, 30.0, excused=excused, whole=False) is (expected or None)


@pytest.mark.parametrize(
    ("now", "heard", "counted_from", "expected"),
    [
        (100.0, 99.0, 0.0, False),
        (100.0, 69.0, 0.0, True),
        (29.0, None, 0.0, None),
        (31.0, None, 0.0, True),
        # It did not run itself until 95: what it missed is not production's silence.
        (100.0, 10.0, 95.0, None),
        (100.0, 96.0, 95.0, False),
        (126.0, 10.0, 95.0, True),
    ],
)
def test_silence(now: float, heard: float | None, counted_from: float, expected: bool | None) -> None:
    assert is_silent(now, heard, counted_from, 30.0) is expected


@pytest.mark.parametrize(
    ("skew", "round_trip", "expected"),
    [
        (None, None, None), (0.1, 0.01, False), (-3.9, None, False), (4.5, None, None), (5.1, 0.01, True),
        (-3600.0, 0.01, True), (6.0, 4.0, None),
    ],
)  # fmt: skip  # a table
def test_skew(skew: float | None, round_trip: float | None, expected: bool | None) -> None:
    assert is_skewed(skew, round_trip) is expected
