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

from syncer.errors import CommandFailure, Reason
from syncer.model import Cursor, Head, shown
from syncer.replicate.brake import PREFIX
from syncer.replicate.failures import WORSENED_BY_RETRYING, class_of_reason
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
    mounts: str | None = ""
    """Which mount at or below the root came or went; "" where none did, None while the tree is scanned for it."""
    preview: bool = False
    """What is requested changes nothing: a person looks at what waits."""
    suspended: str = ""
    """Why nothing is to be sent by a person's word: a suspension, or a hold; "" where it is."""
    failing: str = ""
    """Why failures in a row have suspended the stream; "" where they have not."""
    probing: bool = False
    """It may be tried all the same, half-open."""
    held_back: str = ""
    """Why only what is asked for is sent, by a procedure's word; "" where the stream goes on by itself."""


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
    check: CommandFailure | None = None
    """How the target's check refused the last transaction: tried again with a newer seq, or when a person asks."""
    check_refused: str = ""
    """What it said then, with the first lines of the check's output."""
    broken: bool = False
    """The target found a transaction malformed: building upon its cursor would repeat it, so compare everything."""
    braked: str = ""
    """Why this node's own brake held back the head `braked_seq`; judged again when the head moves."""
    braked_seq: int = -1
    retrying: str = ""
    """Why the last transaction failed, where it is tried again by itself until one arrives."""


LINES_SHOWN = 3
"""Lines of a failed check's output that stand in a reason; the event has all of them."""

EMPTIED = (
    "nothing is left below the root on production, and deleting everything on failover needs a person's word: "
    "put the files back, or run `syncer approve`"
)


def decide(progress: Progress, facts: Facts, now: float) -> Decision:
    """Name the next step of a stream at `now` (seconds, monotonic)."""
    # Before all else, also while the target is away: that may be what it was suspended for.
    if facts.suspended:
        return Decision(Step.REFUSE if facts.requested else Step.WAIT, Phase.SUSPENDED, facts.suspended)
    decision = _unsuspended(progress, facts, now)
    return _failing(decision, facts) if facts.failing else decision


def _failing(decision: Decision, facts: Facts) -> Decision:
    """Say what becomes of a step while failures have suspended the stream: one in a while, and what a person asks."""
    if decision.step is Step.REFUSE:
        return decision
    sends = decision.step in (Step.FULL, Step.PARTIAL) and (facts.probing or facts.requested)
    return Decision(decision.step if sends else Step.WAIT, Phase.SUSPENDED, facts.failing)


def is_retrying(progress: Progress, decision: Decision) -> bool:
    """Tell whether a stream only waits to try again, or does, after the disk there refused: no suspension yet."""
    return bool(progress.retrying) and decision.phase is Phase.SUSPENDED and decision.reason == progress.retrying


def _unsuspended(progress: Progress, facts: Facts, now: float) -> Decision:
    """Name the next step of a stream that no person has stopped."""
    if not progress.connected:
        # A refusal of earlier is over with the procedure that holds the stream back; that nobody is there is not.
        is_held = facts.held_back and (progress.refused or not progress.failures)
        return _only_asked(facts) if is_held else _disconnected(progress)
    if facts.unavailable:
        return Decision(Step.REFUSE if facts.requested else Step.WAIT, Phase.SUSPENDED, facts.unavailable)
    if not facts.scanned:
        return Decision(Step.WAIT, Phase.CONNECTING, "the first scan of the domain is not complete yet")
    held = _held(progress, facts)
    if held is not None:
        return held
    if facts.requested:
        return Decision(Step.FULL, Phase.FULL)
    if facts.target_root is None:
        return Decision(Step.WAIT, Phase.CONNECTING, "the target has not said yet whether its root is there")
    if facts.target_root:
        return Decision(Step.WAIT, Phase.SUSPENDED, facts.target_root)
    if facts.held_back or not facts.automatic:
        return _only_asked(facts)
    waiting = _waiting_for_person_or_time(progress, facts, now)
    if waiting is not None:
        return waiting
    # What was held back stays suspended to the eye until it has passed, also while it is judged or tried again.
    asked = progress.approval_needed if progress.approval and not progress.approved else ""
    checked = progress.check_refused if progress.check is not None else ""
    waits = progress.braked or asked or checked or progress.retrying
    if progress.cursor is None or not progress.trusted or not facts.resumable:
        return Decision(Step.FULL, Phase.SUSPENDED, waits) if waits else Decision(Step.FULL, Phase.FULL)
    if progress.cursor.seq == facts.head.seq:
        return Decision(Step.WAIT, Phase.STREAMING)
    return Decision(Step.PARTIAL, Phase.SUSPENDED if waits else Phase.STREAMING, waits)


def _only_asked(facts: Facts) -> Decision:
    """Wait for somebody to ask: by a procedure's word, or the configuration's."""
    if facts.held_back:
        return Decision(Step.WAIT, Phase.SUSPENDED, facts.held_back)
    return Decision(Step.WAIT, Phase.STREAMING, "automatic = false: synchronized only by `syncer snapshot`")


def _held(progress: Progress, facts: Facts) -> Decision | None:
    """Say what this node itself holds back, which a preview may look at."""
    if facts.mounts is None:
        return Decision(Step.WAIT, Phase.CONNECTING, "file systems were mounted or unmounted: everything is scanned")
    reason = facts.mounts
    if not reason and facts.emptied and progress.approved_empty_seq != facts.head.seq and not _has_all(progress, facts):
        reason = EMPTIED
    if not reason and progress.braked_seq == facts.head.seq:
        reason = progress.braked
    if not reason or facts.preview:
        return None
    return Decision(Step.REFUSE if facts.requested else Step.WAIT, Phase.SUSPENDED, reason)


