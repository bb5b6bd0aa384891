"""Which process a number means: numbers are used again, also after a restart of the machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def process_identity(pid: int) -> str:
    """Return what no other process ever has, or "" where no such process lives.

    One that is dead, but that its parent has not taken notice of yet, does not live.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    # proc(5): the name stands in parentheses and may hold anything; state is the next field, start time the 20th.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else f"{boot_id()}:{fields[19]}"


@cache
def boot_id() -> str:
    """Return what this life of the machine is called; no other one ever was, or will be."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
