"""The alarms that stand, and clocks that differ, as lines of a status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from syncer.cli.exposure import Severity
from syncer.cli.output import printable
from syncer.cli.wording import moment_in_words, seconds_in_words

SHOWN_SKEW_SECONDS = 1.0
"""Smaller differences of two clocks are nobody's trouble."""
ALARMING_SKEW_SECONDS = 5.0


def alarm_lines(status: dict[str, Any]) -> Iterator[Text]:
    """Yield a line for each alarm that stands, and for each clock that differs."""
    for alarm in status.get("alarms", ()):
        about = " ".join(part for part in (alarm["peer"], alarm["domain"]) if part)
        what = f"alarm: {alarm['event']}{' of ' if about else ''}{about} since {moment_in_words(alarm['since'])}"
        yield Text(printable(what), style=f"bold {Severity.BAD.value}")
    clocks = [(target["name"], target["clock_skew_seconds"]) for target in status["targets"]]
    production = status["production"]
    if production is not None and production["clock_skew_seconds"] is not None:
        # Failover measures how far its own clock is ahead of production's.
        clocks.append((production["name"], -production["clock_skew_seconds"]))
    for name, ahead in clocks:
        if ahead is not None and abs(ahead) > SHOWN_SKEW_SECONDS:
            direction = "ahead of" if ahead > 0 else "behind"
            late = abs(ahead) > ALARMING_SKEW_SECONDS
            text = f"clock: {name} is {seconds_in_words(abs(ahead))} {direction} this node"
            yield Text(printable(text), style=Severity.LATE.value if late else "")
