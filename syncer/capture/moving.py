"""Reads that show that they move: one file of hundreds of gigabytes is read for minutes, and that is no standstill."""

from __future__ import annotations

import os
from collections.abc import Callable

from syncer.capture.reader import Reads


class MovingReads(Reads):
    """The plain system calls, with a sign of life for each piece of a large file."""

    def __init__(self, moved: Callable[[], None]) -> None:
        """Call `moved` before each piece; it must cost nothing."""
        self._moved = moved

    # It is called on an instance alone, where this one is like the static one.
    def read_into(self, descriptor: int, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` and return how many bytes came."""
        self._moved()
        return os.readv(descriptor, [buffer])
