"""Why nothing is sent to a target by a person's word: suspensions and holds, as pure decisions.

A suspension stops one target (or one of its domains) until a person resumes it, or its time is over. A hold stops
one domain for all targets while a command works on it; several add up. One that fails stays until a person has
looked. Neither loses anything: what is not sent stays above the target's cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from syncer.state.holds import ACTIVE, FAILED, Hold
from syncer.state.suspensions import Suspension

FORGOTTEN_SECONDS = 3600.0
"""A hold that lasts longer is an alarm, again each time this has passed."""


class Cause(Enum):
    """What stops a stream."""

    NOTHING = "nothing"
    PERSON = "person"
    HOLD = "hold"
    FAILED_HOLD = "failed hold"


class Pause(NamedTuple):
    """Why nothing is sent to one target of one domain; `reason` is "" where it is."""

    cause: Cause = Cause.NOTHING
    reason: str = ""


class Resumption(NamedTuple):
    """What a `syncer resume` ends, and what is in force afterwards."""

    suspensions: tuple[Suspension, ...]
    holds: tuple[Hold, ...]
    ended_suspensions: tuple[Suspension, ...]
    ended_holds: tuple[Hold, ...]


def pause_of(suspensions: Sequence[Suspension], holds: Sequence[Hold], target: str, domain: str, now: float) -> Pause:
    """Return why nothing is sent at `now` (Unix seconds); of several reasons the one that needs a person most."""
    of_domain = [hold for hold in holds if hold.domain == domain]
    for hold in of_domain:
        if hold.state == FAILED:
            return Pause(Cause.FAILED_HOLD, _failed_sentence(hold, target))
    found = suspension_of(suspensions, target, domain, now)
    if found is not None:
        return Pause(Cause.PERSON, _suspended_sentence(found))
    for hold in of_domain:
        return Pause(Cause.HOLD, _active_sentence(hold))
    return Pause()


def suspension_of(suspensions: Sequence[Suspension], target: str, domain: str, now: float) -> Suspension | None:
    """Return the suspension that is in force at `now` (Unix seconds), or None."""
    for found in suspensions:
        if found.target == target and found.domain in ("", domain) and not is_over(found, now):
            return found
    return None


def is_over(suspension: Suspension, now: float) -> bool:
    """Tell whether a suspension's time has passed."""
    return suspension.until is not None and suspension.until <= now


def suspended(suspensions: Sequence[Suspension], new: Sequence[Suspension]) -> tuple[Suspension, ...]:
    """Return the suspensions with the new ones, which replace older ones of the same or a part of their place."""
    places = {(item.target, item.domain) for item in new}
    kept = [item for item in suspensions if not {(item.target, item.domain), (item.target, "")} & places]
    return (*kept, *new)


def resumed(
    suspensions: Sequence[Suspension],
    holds: Sequence[Hold],
    target: str | None,
    domains: Collection[str],
    domains_of: Mapping[str, Collection[str]],
) -> Resumption:
    """Return what is ended by resuming `target` (None: all) in `domains` (none named: all).

    `domains_of` says which domains each configured target receives. A failed hold ends for all targets; a hold
    whose command still runs is not ended.
    """
    kept: list[Suspension] = []
    ended: list[Suspension] = []
    for item in suspensions:
        if target not in (None, item.target) or (domains and item.domain and item.domain not in domains):
            kept.append(item)
            continue
        ended.append(item)
        if domains and not item.domain:
            others = [name for name in domains_of.get(item.target, ()) if name not in domains]
            kept.extend(item._replace(domain=name) for name in others)
    chosen = domains or (domains_of.get(target, ()) if target is not None else ())
    looked_at = [
        hold
        for hold in holds
        if hold.state == FAILED and (hold.domain in chosen if (domains or target is not None) else True)
    ]
    return Resumption(
        tuple(kept), tuple(hold for hold in holds if hold not in looked_at), tuple(ended), tuple(looked_at)
    )


def orphaned(holds: Sequence[Hold], identity_of: Callable[[int], str]) -> list[Hold]:
    """Return the active holds whose process is no more, as failed ones."""
    return [
        hold._replace(state=FAILED, detail="its process died before it had ended")
        for hold in holds
        if hold.state == ACTIVE and identity_of(hold.pid) != hold.start_time
    ]


def replaced(holds: Sequence[Hold], new: Sequence[Hold]) -> tuple[Hold, ...]:
    """Return the holds with `new` in the places of those with the same id."""
    by_id = {hold.id: hold for hold in new}
    return tuple(by_id.get(hold.id, hold) for hold in holds)


def alarms_due(hold: Hold, now: float) -> int:
    """Return how many alarms a hold deserves by `now`: one for each FORGOTTEN_SECONDS that it is active."""
    return max(int((now - hold.since) / FORGOTTEN_SECONDS), 0) if hold.state == ACTIVE else 0


def moment(at: float) -> str:
    """Return a time (Unix seconds) as people read it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _suspended_sentence(found: Suspension) -> str:
    end = "" if found.until is None else f" until {moment(found.until)}"
    why = f" ({found.reason})" if found.reason else ""
    only = f" --domain {found.domain}" if found.domain else ""
    return (
        f"suspended by a person since {moment(found.since)}{end}{why}: continue with "
        f"`syncer resume {found.target}{only}`"
    )


def _active_sentence(hold: Hold) -> str:
    return (
        f"held since {moment(hold.since)} while `{hold.command}` runs (process {hold.pid}): what changes is sent as "
        "one transaction when it has ended"
    )


def _failed_sentence(hold: Hold, target: str) -> str:
    return (
        f"held since {moment(hold.since)} by `{hold.command}`, which failed ({hold.detail}): look at what it left, "
        f"then `syncer resume {target}`, or `syncer resume --domain {hold.domain}` for all targets"
    )
