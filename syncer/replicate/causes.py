"""Names why an attempt failed, in one of a few words (pure)."""

from __future__ import annotations

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, RefusedError, SyncerError, UnreachableError


def cause_of(failure: SyncerError) -> str:
    """Return the cause of a failed attempt: what the target said, or what it looks like from here."""
    if isinstance(failure, UnreachableError):
        return "unreachable"
    if isinstance(failure, PeerRejectedError | PeerProtocolError | RefusedError):
        return word_of(failure.reason)
    return "internal"


def word_of(reason: Reason) -> str:
    """Return a reason as a word: "disk_full", "check_failed"."""
    return "refused" if reason is Reason.UNSPECIFIED else reason.name.lower()
