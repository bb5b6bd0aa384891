"""Verification of a target, beside its transactions: production asks, failover reads every byte again and answers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from syncer.capture.doubt import FreshReads, StoppedError
from syncer.errors import ApplyError, PeerProtocolError, Reason, SyncerError, UnreachableError
from syncer.model import Kind
from syncer.replicate import messages as m
from syncer.replicate.destination import Destination
from syncer.replicate.drifted import ACTIONS

log = logging.getLogger(__name__)

ITEMS_IN_ONE_PLAN = 2048
MOST_ITEMS = 10_000
"""Paths that one verification tells of."""
BUSY_SECONDS = 0.1


def begins_examination(message: m.FromProduction | None) -> bool:
    """Tell whether a message belongs to a verification rather than to a transaction."""
    return isinstance(message, m.Part | m.Abandon) and message.transaction >= m.FIRST_EXAMINATION


class Asking:
    """Production's end: at most one verification at a time on a stream."""

    def __init__(self, send: Callable[[m.FromProduction], Awaitable[None]]) -> None:
        self._send = send
        self._number = m.FIRST_EXAMINATION - 1
        self._answers: asyncio.Queue[m.Plan | m.Reject] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self._waits = False

    def take(self, answer: object) -> bool:
        """Take an answer of the target that belongs to a verification; False: it is none."""
        if not isinstance(answer, m.Plan | m.Reject) or answer.transaction < m.FIRST_EXAMINATION:
            return False
        if answer.transaction > self._number:
            raise PeerProtocolError("the peer answered a verification that was never asked for")
        # What comes for one that was given up, or behind the last piece, is dropped: it must not pile up.
        if answer.transaction == self._number and self._waits:
            self._answers.put_nowait(answer)
        return True

    async def run(self, begin: m.Begin) -> tuple[m.PlanItem, ...] | m.Reject:
        """Have the target read everything again; returns what differs there from what was applied."""
        async with self._asking:
            self._number += 1
            number, self._answers = self._number, asyncio.Queue()
            items: list[m.PlanItem] = []
            done = False
            self._waits = True
            try:
                await self._send(m.Part(number, begin, (), (), end=True))
                while not done:
                    answer = await self._answers.get()
                    if isinstance(answer, m.Reject):
                        done = True
                        return answer
                    items.extend(answer.items[: MOST_ITEMS - len(items)])
                    done = answer.last
                return tuple(items)
            finally:
                self._waits = False
                if not done:
                    await self._send(m.Abandon(number, Reason.UNSPECIFIED, "nobody waits for the verification"))


