"""Paths to look at later: racy, unstable, held open, or directories whose time alone moved (pure)."""

from __future__ import annotations

from collections.abc import Iterable

RACY_SECONDS = 0.025
"""After this a coarse file system clock has moved on, and reading again tells the truth."""
UNSTABLE_SECONDS = 1.0


class Deferred:
    """Remembers each path with the earliest time (seconds, monotonic) at which it is due."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        self._next: float | None = None

    def add(self, paths: Iterable[bytes], due: float) -> None:
        """Have `paths` looked at when it is `due`, or before where that was asked for already."""
        for path in paths:
            known = self._due.get(path)
            if known is None or due < known:
                self._due[path] = due
                self._next = due if self._next is None else min(self._next, due)

    def drop(self, paths: Iterable[bytes]) -> None:
        """Forget `paths`: they are looked at now."""
        if self._due:
            for path in paths:
                self._due.pop(path, None)

    def next_due(self) -> float | None:
        """Return when the next path may be due, or None; never too late, sometimes too early."""
        return self._next

    def take(self, now: float) -> list[bytes]:
        """Remove and return what is due at `now` (infinity: all)."""
        if self._next is None or self._next > now:
            return []
        due = [path for path, at in self._due.items() if at <= now]
        for path in due:
            del self._due[path]
        self._next = min(self._due.values(), default=None)
        return due
