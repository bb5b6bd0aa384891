"""What is to be done next with a domain that somebody wants frozen, or nobody any more (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import NamedTuple

from syncer.model import Head
from syncer.state.freezes import OPERATOR, Claim, Frozen

BY_TIME = "time"
"""Who ends a freeze whose time is over."""
BY_MODE = "mode"
"""What ends the freezes of a node that is production no more."""


class Step(Enum):
    """What to do next."""

    NOTHING = 0
    NOTE = 1
    """Record whether the services run, before anything is done."""
    STOP = 2
    """Run the `freeze` command."""
    COVER = 3
    """Mount the root read-only."""
    MARK = 4
    """Take in what has happened up to now, and remember the head behind it."""
    UNCOVER = 5
    START = 6
    """Start the services that ran before."""
    FORGET = 7


class Sees(NamedTuple):
    """What a step is decided from, beside what was recorded."""

    boot: str
    """This life of the machine."""
    has_freeze: bool
    """The domain has a `freeze` command."""
    has_start: bool
    is_covered: bool
    """The recorded read-only mount stands."""
    is_production: bool


class DomainFreeze(NamedTuple):
    """What a freeze has come to for one domain."""

    domain: str
    head: Head
    """What is above it has changed since."""
    command: str
    """The `freeze` command that was run; "" where there is none."""
    was_running: bool
    starts_again: bool
    """A thaw starts the services."""
    read_only: bool
    until: float


class FreezeReport(NamedTuple):
    """What a freeze has come to: all of the domains are frozen."""

    by: str
    domains: tuple[DomainFreeze, ...]


class DomainThaw(NamedTuple):
    """What a thaw has come to for one domain."""

    domain: str
    still_by: tuple[str, ...]
    """Who keeps it frozen; () where it is thawed."""
    seconds: float
    changed: int | None
    """How many paths have changed since the freeze; None: not known."""
    sample: tuple[str, ...]
    started: str
    """`started`, `failed`, or "": nothing was to be started."""


def next_step(wanted: Collection[Claim], frozen: Frozen | None, sees: Sees) -> Step:
    """Decide what comes next for one domain; `wanted` are the claims on it."""
    if frozen is None:
        return Step.NOTE if wanted else Step.NOTHING
    if not wanted:
        return _next_undo(frozen, sees)
    # After a reboot the machine's own start-up has started them, and mounted nothing.
    if sees.has_freeze and not (frozen.is_stopped and frozen.stopped_in == sees.boot):
        return Step.STOP
    if any(claim.read_only for claim in wanted) != sees.is_covered:
        return Step.UNCOVER if sees.is_covered else Step.COVER
    return Step.MARK if frozen.head is None else Step.NOTHING


def _next_undo(frozen: Frozen, sees: Sees) -> Step:
    if sees.is_covered:
        return Step.UNCOVER
    return Step.START if will_start(frozen, sees) else Step.FORGET


def will_start(frozen: Frozen, sees: Sees) -> bool:
    """Tell whether a thaw starts the services: those that ran before syncer stopped them, and only on production."""
    return frozen.was_running and frozen.stopped_in == sees.boot and sees.has_start and sees.is_production


def is_kept_by_procedure(claim: Claim, is_open: Callable[[str], bool]) -> bool:
    """Tell whether a freeze does not end by itself now: the procedure that wants it is open."""
    return claim.by != OPERATOR and is_open(claim.by)


def over(claims: Iterable[Claim], now: float, is_open: Callable[[str], bool]) -> list[Claim]:
    """Return the claims whose time is over."""
    return [claim for claim in claims if now >= claim.until and not is_kept_by_procedure(claim, is_open)]


def cut_off(claims: Iterable[Claim], frozen: Iterable[Frozen], is_open: Callable[[str], bool]) -> list[Claim]:
    """Return the claims of freezes that the last agent has not completed, and that nobody will ask for again."""
    complete = {item.domain for item in frozen if item.head is not None}
    return [claim for claim in claims if claim.domain not in complete and not is_kept_by_procedure(claim, is_open)]


def alarms_due(claim: Claim, now: float) -> int:
    """Return how often a freeze should have been told as forgotten: at half of its time, then after each whole of it.

    The latter only where a procedure keeps it.
    """
    length = max(claim.until - claim.since, 1.0)
    past = now - claim.since - length / 2
    return 0 if past < 0 else 1 + int(past / length)
