"""Decides which generation is forgotten next, by count and by size (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncer.config.settings import HistorySettings


def oldest_to_forget(
    numbers: Sequence[int], kept_bytes: int, limits: HistorySettings, pinned: Iterable[int]
) -> int | None:
    """Return the generation to forget now, or None where all may stay.

    `numbers` are those of complete generations, ascending; kept_bytes is what their contents hold together.
    A pinned generation stays reachable, so it and all newer ones stay. The newest stays however large it is,
    unless nothing at all is to be kept.
    """
    if not numbers:
        return None
    oldest = numbers[0]
    if any(pin <= oldest for pin in pinned):
        return None
    if len(numbers) > limits.generations:
        return oldest
    return oldest if len(numbers) > 1 and kept_bytes > limits.size else None


def reachable(numbers: Sequence[int]) -> range:
    """Return the generations whose state can be brought back, by the complete ones that are recorded.

    What a generation displaced brings back the one before it; so the oldest recorded one's predecessor can be
    reached, too, and the newest is where the domain stands. A gap in the numbers is the end.
    """
    if not numbers:
        return range(0)
    first = last = numbers[-1]
    for number in reversed(numbers[:-1]):
        if number != first - 1:
            break
        first = number
    return range(first - 1, last)
