"""Numbers as people read them: lengths of time, sizes, counts."""

from __future__ import annotations

from datetime import datetime


def seconds_in_words(seconds: float) -> str:
    """Return a length of time in its largest two units: "40 ms", "41 s", "2 min 5 s", "3 h 12 min"."""
    if seconds < 0.9995:
        return f"{max(seconds, 0.0) * 1000:.{0 if seconds >= 0.0095 else 1}f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def bytes_in_words(size: int) -> str:
    """Return a size with a binary unit: "512 B", "3.4 KiB"."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def counted(number: int, noun: str) -> str:
    """Return "1 change", "3 changes"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def moment_in_words(moment: str | None) -> str:
    """Return an RFC 3339 time in this machine's zone, to the second; "never" for none."""
    if moment is None:
        return "never"
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
