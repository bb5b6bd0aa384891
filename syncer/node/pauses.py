"""The suspensions and holds of a node: durable in node.db, in memory for the senders, watched each second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from syncer.errors import RefusedError
from syncer.model import RecordEvent
from syncer.replicate.pauses import (
    Pause,
    Resumption,
    alarms_due,
    is_over,
    orphaned,
    pause_of,
    replaced,
    resumed,
    suspended,
    suspension_of,
)
from syncer.state.holds import ACTIVE, FAILED, Hold, read_holds, write_holds
from syncer.state.processes import process_identity
from syncer.state.store import StateStore
from syncer.state.suspensions import Suspension, read_suspensions, write_suspensions

LOOK_SECONDS = 1.0
"""How often the processes of holds, and the ends of suspensions, are looked at while there are any."""


class Pauses:
    """What a person's word keeps from being sent; reading is for any thread."""

    def __init__(
        self,
        store: StateStore,
        domains_of: Mapping[str, Collection[str]],
        record: RecordEvent,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.time,
        identity_of: Callable[[int], str] = process_identity,
    ) -> None:
        """Take up what node.db remembers; `changed` is called on the event loop after each change.

        `domains_of`: target → names of the domains that it receives.
        """
        self._store = store
        self._domains_of = domains_of
        self._record = record
        self._changed = changed
        self._clock = clock
        self._identity_of = identity_of
        self._writing = threading.Lock()
        self._news = asyncio.Event()
        self._begun: Counter[str] = Counter()
        self._alarms: Counter[str] = Counter()
        self.suspensions = read_suspensions(store)
        self.holds = read_holds(store)
        # CRASH: a hold whose process died while no agent ran must never be taken for one that ended well.
        self._fail(orphaned(self.holds, identity_of))

    def configured(self, domains_of: Mapping[str, Collection[str]]) -> None:
        """Take other targets and domains from a new configuration; what is suspended or held stays so."""
        self._domains_of = domains_of

    def pause(self, target: str, domain: str) -> Pause:
        """Return why nothing is sent to `target` of `domain`; cheap."""
        if not self.suspensions and not self.holds:
            return Pause()
        return pause_of(self.suspensions, self.holds, target, domain, self._clock())

    def suspension(self, target: str, domain: str) -> Suspension | None:
        """Return the suspension that stops `target` in `domain`, or None."""
        return suspension_of(self.suspensions, target, domain, self._clock())

    def holds_begun(self, domain: str) -> int:
        """Return how many holds of a domain have begun since the start: who sees it grow, saw one begin."""
        return self._begun[domain]

    async def suspend(self, target: str, domains: Collection[str], reason: str, seconds: float | None) -> None:
        """Suspend a target, or these domains of it, durably; for that many seconds, or until resumed."""
        now = self._clock()
        until = None if seconds is None else now + seconds
        new = [Suspension(target, domain, reason, now, until) for domain in sorted(domains) or [""]]
        await asyncio.to_thread(self._write, lambda: (suspended(self.suspensions, new), self.holds))
        self._tell()

    async def resume(self, target: str | None, domains: Collection[str]) -> Resumption:
        """End suspensions and failed holds, as replicate.pauses.resumed says."""
        found: list[Resumption] = []

        def decide() -> tuple[tuple[Suspension, ...], tuple[Hold, ...]]:
            found.append(resumed(self.suspensions, self.holds, target, domains, self._domains_of))
            return found[0].suspensions, found[0].holds

        await asyncio.to_thread(self._write, decide)
        self._tell()
        return found[0]

    async def begin_hold(self, hold: Hold) -> None:
        """Hold a domain. Raises RefusedError where the process is not there.

        RACE: durable, and seen by every sender, when this returns; nothing that the command changes can be sent.
        """
        if self._identity_of(hold.pid) != hold.start_time:
            raise RefusedError(
                f"the process {hold.pid} that would hold {hold.domain} is not there: run `syncer hold` where the "
                "agent sees its process (the same machine and container)"
            )
        await asyncio.to_thread(self._write, lambda: (self.suspensions, (*self.holds, hold)))
        self._begun[hold.domain] += 1
        self._tell()

    async def end_hold(self, hold_id: str, failure: str) -> None:
        """End a hold: well, where `failure` is "", else it stays until a person resumes; an unknown one has ended."""
        found = [hold for hold in self.holds if hold.id == hold_id and hold.state == ACTIVE]
        if failure:
            await asyncio.to_thread(self._fail, [hold._replace(state=FAILED, detail=failure) for hold in found])
        elif found:
            await asyncio.to_thread(
                self._write, lambda: (self.suspensions, tuple(hold for hold in self.holds if hold.id != hold_id))
            )
        self._tell()

    async def run(self) -> None:
        """Watch the processes of holds and the ends of suspensions; ends only by cancellation."""
        while True:
            self._news.clear()
            if not self._is_watched():
                await self._news.wait()
            await asyncio.to_thread(self.look)
            self._changed()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Fail holds whose process died, end suspensions whose time is over, raise alarms; blocking."""
        now = self._clock()
        self._fail(orphaned(self.holds, self._identity_of))
        if any(is_over(item, now) for item in self.suspensions):
            self._write(lambda: (tuple(item for item in self.suspensions if not is_over(item, now)), self.holds))
        for hold in self.holds:
            due = alarms_due(hold, now)
            if due > self._alarms[hold.id]:
                self._alarms[hold.id] = due
                self._record("hold.long", {**_named(hold), "pid": hold.pid, "seconds": now - hold.since})

    def _is_watched(self) -> bool:
        return any(hold.state == ACTIVE for hold in self.holds) or any(
            item.until is not None for item in self.suspensions
        )

    def _fail(self, failed: Sequence[Hold]) -> None:
        if not failed:
            return
        told: list[Hold] = []

        def decide() -> tuple[tuple[Suspension, ...], tuple[Hold, ...]]:
            # RACE: one that has ended meanwhile has ended; it does not fail any more.
            active = {hold.id for hold in self.holds if hold.state == ACTIVE}
            told.extend(hold for hold in failed if hold.id in active)
            return self.suspensions, replaced(self.holds, told)

        self._write(decide)
        for hold in told:
            self._record("hold.failed", {**_named(hold), "reason": hold.detail})

    def _write(self, decide: Callable[[], tuple[tuple[Suspension, ...], tuple[Hold, ...]]]) -> None:
        # RACE: decided under the lock that guards both, so that two changes at once cannot lose each other.
        with self._writing:
            suspensions, holds = decide()
            with self._store.transaction() as writer:
                write_suspensions(writer, suspensions)
                write_holds(writer, holds)
            # CRASH: in memory only when durable; a sender that goes on by memory alone would forget it at a crash.
            self.suspensions, self.holds = suspensions, holds

    def _tell(self) -> None:
        self._news.set()
        self._changed()


def _named(hold: Hold) -> dict[str, str | int | float | bool]:
    return {"domain": hold.domain, "command": hold.command}
