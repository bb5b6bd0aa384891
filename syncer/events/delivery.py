"""What an attempt to do an action comes to, and what follows from it: done, again later, or given up (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import NamedTuple

import tenacity

from syncer.events.notice import Notice
from syncer.redaction import REDACTED, redact

ANSWER_LENGTH = 300
"""Characters that are kept and shown of what somebody else says."""
FIRST_WAIT = 10.0
"""Seconds before the second attempt; each further wait is twice as long, up to LONGEST_WAIT."""
LONGEST_WAIT = 1800.0
JITTER = 0.25
"""The part of a wait by which it may be longer, so that many nodes do not come back at one moment."""


class Outcome(Enum):
    """How an attempt ended."""

    DONE = "done"
    LATER = "later"
    """It may go well another time."""
    REFUSED = "refused"
    """It never will."""


class Answer(NamedTuple):
    """What came of one attempt."""

    outcome: Outcome
    said: str
    """What the other side answered, or what went wrong: one sentence, without secrets."""
    left: tuple[str, ...] = ()
    """Receivers that must be tried again, where others were reached or refused."""
    refused: tuple[str, ...] = ()
    """Receivers that were refused for good."""
    retry_after: float = 0.0
    """Seconds that the other side asked to wait at least."""
    trouble: str = ""
    """What was wrong although it was done, for example a template that could not be used."""

    @property
    def words(self) -> str:
        """All that is kept and shown of it."""
        return f"{self.said} ({self.trouble})" if self.trouble else self.said


class Parcel(NamedTuple):
    """What is to be delivered."""

    key: str
    """The same at every attempt, so that who gets it twice can tell."""
    notice: Notice
    receivers: tuple[str, ...] = ()


def told(text: str, hidden: Collection[str] = ()) -> str:
    """Return somebody else's words as they are kept and shown: one line, bounded, without what looks like a secret.

    `hidden` are secrets of this node's own, which may be repeated to it.
    """
    for secret in hidden:
        text = text.replace(secret, REDACTED)
    lines = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    # Twice: a key block is known by its lines, while a name and its value may stand on two of them.
    line = redact(" ".join(redact(lines).split()))
    return line if len(line) <= ANSWER_LENGTH else f"{line[: ANSWER_LENGTH - 1]}…"


Deliver = Callable[[Parcel], Answer]
"""Makes one attempt; blocking, bounded in time, raises nothing that it can foresee."""


class Verdict(NamedTuple):
    """What follows from an attempt."""

    receivers: tuple[str, ...]
    """Those that are still to be reached."""
    due: float | None
    """When to try again, in Unix seconds; None: no more."""
    given_up: tuple[str, ...]
    """Receivers that are given up by this attempt, where the action has receivers."""
    failed: bool
    """Something was given up by this attempt."""


def judge(answer: Answer, receivers: Sequence[str], attempts: int, since: float, now: float, give_up: float) -> Verdict:
    """Say what follows from the attempt number `attempts` (from 1) of an action that waits since `since`."""
    if answer.outcome is Outcome.REFUSED:
        return Verdict((), None, tuple(receivers), failed=True)
    left = answer.left
    if answer.outcome is Outcome.LATER and not left:
        left = tuple(receiver for receiver in receivers if receiver not in answer.refused)
    if answer.outcome is Outcome.DONE and not left:
        return Verdict((), None, answer.refused, failed=bool(answer.refused))
    if now - since >= give_up:
        return Verdict((), None, (*answer.refused, *left), failed=True)
    # The last attempt is made when the time is over, not long before.
    due = min(now + max(wait_after(attempts), answer.retry_after), max(since + give_up, now))
    return Verdict(left, due, answer.refused, failed=bool(answer.refused))


_WAIT = tenacity.wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
_STRETCH = tenacity.wait_random(0, JITTER)


def wait_after(attempts: int) -> float:
    """Return the seconds to wait after the attempt of this number (from 1)."""
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempts
    return _WAIT(state) * (1 + _STRETCH(state))
