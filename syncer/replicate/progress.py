"""What production does next for one target and domain, from what it knows: a pure state machine.

The life of a stream is probe (connect, handshake) → full or stream → suspended, as in etcd's raft progress.
`decide` looks at a Progress (what the target told us) and at Facts (what this node knows now) and names
the next step; the `after_*` functions fold what happened into the next Progress. Neither touches a clock,
a socket or a disk, so a test can drive years of outages as a script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from syncer.errors import Reason
from syncer.model import Cursor, Head, shown
from syncer.replicate.messages import Ack, Approval, Reject, Welcome


class Phase(Enum):
    """What `syncer status` calls the state of a stream."""

    CONNECTING = "connecting"
    FULL = "full"
    STREAMING = "streaming"
    SUSPENDED = "suspended"
    UNREACHABLE = "unreachable"


class Step(Enum):
    """What the sender does next."""

    WAIT = "wait"
    PARTIAL = "partial"
    FULL = "full"
    REFUSE = "refuse"


class Decision(NamedTuple):
    """The next step, the phase to show meanwhile, and why (for the operator, "" where all is well)."""

    step: Step
    phase: Phase
    reason: str = ""


class Facts(NamedTuple):
    """What production knows at this moment, apart from the target."""

    head: Head
    resumable: bool
    """The index can tell everything that changed since the target's cursor."""
    scanned: bool
    """The first scan since the start is complete, so the index can be believed."""
    unavailable: str
    """Why the domain's root cannot be read; "" where it can."""
    emptied: bool
    """The root is there, but nothing is left in it."""
    automatic: bool
    requested: bool
    """A person waits for a full synchronization."""
    target_root: str | None = ""
    """Why the target's root must not be written to; "" where it may, None until the target has said."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What production remembers of one stream; times are seconds of a monotonic clock."""

    connected: bool = False
    cursor: Cursor | None = None
    trusted: bool = False
    """The target's base was reached under the same patterns and rules, and nobody touched it since."""
    failures: int = 0
    error: str = ""
    refused: bool = False
    """The target answered, and refused: reaching it is not the trouble."""
    rejected_seq: int = -1
    """Head seq of the last transaction that was rejected: not tried again before retry_at or a newer seq."""
    retry_at: float = 0.0
    approval: Approval | None = None
    approval_needed: str = ""
    """What the target said when it asked for the approval."""
    approved: str = ""
    approved_empty_seq: int = -1
    broken: bool = False
    """The target found a transaction malformed: building upon its cursor would repeat it, so compare everything."""


EMPTIED = (
    "nothing is left below the root on production, and deleting everything on failover needs a person's word: "
    "put the files back, or run `syncer approve`"
)


def decide(progress: Progress, facts: Facts, now: float) -> Decision:
    """Name the next step of a stream at `now` (seconds, monotonic)."""
    if not progress.connected:
        return _disconnected(progress)
    if facts.unavailable:
        return Decision(Step.REFUSE if facts.requested else Step.WAIT, Phase.SUSPENDED, facts.unavailable)
    if not facts.scanned:
        return Decision(Step.WAIT, Phase.CONNECTING, "the first scan of the domain is not complete yet")
    if facts.emptied and progress.approved_empty_seq != facts.head.seq and progress.cursor is not None:
        return Decision(Step.REFUSE if facts.requested else Step.WAIT, Phase.SUSPENDED, EMPTIED)
    if facts.requested:
        return Decision(Step.FULL, Phase.FULL)
    if facts.target_root is None:
        return Decision(Step.WAIT, Phase.CONNECTING, "the target has not said yet whether its root is there")
    if facts.target_root:
        return Decision(Step.WAIT, Phase.SUSPENDED, facts.target_root)
    if not facts.automatic:
        return Decision(Step.WAIT, Phase.STREAMING, "automatic = false: synchronized only by `syncer snapshot`")
    waiting = _waiting_for_person_or_time(progress, facts, now)
    if waiting is not None:
        return waiting
    if progress.cursor is None or not progress.trusted or not facts.resumable:
        return Decision(Step.FULL, Phase.FULL)
    if progress.cursor.seq == facts.head.seq:
        return Decision(Step.WAIT, Phase.STREAMING)
    return Decision(Step.PARTIAL, Phase.STREAMING)


