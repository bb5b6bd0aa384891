"""Verifies every target's domains now and then, slowly, when nothing is behind; finds, tells, repairs nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from syncer.errors import SyncerError
from syncer.model import EventValue, RecordEvent, shown
from syncer.procedures.verify import Domain, Production, Verified, verify
from syncer.replicate.progress import Phase, Step
from syncer.replicate.sender import Sender
from syncer.replicate.session import Report
from syncer.state.store import StateStore
from syncer.state.verifications import Verification, begin_counting, read_verification, record_verification

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
SHORTEST_WAIT = 0.5
"""Seconds between two looks at the clock."""


class BackgroundVerification:
    """The verifications of one production node."""

    def __init__(
        self,
        production: Production,
        store: StateStore,
        domains: Callable[[], Mapping[str, tuple[Domain, float]]],
        senders: Callable[[], Sequence[Sender]],
        *,
        record: RecordEvent,
    ) -> None:
        """Verify each domain every so many seconds; 0: never. `record` takes events.

        What `domains` and `senders` return may be others with another configuration.
        """
        self._production = production
        self._store = store
        self._domains = domains
        self._senders = senders
        self._record = record
        self._counted: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Verify what is due; ends only by cancellation."""
        while True:
            domains = {name: found for name, found in self._domains().items() if found[1] > 0}
            await asyncio.to_thread(
                self._begin_counting, [item for item in self._senders() if item.stream.domain in domains]
            )
            shortest = min((every for _, every in domains.values()), default=4 * LONGEST_WAIT)
            await asyncio.sleep(min(max(shortest / 4, SHORTEST_WAIT), LONGEST_WAIT))
            for name, (domain, every) in domains.items():
                due = [sender for sender in self._senders() if sender.stream.domain == name and _is_quiet(sender)]
                due = await asyncio.to_thread(self._due, due, every)
                if due:
                    await self._verify(domain, due)

    def _begin_counting(self, senders: list[Sender]) -> None:
        for sender in senders:
            key = (sender.stream.target, sender.stream.domain)
            if key not in self._counted:
                begin_counting(self._store, *key, time.time())
                self._counted.add(key)

    def _due(self, senders: list[Sender], every: float) -> list[Sender]:
        now = time.time()
        known = [
            (sender, read_verification(self._store, sender.stream.target, sender.stream.domain)) for sender in senders
        ]
        return [sender for sender, found in known if is_due(found, every, now)]

    async def _verify(self, domain: Domain, senders: list[Sender]) -> None:
        try:
            results = await verify(self._production, domain, senders, _nobody_watches, on_demand=False)
        except SyncerError as error:
            # A root that is away shows in status by itself; the next look tries again.
            log.warning("the verification of domain %s was not possible: %s", domain.name, error)
            return
        for sender, result in zip(senders, results, strict=True):
            if result.error is not None:
                log.warning("%s, domain %s: %s", sender.stream.target, domain.name, result.error)
                continue
            await asyncio.to_thread(
                record_verification, self._store, sender.stream.target, domain.name, time.time(), result.findings
            )
            if result.findings:
                self._tell(sender, result)

    def _tell(self, sender: Sender, result: Verified) -> None:
        target, domain = sender.stream.target, sender.stream.domain
        sample = shown(result.findings[0].path)
        found: dict[str, EventValue] = {"paths": len(result.findings), "sample": sample}
        self._record("verify.failed", {"target": target, "domain": domain, **found})


def is_due(known: Verification | None, every: float, now: float) -> bool:
    """Tell whether a verification is due at `now` (Unix seconds), one `every` so many seconds.

    A clock that was set back must not put it off for longer than that.
    """
    if known is None:
        return False
    last = known.counted_from if known.finished is None else known.finished
    return not last <= now < last + every


def _is_quiet(sender: Sender) -> bool:
    """Tell whether a target streams and lacks nothing."""
    view = sender.view()
    idle = view.decision.phase is Phase.STREAMING and view.decision.step is Step.WAIT and not view.decision.reason
    return idle and view.progress.connected and view.progress.cursor is not None


def _nobody_watches(_: Sender, __: Report) -> None:
    """What runs in the background shows no progress."""
