"""The worker of a domain: one step after the other, and how long it has been at one."""

from __future__ import annotations

import threading

import pytest

from syncer.errors import (
    IndexStoreError,
    PeerProtocolError,
    PeerRejectedError,
    Reason,
    RefusedError,
    SyncerError,
    UnavailableRootError,
    UnreachableError,
)
from syncer.replicate.causes import cause_of, word_of
from syncer.replicate.worker import Worker


def test_a_step_that_hangs_is_seen_and_what_waits_behind_it() -> None:
    worker = Worker("apply-nginx")
    begun, released = threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        assert released.wait(20)
        return threading.current_thread().name

    try:
        assert (worker.busy_seconds, worker.waiting) == (0.0, 0)
        first = worker.submit(hang)
        others = [worker.submit(int, number) for number in ("1", "2")]
        assert begun.wait(20)
        seen = worker.busy_seconds
        assert seen > 0
        assert worker.busy_seconds > seen
        assert worker.waiting == 2
        released.set()
        assert first.result(20).startswith("apply-nginx")
        assert [other.result(20) for other in others] == [1, 2]
        assert worker.waiting == 0
    finally:
        released.set()
        worker.shutdown()
    assert worker.busy_seconds == 0.0


def test_a_step_that_fails_is_over_as_well() -> None:
    worker = Worker("apply-nginx")
    failed = worker.submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        failed.result(20)
    worker.shutdown()
    assert worker.busy_seconds == 0.0


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (UnreachableError("gone"), "unreachable"),
        (PeerRejectedError("no", Reason.STALE_TERM), "stale_term"),
        (PeerRejectedError("no", Reason.UNSPECIFIED), "refused"),
        (PeerProtocolError("what?"), "malformed"),
        (RefusedError("no"), "refused"),
        (UnavailableRootError("away"), "root_unavailable"),
        (IndexStoreError("damaged"), "internal"),
    ],
)
def test_causes_are_few_words(failure: SyncerError, cause: str) -> None:
    assert cause_of(failure) == cause


def test_every_reason_has_a_word_of_its_own() -> None:
    assert len({word_of(reason) for reason in Reason}) == len(Reason)
