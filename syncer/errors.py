"""The exception tree: every failure is a type with an exit code and one sentence for the operator."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from syncer.model import Term


class Reason(Enum):
    """Why a peer refused or rejected; the same names as in proto/syncer/v1/sync.proto."""

    UNSPECIFIED = 0
    PROTOCOL_VERSION = 1
    NOT_PAIRED = 2
    WRONG_MODE = 3
    STALE_TERM = 4
    LOOP = 5
    UNKNOWN_DOMAIN = 6
    ROOT_UNAVAILABLE = 7
    MALFORMED = 8
    APPROVAL_REQUIRED = 9
    CONTENT_MISMATCH = 10
    DISK_FULL = 11
    IO = 12
    SUPERSEDED = 13
    CURSOR_MISMATCH = 14
    INTERNAL = 15
    SHUTTING_DOWN = 16
    CONTENT_CHANGED = 17
    CHECK_FAILED = 18
    ROLLED_BACK = 19
    RULES_DISAGREE = 20
    COPIED_IDENTITY = 21
    RETIRED = 22


class CommandFailure(NamedTuple):
    """How a configured command failed: what was run, how it ended, after how many seconds, what it printed."""

    command: str = ""
    exit: str = ""
    """An exit code in digits, or words: a signal, the time limit, or why it was not started."""
    seconds: float = 0.0
    output: str = ""
    """Bounded and redacted."""


class SyncerError(Exception):
    """Something failed; the message says what, where, and what to do."""

    exit_code = 1


class ConfigurationError(SyncerError):
    """The configuration or the command line is wrong; carries every error found at once."""

    exit_code = 2

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class IdentityError(SyncerError):
    """The node's key or certificate is missing, unreadable or damaged."""


class StateError(SyncerError):
    """node.db cannot be used: missing, damaged, from a newer version, or locked by another process."""


class IndexStoreError(SyncerError):
    """index.db cannot be used; it may be deleted, a scan rebuilds it."""


class PairingError(SyncerError):
    """An invitation or a join was refused: wrong, used or expired token, or wrong certificate."""


class RefusedError(SyncerError):
    """Refused for safety; nothing was changed."""

    exit_code = 4

    def __init__(self, message: str, reason: Reason = Reason.UNSPECIFIED, term: Term | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.term = term
        """What the peer is to hear of this node's term; None: it did not come to that."""


class PlanError(RefusedError):
    """A plan cannot be carried out: unreadable, edited, undecided, or overtaken; nothing was changed."""


class UnavailableRootError(RefusedError):
    """A domain's root is missing, emptied or not a directory; nothing is deleted because of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Reason.ROOT_UNAVAILABLE)


class UnreachableError(SyncerError):
    """The peer did not answer in time."""

    exit_code = 5


class PeerProtocolError(SyncerError):
    """The peer sent what the protocol does not allow; the session ends, nothing was changed."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(message)
        self.reason = reason


class PeerRejectedError(SyncerError):
    """The peer could not do what was asked and said why."""

    def __init__(self, message: str, reason: Reason, term: Term | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.term = term
        """The term that the peer said with it; None: none."""


class ApplyError(SyncerError):
    """A transaction could not be applied on this node's disk."""

    def __init__(self, message: str, reason: Reason = Reason.IO) -> None:
        super().__init__(message)
        self.reason = reason


class HalfAppliedError(ApplyError):
    """A transaction could neither be finished nor taken back: only recovery may touch the domain."""


class CheckFailedError(ApplyError):
    """A domain's check refused a transaction; the last good generation stands."""

    def __init__(self, message: str, failure: CommandFailure) -> None:
        super().__init__(message, Reason.CHECK_FAILED)
        self.failure = failure


class CommandError(SyncerError):
    """A configured command could not be started."""


class HookError(CommandError):
    """A hook that comes before a procedure failed: the procedure stops."""

    def __init__(self, message: str, failure: CommandFailure) -> None:
        super().__init__(message)
        self.failure = failure


class ViewError(CommandError):
    """A candidate tree cannot be shown before it stands: not root, or the kernel refuses the overlay."""


class BeneathRootError(ApplyError):
    """A path would have left its root, or met a symlink on the way; nothing was touched."""


class UndoError(SyncerError):
    """An undo record does not fit the file it came with; nothing was restored."""


class UndoTooLargeError(SyncerError):
    """A rendering could not be undone within the space that an undo record may take."""


class PreviewError(SyncerError):
    """A file cannot be previewed; a clause that reads on after its name."""


class StepFailedError(SyncerError):
    """A step of a procedure failed; `again` tells whether trying again may help."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class InvariantError(SyncerError):
    """syncer's own rules are broken; the node stops rather than go on."""
