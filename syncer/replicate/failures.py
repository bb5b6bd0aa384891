"""Of which class a failed attempt is, and which classes get worse by being tried again; pure tables."""

from __future__ import annotations

from enum import Enum

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, SyncerError, UnreachableError


class FailureClass(Enum):
    """What kind of thing went wrong with one attempt to synchronize."""

    UNREACHABLE = "unreachable"
    """The target did not answer, went away, or has just been restarted."""
    REFUSED = "refused"
    """The target answered, and will not listen to this node before a person has done something."""
    WAITING = "waiting"
    """A brake, an approval, a rollback or a missing root holds it back: nothing is wrong with the way there."""
    DISK_FULL = "disk full"
    CHECK_FAILED = "check failed"
    PROTOCOL = "protocol"
    """One end could not make sense of what the other sent."""
    INTERNAL = "internal"
    """An error of a disk, or a fault of syncer's, on either end."""


CLASS_OF: dict[Reason, FailureClass] = {
    # What a peer of another version means by a reason that this one does not know is its own affair.
    Reason.UNSPECIFIED: FailureClass.REFUSED,
    Reason.PROTOCOL_VERSION: FailureClass.REFUSED,
    Reason.NOT_PAIRED: FailureClass.REFUSED,
    Reason.WRONG_MODE: FailureClass.REFUSED,
    Reason.STALE_TERM: FailureClass.REFUSED,
    Reason.LOOP: FailureClass.REFUSED,
    Reason.UNKNOWN_DOMAIN: FailureClass.REFUSED,
    Reason.RULES_DISAGREE: FailureClass.REFUSED,
    Reason.COPIED_IDENTITY: FailureClass.REFUSED,
    Reason.RETIRED: FailureClass.REFUSED,
    Reason.ROOT_UNAVAILABLE: FailureClass.WAITING,
    Reason.APPROVAL_REQUIRED: FailureClass.WAITING,
    Reason.ROLLED_BACK: FailureClass.WAITING,
    Reason.MALFORMED: FailureClass.PROTOCOL,
    Reason.CONTENT_MISMATCH: FailureClass.PROTOCOL,
    Reason.CURSOR_MISMATCH: FailureClass.PROTOCOL,
    Reason.CONTENT_CHANGED: FailureClass.PROTOCOL,
    Reason.DISK_FULL: FailureClass.DISK_FULL,
    Reason.IO: FailureClass.INTERNAL,
    Reason.INTERNAL: FailureClass.INTERNAL,
    Reason.SUPERSEDED: FailureClass.UNREACHABLE,
    Reason.SHUTTING_DOWN: FailureClass.UNREACHABLE,
    Reason.CHECK_FAILED: FailureClass.CHECK_FAILED,
}

WORSENED_BY_RETRYING = frozenset({FailureClass.DISK_FULL, FailureClass.PROTOCOL, FailureClass.INTERNAL})
"""Each of these attempts writes to the target, or has it compare everything, for nothing.

A server that is down, or says no, is not hurt by one handshake at the longest pause, and is there again without a
person's word. A check that fails, a brake and an approval say that the target is in order.
"""

CURES: dict[FailureClass, str] = {
    FailureClass.DISK_FULL: "free space there",
    FailureClass.PROTOCOL: "look whether both nodes run the same version of syncer",
    FailureClass.INTERNAL: "look at the disk and at the agent's log there",
}
"""What a person can do about those that suspend."""


def class_of_reason(reason: Reason) -> FailureClass:
    """Return the class of what a target gave as its reason."""
    return CLASS_OF[reason]


def class_of_error(error: SyncerError) -> FailureClass:
    """Return the class of what ended a session, or kept it from beginning."""
    if isinstance(error, UnreachableError):
        return FailureClass.UNREACHABLE
    if isinstance(error, PeerProtocolError | PeerRejectedError):
        return CLASS_OF[error.reason]
    return FailureClass.INTERNAL