def _has_all(progress: Progress, facts: Facts) -> bool:
    """Tell whether the target has nothing that would go: it has received nothing yet, or all that there is."""
    if progress.cursor is None:
        return True
    return progress.trusted and facts.resumable and progress.cursor.seq == facts.head.seq


def braking_reason(progress: Progress, facts: Facts, decision: Decision) -> str:
    """Return the reason of a decision where it is a brake's, here or on the target, else ""."""
    if decision.phase is not Phase.SUSPENDED:
        return ""
    asked = progress.approval is not None and progress.approval.id.startswith(PREFIX)
    reasons = (facts.mounts, EMPTIED, progress.braked, progress.approval_needed if asked else "")
    return decision.reason if decision.reason in reasons else ""


def _disconnected(progress: Progress) -> Decision:
    if progress.refused:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.error)
    if progress.failures:
        return Decision(Step.WAIT, Phase.UNREACHABLE, progress.error)
    return Decision(Step.WAIT, Phase.CONNECTING, progress.error)


def _waiting_for_person_or_time(progress: Progress, facts: Facts, now: float) -> Decision | None:
    if progress.approval is not None and progress.approval.id != progress.approved:
        # The files may be back: then the target has nothing to ask any more.
        news = progress.approval.id.startswith(PREFIX) and progress.rejected_seq != facts.head.seq
        if not news or now < progress.retry_at:
            return Decision(Step.WAIT, Phase.SUSPENDED, progress.approval_needed)
    if progress.check is not None and progress.rejected_seq == facts.head.seq:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.check_refused)
    if progress.rejected_seq == facts.head.seq and now < progress.retry_at:
        return Decision(Step.WAIT, Phase.SUSPENDED, progress.retrying or progress.error)
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
        check=None,
        check_refused="",
        broken=False,
        braked="",
        braked_seq=-1,
        retrying="",
    )


def after_brake(progress: Progress, reason: str, head_seq: int) -> Progress:
    """Fold in that this node's own brake holds the state `head_seq` back."""
    return replace(progress, braked=reason, braked_seq=head_seq)


def after_release(progress: Progress) -> Progress:
    """Fold in that this node's own brake let a later state pass."""
    return replace(progress, braked="", braked_seq=-1)


def after_reject(progress: Progress, reject: Reject, head_seq: int, now: float, delay: float) -> Progress:
    """Fold a rejected transaction in; the same seq is tried again after `delay` seconds at the earliest."""
    if reject.reason is Reason.CHECK_FAILED:
        # The target and the way to it are in order: this counts towards no suspension.
        sentence = "; ".join([reject.message, *first_lines(reject.failure.output)])
        return replace(progress, error=sentence, rejected_seq=head_seq, check=reject.failure, check_refused=sentence)
    changed = replace(
        progress,
        check=None,
        check_refused="",
        failures=progress.failures + 1,
        error=reject.message,
        rejected_seq=head_seq,
        retry_at=now + delay,
        retrying="",
    )
    if reject.reason is Reason.CURSOR_MISMATCH:
        return replace(changed, trusted=False, retry_at=now)
    if class_of_reason(reject.reason) in WORSENED_BY_RETRYING:
        return replace(changed, retrying=reject.message)
    if reject.reason is Reason.APPROVAL_REQUIRED:
        return replace(changed, approval=reject.approval, approval_needed=reject.message, approved="")
    return changed


def first_lines(output: str) -> list[str]:
    """Return the first lines of a check's output, as many as fit in a sentence for the operator."""
    return [line.strip() for line in output.splitlines() if line.strip()][:LINES_SHOWN]


def after_loss(
    progress: Progress, error: str, *, refused: bool, malformed: bool = False, worsens: bool = False
) -> Progress:
    """Fold a lost or refused connection in.

    `malformed`: the target could not make sense of what was sent; `worsens`: trying again does so too often.
    """
    return replace(
        progress,
        connected=False,
        refused=refused,
        failures=progress.failures + 1,
        error=error,
        broken=progress.broken or malformed,
        retrying=error if worsens else progress.retrying,
    )


def after_root_change(progress: Progress) -> Progress:
    """The target's root went or came back: what was planned or refused for the other tree means nothing now."""
    return replace(
        progress, approval=None, approval_needed="", approved="", rejected_seq=-1, check=None, error="", retrying=""
    )


def after_resume(progress: Progress) -> Progress:
    """Fold in that a person ends a suspension by failures: what was refused for them is tried at once."""
    return progress if progress.check is not None else replace(progress, rejected_seq=-1, retry_at=0.0)


def after_rest(progress: Progress) -> Progress:
    """Fold in that the target has all there is, whatever had failed before."""
    return replace(progress, retrying="") if progress.retrying else progress


def after_full_wanted(progress: Progress) -> Progress:
    """The target asks for a full synchronization: someone edited its tree, and that is to be put back."""
    return replace(progress, trusted=False)


def after_approval(progress: Progress, emptied_seq: int) -> Progress:
    """Fold a person's agreement in: to the plan that waits, or to emptying the target at this head seq."""
    approved = progress.approval.id if progress.approval else ""
    return replace(
        progress, approved=approved, approved_empty_seq=emptied_seq, rejected_seq=-1, braked="", braked_seq=-1
    )


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
