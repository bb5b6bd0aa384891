"""Durations as people write them: "10ms", "1h30m", "1s..60s"; in seconds (pure)."""

from __future__ import annotations

import re

MAXIMUM = 365 * 86400.0
"""Seconds. Longer waits are mistakes, and some system calls refuse them."""

_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(us|ms|s|m|h|d)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of `text`, such as "500us", "10ms", "1h30m" or "0".

    Units are us, ms, s, m, h and d, each at most once and the largest first. Raises ValueError, whose
    message reads on after the text: "is not a duration: …".
    """
    if text == "0":
        return 0.0
    total = 0.0
    position = 0
    last_unit = None
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or (last_unit is not None and _MICROSECONDS[part[2]] >= last_unit):
            position = -1
            break
        last_unit = _MICROSECONDS[part[2]]
        total += float(part[1]) * last_unit
        position = part.end()
    if position <= 0:
        raise ValueError('is not a duration: write for example "10ms", "30s" or "1h30m"')
    # Summed in microseconds, so that "1s500ms" and "1500ms" are the same number.
    if total > MAXIMUM * 10**6:
        raise ValueError('is longer than a year: write at most "365d"')
    return total / 10**6


def parse_range(text: str) -> tuple[float, float]:
    """Return the two bounds of `text`, such as "1s..60s", in seconds; raises ValueError as parse_duration."""
    low, dots, high = text.partition("..")
    if not dots:
        raise ValueError('is not a range of durations: write for example "1s..60s"')
    try:
        bounds = parse_duration(low), parse_duration(high)
    except ValueError:
        raise ValueError('is not a range of durations: write for example "1s..60s"') from None
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError('must go from a duration above 0 to a longer one: write for example "1s..60s"')
    return bounds
