"""When a group closes."""

from __future__ import annotations

import pytest

from syncer.capture.deferred import Deferred
from syncer.capture.settle import Settling

SOME = Settling(settle=0.01, settle_max=0.5)


def test_nothing_is_due_without_hints() -> None:
    assert SOME.due_at() is None
    assert not SOME.is_due(1e9)
    assert not SOME.is_over(1e9)


def test_a_group_closes_when_it_is_quiet() -> None:
    group = SOME.hinted(10.0, 10.0)
    assert not group.is_due(10.009)
    assert group.is_due(10.01)
    later = group.hinted(10.005, 10.008)
    assert later.due_at() == pytest.approx(10.018)


def test_a_group_closes_at_the_latest_after_settle_max() -> None:
    group = SOME.hinted(10.0, 10.495)
    assert group.due_at() == 10.5
    assert group.is_over(10.5)
    assert not group.is_over(10.499)


def test_no_settling_means_at_once() -> None:
    group = Settling(0.0, 0.5).hinted(10.0, 10.2)
    assert group.is_due(10.2)
    assert not group.is_over(10.2)


def test_hints_out_of_order_do_not_shorten_it() -> None:
    assert SOME.hinted(10.0, 10.3).hinted(9.9, 10.1) == SOME.hinted(9.9, 10.3)


def test_deferred_paths_come_when_they_are_due_the_earliest_time_counts() -> None:
    deferred = Deferred()
    assert deferred.next_due() is None
    deferred.add([b"a", b"b"], 5.0)
    deferred.add([b"a"], 3.0)
    deferred.add([b"b"], 9.0)
    assert deferred.next_due() == 3.0
    assert deferred.take(2.9) == []
    assert deferred.take(3.0) == [b"a"]
    deferred.drop([b"never"])
    assert deferred.take(float("inf")) == [b"b"]
    assert deferred.take(float("inf")) == []
    assert deferred.next_due() is None


def test_a_dropped_path_does_not_come_back() -> None:
    deferred = Deferred()
    deferred.add([b"a"], 3.0)
    deferred.drop([b"a"])
    assert deferred.take(10.0) == []
    assert deferred.next_due() is None
