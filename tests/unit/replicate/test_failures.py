"""Every reason and error has a class, and only what retrying worsens counts."""

from __future__ import annotations

import pytest

from syncer.errors import (
    IndexStoreError,
    PeerProtocolError,
    PeerRejectedError,
    Reason,
    StateError,
    SyncerError,
    UnreachableError,
)
from syncer.replicate.failures import (
    CLASS_OF,
    CURES,
    WORSENED_BY_RETRYING,
    FailureClass,
    class_of_error,
    class_of_reason,
)


def test_every_reason_has_a_class_and_every_suspending_class_a_cure() -> None:
    assert CLASS_OF.keys() == set(Reason)
    assert CURES.keys() == WORSENED_BY_RETRYING
    assert set(CLASS_OF.values()) == set(FailureClass)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.DISK_FULL, FailureClass.DISK_FULL),
        (Reason.IO, FailureClass.INTERNAL),
        (Reason.CHECK_FAILED, FailureClass.CHECK_FAILED),
        (Reason.APPROVAL_REQUIRED, FailureClass.WAITING),
        (Reason.ROOT_UNAVAILABLE, FailureClass.WAITING),
        (Reason.STALE_TERM, FailureClass.REFUSED),
        (Reason.SHUTTING_DOWN, FailureClass.UNREACHABLE),
        (Reason.MALFORMED, FailureClass.PROTOCOL),
    ],
)
def test_what_a_target_says_is_classified(reason: Reason, kind: FailureClass) -> None:
    assert class_of_reason(reason) is kind
    assert class_of_error(PeerRejectedError("no", reason)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnreachableError("gone"), FailureClass.UNREACHABLE),
        (PeerProtocolError("what?"), FailureClass.PROTOCOL),
        (StateError("node.db"), FailureClass.INTERNAL),
        (IndexStoreError("index.db"), FailureClass.INTERNAL),
    ],
)
def test_what_ends_a_session_is_classified(error: SyncerError, kind: FailureClass) -> None:
    assert class_of_error(error) is kind


def test_what_is_no_fault_of_the_target_never_counts() -> None:
    assert not WORSENED_BY_RETRYING & {
        FailureClass.UNREACHABLE,
        FailureClass.REFUSED,
        FailureClass.WAITING,
        FailureClass.CHECK_FAILED,
    }
