"""When failures in a row suspend a stream, and when it is tried again half-open: a pure state machine.

Closed: each failure of a kind that retrying worsens counts, a success counts them away, and so does a check that
refused: what it looked at had arrived. At `suspend_after` the
stream is suspended: nothing is sent, however much changes. With `probe` one attempt is let through each `pause`
seconds (half-open); its success ends the suspension, its failure changes nothing. Without, it ends only by a
person's word. Nothing is lost meanwhile: what is not sent stays above the target's cursor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from syncer.replicate.failures import CURES, WORSENED_BY_RETRYING, FailureClass


class SuspendPolicy(NamedTuple):
    """How much a target bears: failures in a row, whether it is probed, and seconds between probes."""

    suspend_after: int = 5
    """0: never suspended by failures."""
    probe: bool = True
    pause: float = 60.0


class FailureSuspension(NamedTuple):
    """A suspension by failures, as it is remembered; `since` in Unix seconds."""

    kind: str
    error: str
    failures: int
    since: float


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures in a row of kinds that retrying worsens, and what they led to."""

    count: int = 0
    suspension: FailureSuspension | None = None
    probe_at: float = 0.0
    """Monotonic seconds before which no attempt is made, while suspended."""


def after_failure(
    streak: Streak, policy: SuspendPolicy, kind: FailureClass, error: str, now: float, wall: float
) -> Streak:
    """Fold a failed attempt in at `now` (monotonic seconds; `wall`: the same in Unix seconds, for display)."""
    if kind is FailureClass.CHECK_FAILED:
        return Streak()
    if kind not in WORSENED_BY_RETRYING:
        return streak
    counted = replace(streak, count=streak.count + 1)
    if streak.suspension is not None or not policy.suspend_after or counted.count < policy.suspend_after:
        return counted
    found = FailureSuspension(kind.value, error, counted.count, wall)
    return replace(counted, suspension=found, probe_at=now + policy.pause)


def after_attempt(streak: Streak, policy: SuspendPolicy, now: float) -> Streak:
    """Fold in that an attempt begins: half-open means one of them, whatever becomes of it."""
    return streak if streak.suspension is None else replace(streak, probe_at=now + policy.pause)


def remembered(suspension: FailureSuspension | None, policy: SuspendPolicy, now: float) -> Streak:
    """Return the state after a restart: an agent that is restarted again and again must not hammer either."""
    if suspension is None or not policy.suspend_after:
        return Streak()
    return Streak(suspension.failures, suspension, now + policy.pause)


def handed_over(streak: Streak, policy: SuspendPolicy, now: float) -> Streak:
    """Return the state under another configuration: reloads in a loop must not hold a suspension off."""
    if not policy.suspend_after:
        return Streak()
    return replace(streak, probe_at=min(streak.probe_at, now + policy.pause))


def may_attempt(streak: Streak, policy: SuspendPolicy, now: float) -> bool:
    """Tell whether a transaction may be sent at `now` without a person asking for it."""
    return streak.suspension is None or (policy.probe and now >= streak.probe_at)


def sentence(streak: Streak, policy: SuspendPolicy, target: str, domain: str) -> str:
    """Say why nothing is sent, and what ends that; "" where failures do not suspend."""
    found = streak.suspension
    if found is None:
        return ""
    resume = f"`syncer resume {target} --domain {domain}`"
    cure = next((text for kind, text in CURES.items() if kind.value == found.kind), "look at the agent's log there")
    ending = (
        f"it is tried again every {policy.pause:g} s by itself, or at once with {resume}"
        if policy.probe
        else f"then {resume}"
    )
    times = "a failure" if found.failures == 1 else f"{found.failures} failures in a row"
    return f"suspended after {times} ({found.kind}: {found.error}): {cure}; {ending}"
