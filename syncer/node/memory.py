"""Gives memory back after bulk work: what a large transaction needed is not what an idle agent should hold."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path

LOOK_EVERY = 3.0
"""Seconds between two looks at the process's size."""
WORTH_IT = 6 * 1024 * 1024
"""Bytes of growth since the last time that make trimming worth its milliseconds."""

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return how much memory this process holds (proc(5), statm)."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def keep_small() -> None:
    """Trim the heap whenever the process has grown and stopped growing; ends only by cancellation."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl frees by itself
    if trim is None:
        return
    smallest = before = resident_bytes()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        now = resident_bytes()
        # Still growing: the work goes on, and would only ask for the same pages again.
        if now - smallest > WORTH_IT and now <= before:
            gc.collect()
            trim(0)
            smallest = now = resident_bytes()
        before = now