def _disconnected(progress: Progress) -> Decision:
    if progress.refused:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.error)
    if progress.failures:
        return Decision(Step.WAIT, Phase.UNREACHABLE, progress.error)
    return Decision(Step.WAIT, Phase.CONNECTING, progress.error)


def _waiting_for_person_or_time(progress: Progress, facts: Facts, now: float) -> Decision | None:
    if progress.approval is not None and progress.approval.id != progress.approved:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.approval_needed)
    if progress.rejected_seq == facts.head.seq and now < progress.retry_at:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.error)
    return None


def after_welcome(progress: Progress, welcome: Welcome, pattern_hash: bytes, rule_hash: bytes) -> Progress:
    """Fold a completed handshake in: where the target stands, and whether that can be built upon."""
    trusted = welcome.resumable and welcome.pattern_hash == pattern_hash and welcome.rule_hash == rule_hash
    return replace(
        progress,
        connected=True,
        refused=False,
        cursor=welcome.cursor,
        trusted=trusted and not progress.broken,
        error=progress.error if progress.rejected_seq >= 0 else "",
    )


def after_ack(progress: Progress, ack: Ack) -> Progress:
    """Fold an acknowledgement in: the target is durable at its cursor, and all is forgiven."""
    return replace(
        progress,
        cursor=ack.cursor,
        trusted=True,
        failures=0,
        error="",
        rejected_seq=-1,
        approval=None,
        approval_needed="",
        approved="",
        broken=False,
    )


def after_reject(progress: Progress, reject: Reject, head_seq: int, now: float, delay: float) -> Progress:
    """Fold a rejected transaction in; the same seq is tried again after `delay` seconds at the earliest."""
    changed = replace(
        progress,
        failures=progress.failures + 1,
        error=reject.message,
        rejected_seq=head_seq,
        retry_at=now + delay,
    )
    if reject.reason is Reason.CURSOR_MISMATCH:
        return replace(changed, trusted=False, retry_at=now)
    if reject.reason is Reason.APPROVAL_REQUIRED:
        return replace(changed, approval=reject.approval, approval_needed=reject.message, approved="")
    return changed


def after_loss(progress: Progress, error: str, *, refused: bool, malformed: bool = False) -> Progress:
    """Fold a lost or refused connection in; `malformed`: the target could not make sense of what was sent."""
    return replace(
        progress,
        connected=False,
        refused=refused,
        failures=progress.failures + 1,
        error=error,
        broken=progress.broken or malformed,
    )


def after_root_change(progress: Progress) -> Progress:
    """The target's root went or came back: what was planned or refused for the other tree means nothing now."""
    return replace(progress, approval=None, approval_needed="", approved="", rejected_seq=-1, error="")


def after_full_wanted(progress: Progress) -> Progress:
    """The target asks for a full synchronization: someone edited its tree, and that is to be put back."""
    return replace(progress, trusted=False)


def after_approval(progress: Progress, emptied_seq: int) -> Progress:
    """Fold a person's agreement in: to the plan that waits, or to emptying the target at this head seq."""
    approved = progress.approval.id if progress.approval else ""
    return replace(progress, approved=approved, approved_empty_seq=emptied_seq, rejected_seq=-1)


def backoff(failures: int, shortest: float, longest: float) -> float:
    """Return the seconds to wait after that many failures in a row: doubling, capped, without jitter."""
    return min(longest, shortest * 2.0 ** min(max(failures - 1, 0), 30))


def approval_sentence(approval: Approval, target: str) -> str:
    """Say what a waiting plan would destroy and how to let it pass."""
    sample = ", ".join(shown(item.path) for item in approval.sample[:3])
    return (
        f"the synchronization would delete {approval.deletions} and overwrite {approval.overwrites} paths on "
        f"{target} that did not come from here (such as {sample}): look with `syncer snapshot {target} --dry-run`, "
        f"then allow it with `syncer approve {target}`"
    )
