"""When a group of hints closes: quiet for `settle`, at the latest `settle_max` after the first one (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Settling:
    """The state of one group; all times are seconds of one monotonic clock."""

    settle: float
    settle_max: float
    first: float | None = None
    """When the group's first hint came; None while no group is open."""
    last: float = 0.0
    """When its latest hint came."""

    def hinted(self, first: float, last: float) -> Settling:
        """Return the state after hints that came from `first` to `last`."""
        if self.first is None:
            return replace(self, first=first, last=last)
        return replace(self, first=min(self.first, first), last=max(self.last, last))

    def due_at(self) -> float | None:
        """Return when the group is to be scanned, or None where none is open."""
        if self.first is None:
            return None
        return min(self.last + self.settle, self.first + self.settle_max)

    def is_due(self, now: float) -> bool:
        """Tell whether the group is to be scanned at `now`."""
        due = self.due_at()
        return due is not None and due <= now

    def is_over(self, now: float) -> bool:
        """Tell whether the group must close now, torn where hints still come."""
        return self.first is not None and now >= self.first + self.settle_max
