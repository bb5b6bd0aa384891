from __future__ import annotations

from syncer.model import Patterns
from syncer.state.cursors import TargetRecord, forget_target, record_target
from syncer.state.drift import (
    DriftRow,
    count_drift,
    forget_drift,
    read_drift,
    read_kept_local,
    read_received_patterns,
    record_drift,
    record_kept_local,
    record_received_patterns,
)
from syncer.state.store import StateStore
from syncer.state.verifications import Finding, begin_counting, read_verification, record_verification


def test_drift_keeps_the_time_it_was_first_noticed(store: StateStore) -> None:
    assert record_drift(store, "a", {b"\xff": "edited", b"x": "created"}, [], 1.0) == 2
    assert record_drift(store, "a", {b"\xff": "deleted", b"y": "created"}, [b"x", b"never"], 2.0) == 2
    assert read_drift(store, "a") == [DriftRow(b"y", "created", 2.0), DriftRow(b"\xff", "deleted", 1.0)]
    assert read_drift(store, "a", 1) == [DriftRow(b"y", "created", 2.0)]
    assert count_drift(store, "b") == 0
    record_drift(store, "b", {b"z": "edited"}, [], 3.0)
    forget_drift(store, "a")
    assert (count_drift(store, "a"), count_drift(store, "b")) == (0, 1)


def test_kept_local_is_replaced_as_a_whole(store: StateStore) -> None:
    record_kept_local(store, "a", {b"x", b"\xff"})
    record_kept_local(store, "b", {b"other"})
    record_kept_local(store, "a", {b"y"})
    assert read_kept_local(store, "a") == {b"y"}
    assert read_kept_local(store, "b") == {b"other"}


def test_received_patterns_come_back_exactly(store: StateStore) -> None:
    assert read_received_patterns(store, "a") is None
    patterns = Patterns(("*.conf", "ü"), ("\udcff",))
    record_received_patterns(store, "a", patterns)
    record_received_patterns(store, "a", patterns)
    assert read_received_patterns(store, "a") == patterns


def test_a_verification_is_counted_from_once_and_remembers_some_findings(store: StateStore) -> None:
    assert read_verification(store, "dr", "a") is None
    begin_counting(store, "dr", "a", 1.0)
    begin_counting(store, "dr", "a", 2.0)
    found = read_verification(store, "dr", "a")
    assert found is not None
    assert (found.counted_from, found.finished, found.findings) == (1.0, None, ())
    findings = [Finding(b"%d\xff" % number, "failover", "edited") for number in range(150)]
    record_verification(store, "dr", "a", 5.0, findings)
    found = read_verification(store, "dr", "a")
    assert found is not None
    assert (found.finished, found.total, list(found.findings)) == (5.0, 150, findings[:100])


def test_a_forgotten_target_takes_its_verifications_with_it(store: StateStore) -> None:
    record_target(store, TargetRecord("dr", "id", "dr"))
    begin_counting(store, "dr", "a", 1.0)
    forget_target(store, "dr")
    assert read_verification(store, "dr", "a") is None
