"""Keeps the counters and histograms of a node between two scrapes; no I/O.

Plain numbers under a lock rather than prometheus-client's own objects: an observation costs about a microsecond, and
the library is loaded by the first scrape only.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

from syncer.observations import Observations

SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets (seconds): from one small change to a full synchronization of a large tree."""

Labels = tuple[str, ...]


class Buckets(NamedTuple):
    """One histogram at one moment; `counts` are per bucket, not added up, the last one above all bounds."""

    counts: tuple[int, ...]
    total: float


class _Histogram:
    """Counts of one set of labels."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.total += seconds


class Measurements(Observations):
    """The numbers of one process since its start; usable from any thread.

    Labels are names of the configuration and words of syncer's own, never paths or what a peer sent: their number
    is bounded.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        # RACE: `x += 1` is no atomic step; without the lock two threads could count one event.
        self._lock = threading.Lock()
        self._counters: defaultdict[str, defaultdict[Labels, int]] = defaultdict(lambda: defaultdict(int))
        self._histograms: defaultdict[str, defaultdict[Labels, _Histogram]] = defaultdict(
            lambda: defaultdict(_Histogram)
        )

    def acknowledged(
        self, target: str, domain: str, *, full: bool, changes: int, sent_bytes: int, seconds: float
    ) -> None:
        """Note a transaction that a target has made durable."""
        kind = "full" if full else "partial"
        with self._lock:
            self._count("syncer_transactions", (target, domain, kind, "acknowledged"))
            self._count("syncer_sent_changes", (target, domain), changes)
            self._count("syncer_sent_bytes", (target, domain), sent_bytes)
            self._observe("syncer_transaction_seconds", (target, domain, kind), seconds)

    def failed(self, target: str, domain: str, cause: str) -> None:
        """Note a connection that failed or was lost."""
        with self._lock:
            self._count("syncer_failures", (target, domain, cause))

    def rejected(self, target: str, domain: str, cause: str, *, full: bool) -> None:
        """Note a transaction that a target has rejected."""
        with self._lock:
            self._count("syncer_transactions", (target, domain, "full" if full else "partial", "rejected"))
            self._count("syncer_failures", (target, domain, cause))

    def applied(self, domain: str, *, full: bool, changes: int, received_bytes: int, seconds: float) -> None:
        """Note a transaction that this node has made durable."""
        kind = "full" if full else "partial"
        with self._lock:
            self._count("syncer_applied_transactions", (domain, kind))
            self._count("syncer_applied_changes", (domain,), changes)
            self._count("syncer_received_bytes", (domain,), received_bytes)
            self._observe("syncer_apply_seconds", (domain, kind), seconds)

    def refused(self, domain: str, cause: str) -> None:
        """Note a transaction that this node rejected."""
        with self._lock:
            self._count("syncer_rejected_transactions", (domain, cause))

    def flushed(self, what: str, seconds: float) -> None:
        """Note a flush to disk."""
        with self._lock:
            self._observe("syncer_flush_seconds", (what,), seconds)

    def raised(self, event: str) -> None:
        """Note an event of the catalogue."""
        with self._lock:
            self._count("syncer_events", (event,))

    def counts(self, name: str) -> dict[Labels, int]:
        """Return a counter, by labels."""
        with self._lock:
            return dict(self._counters.get(name, {}))

    def histogram(self, name: str) -> dict[Labels, Buckets]:
        """Return a histogram, by labels; counts and total are of one moment."""
        with self._lock:
            found: dict[Labels, _Histogram] = self._histograms.get(name, {})
            return {labels: Buckets(tuple(item.counts), item.total) for labels, item in found.items()}

    def _count(self, name: str, labels: Labels, amount: int = 1) -> None:
        self._counters[name][labels] += amount

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        self._histograms[name][labels].observe(seconds)
