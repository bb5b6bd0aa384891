"""Verification: production and its targets read every byte again, at the same time; findings, and their repair.

What changes meanwhile is no finding: production's own are looked at again after everything captured so far is
in the index; on a target, paths that changed above its cursor are left to the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from syncer.capture.ignore import Scope
from syncer.errors import PeerRejectedError, SyncerError
from syncer.index.store import IndexStore
from syncer.model import Cursor
from syncer.procedures.reread import Rereading
from syncer.replicate import messages as m
from syncer.replicate.drifted import what_of_action
from syncer.replicate.sender import Sender
from syncer.replicate.session import Report
from syncer.state.verifications import Finding

PROGRESS_SECONDS = 0.25
LOOKS = 2
"""Times that what seems to differ on production is read again, each after the index has caught up."""


class Domain(NamedTuple):
    """What is verified of one domain on production."""

    name: str
    root: Path
    scope: Scope
    rate: int
    """Bytes a second that are read at most; 0: as fast as it goes."""


class Production(Protocol):
    """What a verification asks of the production side."""

    index: IndexStore

    async def flush(self) -> None:
        """Return once everything that happened before the call is in the index."""


class Verified(NamedTuple):
    """The result for one target; error None: it was verified to the end."""

    findings: tuple[Finding, ...]
    error: SyncerError | None
    paths: int
    """Read on production."""
    bytes: int
    seconds: float


async def verify(
    production: Production,
    domain: Domain,
    senders: Sequence[Sender],
    report: Callable[[Sender, Report], None],
    *,
    on_demand: bool,
) -> list[Verified]:
    """Read one domain again here and on each target; returns a result for each of `senders`.

    `report` is told of paths and bytes. Raises UnavailableRootError where production's root is away.
    """
    await production.flush()
    started = time.monotonic()
    stopping = threading.Event()
    reading = Rereading(domain.name, domain.root, domain.scope, production.index, domain.rate, stopping)
    entries = production.index.count(domain.name)
    async with _told(lambda: _tell(reading, senders, entries, report)):
        here = asyncio.create_task(_here(production, reading))
        there = [asyncio.create_task(_there(production, sender, on_demand=on_demand)) for sender in senders]
        try:
            await asyncio.wait({here, *there})
            own = [Finding(path, "production", what) for path, what in sorted(here.result().items())]
            answers = await asyncio.gather(*there, return_exceptions=True)
        finally:
            stopping.set()
            for task in (here, *there):
                task.cancel()
            await asyncio.gather(here, *there, return_exceptions=True)
    return [_verified(own, answer, reading, time.monotonic() - started) for answer in answers]


def _verified(
    own: list[Finding], answer: list[Finding] | BaseException, reading: Rereading, seconds: float
) -> Verified:
    if isinstance(answer, list):
        return Verified((*own, *answer), None, reading.paths, reading.bytes_read, seconds)
    if not isinstance(answer, SyncerError):
        raise answer
    return Verified(tuple(own), answer, reading.paths, reading.bytes_read, seconds)


async def _here(production: Production, reading: Rereading) -> dict[bytes, str]:
    found = await asyncio.to_thread(reading.suspects)
    for _ in range(LOOKS):
        if not found:
            break
        # What was changed meanwhile is in the index then, and no finding.
        await production.flush()
        again = await asyncio.to_thread(reading.still, list(found))
        found = {path: what for path, what in found.items() if again.get(path) == what}
    return found


async def _there(production: Production, sender: Sender, *, on_demand: bool) -> list[Finding]:
    """Have one target verify itself; what is above its cursor is on its way, and no finding."""
    domain = sender.stream.domain
    cursor = sender.view().progress.cursor
    head = Cursor(*production.index.head(domain))
    begin = m.Begin(True, None, head, dry_run=True, reread=True, on_demand=on_demand)
    answer = await sender.examination().run(begin)
    if isinstance(answer, m.Reject):
        raise PeerRejectedError(f"{sender.stream.target} could not verify itself: {answer.message}", answer.reason)
    since = cursor.seq if cursor is not None else 0
    found = []
    for item in answer:
        seq = await asyncio.to_thread(production.index.seq_of, domain, item.path)
        if seq is None or seq <= since:
            found.append(Finding(item.path, "failover", what_of_action(item.action)))
    return found


def _tell(
    reading: Rereading, senders: Sequence[Sender], entries: int, report: Callable[[Sender, Report], None]
) -> None:
    """Report what both sides have read of what both must read."""
    for sender in senders:
        there = sender.view().examined
        report(sender, Report("verify", reading.paths + there, 2 * entries, reading.bytes_read))


@contextlib.asynccontextmanager
async def _told(tell: Callable[[], None]) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            tell()

    telling = asyncio.create_task(repeat())
    try:
        yield
    finally:
        telling.cancel()