class Examination(NamedTuple):
    """A connected target that can be asked to verify itself."""

    target: str
    asking: Asking
    running: asyncio.Task[None]

    @classmethod
    def on(cls, target: str, asking: Asking | None, running: asyncio.Task[None] | None) -> Examination:
        """Return it; UnreachableError where the target is not connected."""
        if asking is None or running is None:
            raise UnreachableError(f"{target} is not connected, so it cannot be verified: see `syncer status`")
        return cls(target, asking, running)

    async def run(self, begin: m.Begin) -> tuple[m.PlanItem, ...] | m.Reject:
        """Have the target read everything again; UnreachableError where it is lost meanwhile."""
        asked = asyncio.create_task(self.asking.run(begin))
        try:
            await asyncio.wait({asked, self.running}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
        finally:
            asked.cancel()
        raise UnreachableError(f"{self.target} was lost during the verification: run it again")


class Examining:
    """Failover's end: reads on a thread of its own, and looks again at what seems to differ between transactions."""

    def __init__(
        self,
        destination: Destination,
        worker: ThreadPoolExecutor,
        rate: int,
        send: Callable[[m.FromFailover], Awaitable[None]],
    ) -> None:
        """Read at most `rate` bytes a second unless a person waits; 0: as fast as it goes."""
        self._destination = destination
        self._worker = worker
        self._rate = rate
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._number = 0

    async def take(self, message: m.FromProduction) -> None:
        """Begin a verification, or end one that production gave up; PeerProtocolError for anything else."""
        if isinstance(message, m.Abandon):
            if message.transaction == self._number:
                await self.stop()
            return
        begin = message.begin if isinstance(message, m.Part) else None
        if begin is None or not (begin.full and begin.dry_run and begin.reread) or not isinstance(message, m.Part):
            raise PeerProtocolError("the peer numbered a transaction as a verification")
        await self.stop()
        self._number, self._stopping = message.transaction, threading.Event()
        self._task = asyncio.create_task(self._run(message.transaction, on_demand=begin.on_demand))

    async def stop(self) -> None:
        """End what runs; returns when it has ended."""
        self._stopping.set()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        self._destination.examined = 0

    async def _run(self, number: int, *, on_demand: bool) -> None:
        try:
            suspects = await asyncio.to_thread(self._suspects, 0 if on_demand else self._rate)
            found = await self._confirmed(suspects) if suspects else {}
        except StoppedError:
            return
        except SyncerError as error:
            reason = error.reason if isinstance(error, ApplyError) else Reason.ROOT_UNAVAILABLE
            await self._send(m.Reject(number, reason, str(error)))
            return
        except Exception as error:  # production must not wait for an answer that never comes
            log.exception("the verification of domain %s failed by a fault in syncer", self._destination.domain)
            why = f"a fault in failover's agent ({type(error).__name__}): see its log"
            await self._send(m.Reject(number, Reason.INTERNAL, why))
            return
        finally:
            self._destination.examined = 0
        for plan in plans(number, found, self._destination):
            await self._send(plan)

    def _suspects(self, rate: int) -> list[bytes]:
        """Return the paths that seem to differ; reads everything."""
        destination = self._destination
        if destination.standing() is None or (trouble := destination.trouble()):
            why = "nothing was received yet" if destination.standing() is None else trouble
            raise ApplyError(why, Reason.ROOT_UNAVAILABLE)
        # Not 0 from the start on: production shows that a verification runs.
        destination.examined = 1
        reads = FreshReads(rate, self._stopping)
        suspects: list[bytes] = []
        findings = destination.edits.scanner(reread=True, reads=reads).full()
        for examined, finding in enumerate(findings, 1):
            destination.examined = examined
            if self._stopping.is_set():
                raise StoppedError("nobody waits for the verification any more")
            if destination.edits.drifted({finding.path: finding.found}) and len(suspects) < MOST_ITEMS:
                suspects.append(finding.path)
        return suspects

    async def _confirmed(self, suspects: list[bytes]) -> dict[bytes, str]:
        loop = asyncio.get_running_loop()
        while True:
            found = await loop.run_in_executor(self._worker, self._confirm, suspects)
            if found is not None:
                return found
            await asyncio.sleep(BUSY_SECONDS)

    def _confirm(self, suspects: list[bytes]) -> dict[bytes, str] | None:
        """Look again between two transactions; None while one is open."""
        if self._destination.is_busy:
            return None
        # What stands half applied is no difference.
        self._destination.require_whole()
        scanner = self._destination.edits.scanner()
        findings = scanner.paths(suspects, reread=suspects)
        return self._destination.edits.drifted({finding.path: finding.found for finding in findings})


def plans(number: int, found: dict[bytes, str], destination: Destination) -> Iterator[m.Plan]:
    """Yield the answer to a verification: what making everything as it was applied would do."""
    items = []
    for path, what in sorted(found.items()):
        known = destination.known(path)
        kind, size = (known.entry.kind, known.entry.size) if known is not None else (Kind.FILE, 0)
        items.append(m.PlanItem(path, ACTIONS[what], kind, size))
    for step in range(0, max(len(items), 1), ITEMS_IN_ONE_PLAN):
        last = step + ITEMS_IN_ONE_PLAN >= len(items)
        yield m.Plan(number, tuple(items[step : step + ITEMS_IN_ONE_PLAN]), last, "")
