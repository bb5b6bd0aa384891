"""Tells of what happens to frozen domains all the same, and of freezes that nobody ends."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable

from syncer.errors import SyncerError
from syncer.model import EventValue, RecordEvent, shown
from syncer.procedures.freezing import alarms_due
from syncer.procedures.frozen_node import FrozenNode
from syncer.procedures.unsent import Changed
from syncer.state.freezes import Claim, Frozen

log = logging.getLogger(__name__)

SAMPLE = 10
"""Paths that are named; the rest is counted."""
TELL_EVERY = 60.0
"""Seconds between two events of one domain that goes on changing."""


class FrozenWatch:
    """Remembers what was told of each frozen domain; used by one thread at a time."""

    def __init__(self, node: FrozenNode, record: RecordEvent) -> None:
        """Raise events through `record`; nothing was told yet."""
        self._node = node
        self._record = record
        self._seen: dict[str, int] = {}
        self._next: dict[str, float] = {}
        self._count: Counter[str] = Counter()
        self._alarms: Counter[tuple[str, str]] = Counter()
        self._unknown: set[str] = set()

    def changed(self, item: Frozen) -> Changed:
        """Return what has changed since a domain was frozen; blocking. Raises IndexStoreError."""
        if item.head is None:
            return Changed(0, ())
        found = self._node.changed(item.domain, item.head, SAMPLE)
        self._count[item.domain] = found.total
        return found

    def look(self, complete: Iterable[Frozen]) -> None:
        """Raise `frozen.changed` for domains that have changed since the last look; blocking."""
        for item in complete:
            assert item.head is not None, "the freeze is complete"
            seq, now = self._node.head(item.domain).seq, time.monotonic()
            if seq <= self._seen.get(item.domain, item.head.seq) or now < self._next.get(item.domain, 0.0):
                continue
            try:
                found = self.changed(item)
            except SyncerError as error:
                if item.domain not in self._unknown:
                    log.warning("%s", error)
                self._unknown.add(item.domain)
                continue
            self._seen[item.domain], self._next[item.domain] = seq, now + TELL_EVERY
            if found.total:
                named = ", ".join(sample(found))
                self._record("frozen.changed", {"domain": item.domain, "paths": found.total, "sample": named})

    def remind(self, claims: Collection[Claim], now: float) -> None:
        """Raise `frozen.forgotten` where it is due, at `now` (Unix seconds)."""
        for claim in claims:
            key, due = (claim.domain, claim.by), alarms_due(claim, now)
            if due > self._alarms[key]:
                what: dict[str, EventValue] = {"domain": claim.domain, "by": claim.by, "reason": claim.reason}
                what |= {"seconds": now - claim.since, "ends_in": claim.until - now}
                self._record("frozen.forgotten", what)
            # A freeze that was renewed counts anew.
            self._alarms[key] = due

    def forget(self, domain: str) -> int:
        """The domain is not frozen any more; returns how many changes were known."""
        self._seen.pop(domain, None)
        self._next.pop(domain, None)
        self._unknown.discard(domain)
        for key in [key for key in self._alarms if key[0] == domain]:
            del self._alarms[key]
        return self._count.pop(domain, 0)


def sample(found: Changed) -> tuple[str, ...]:
    """Return the first paths as they are shown."""
    return tuple(shown(path) for path in found.first)
