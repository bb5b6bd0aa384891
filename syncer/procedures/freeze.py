"""Freezes and thaws the domains of a production node: durable, undone after a crash, ended by time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from syncer.errors import ConfigurationError, RefusedError, SyncerError
from syncer.model import EventValue, RecordEvent
from syncer.procedures import freezing
from syncer.procedures.freezing import BY_MODE, BY_TIME, DomainFreeze, DomainThaw, FreezeReport
from syncer.procedures.frozen_domains import FrozenDomains
from syncer.procedures.frozen_node import FrozenNode
from syncer.procedures.frozen_watch import sample
from syncer.procedures.read_only import ReadOnlyRoots
from syncer.procedures.unsent import Changed
from syncer.state.freezes import OPERATOR, Claim, Frozen
from syncer.state.store import StateStore

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 1.0


class Freezes:
    """The freezes of one node; on the event loop, but for what says so."""

    def __init__(
        self,
        store: StateStore,
        node: FrozenNode,
        roots: ReadOnlyRoots,
        record: RecordEvent,
        boot: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take up what node.db remembers; nothing is done yet. `boot`: this life of the machine."""
        self.is_open: Callable[[str], bool] = lambda procedure: False
        """Whether a procedure, by its id, is open: its freezes do not end by themselves. For any thread."""
        self.domains = FrozenDomains(store, node, roots, record, boot, clock)
        """What is frozen; for any thread to read."""
        self._node = node
        self._roots = roots
        self._record = record
        self._clock = clock
        self._busy = asyncio.Lock()
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def require_thawed(self, domain: str, what: str) -> None:
        """Raise RefusedError where a domain is frozen; `what` says what is refused. For any thread."""
        claims = self.domains.of(domain)
        if claims:
            who = "an operator" if claims[0].by == OPERATOR else f"the procedure {claims[0].by}"
            reason = f" ({claims[0].reason})" if claims[0].reason else ""
            raise RefusedError(f"{domain} is frozen by {who}{reason}, so {what}: `syncer thaw --domain {domain}` first")

    async def freeze(
        self,
        reason: str,
        by: str = OPERATOR,
        *,
        domains: Collection[str] = (),
        seconds: float | None = None,
        read_only: bool = False,
    ) -> FreezeReport:
        """Freeze these domains (none named: all), or none of them; again for the same `by`: only the time is new.

        `by`: OPERATOR, or the id of a procedure. `seconds`: after which it ends by itself, at most and else
        `freeze_max`. When this returns, everything that happened before is in the index. Raises RefusedError,
        ConfigurationError, CommandError where a `freeze` command fails; then what was frozen before is as it was.
        """
        return await self._whole(self._freeze(reason, by, domains, seconds, read_only=read_only))

    async def thaw(self, by: str = OPERATOR, *, domains: Collection[str] = ()) -> tuple[DomainThaw, ...]:
        """End what `by` has frozen of these domains (none named: all); what is not frozen stays as it is.

        An operator ends the freezes of procedures that are not open any more, too. Services that ran before are
        started again. Raises RefusedError where an operator asks and a procedure is open, StateError where the root
        cannot be made writable again (it is tried again).
        """
        return await self._whole(self._thaw(by, domains))

    async def release(self) -> None:
        """This node is production no more: make the roots writable, start nothing; for whoever changes the mode."""
        await self._whole(self._end(list(self.domains.claims), BY_MODE))

    async def changed_since_freeze(self, domain: str) -> list[bytes]:
        """Return every path that has changed since a domain was frozen, the first change first.

        Raises RefusedError where it is not frozen, UnavailableRootError, IndexStoreError where it is not known.
        """
        item = self.domains.item(domain)
        if item is None or item.head is None:
            raise RefusedError(f"{domain} is not frozen, so nothing has changed since it was: freeze it first")
        await self._node.flush(domain)
        return await asyncio.to_thread(self._node.changed_paths, domain, item.head)

    async def run(self) -> None:
        """Undo or complete what the last agent has left, then watch; ends only by cancellation."""
        await _guarded(self._adopt())
        while True:
            self._news.clear()
            if not (self.domains.claims or self.domains.items):
                await self._news.wait()
            await _guarded(self.look())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """End what is over, go on with what has failed, and tell what is to be told. Raises SyncerError."""
        now, domains = self._clock(), self.domains
        # First: also one that ends now, with nobody having thought of it, was forgotten.
        domains.watch.remind(domains.claims, now)
        if self._node.is_production():
            ending, by = freezing.over(domains.claims, now, self.is_open), BY_TIME
        else:
            ending, by = list(domains.claims), BY_MODE
        if (ending or domains.due()) and not self._busy.locked():
            await self._whole(self._end(ending, by))
        complete = [item for item in domains.items if item.head is not None and domains.of(item.domain)]
        await asyncio.to_thread(domains.watch.look, complete)

    async def close(self) -> None:
        """Leave what is under way to the next agent; before node.db is closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _freeze(
        self, reason: str, by: str, names: Collection[str], seconds: float | None, *, read_only: bool
    ) -> FreezeReport:
        chosen = self._chosen(names)
        length = self._length(seconds)
        await asyncio.to_thread(self._require_possible, chosen, read_only=read_only)
        domains = self.domains
        async with self._busy:
            before, now = domains.claims, self._clock()
            kept = tuple(item for item in before if item.by != by or item.domain not in chosen)
            new = tuple(Claim(name, by, now, now + length, reason, read_only) for name in chosen)
            await domains.want(sorted((*kept, *new)))
            try:
                await self._settle(chosen, by)
            except Exception:
                # CRASH: what is cut off before this, or because the agent stops, is undone by the next agent.
                await domains.want(before)
                await _guarded(self._settle(chosen, ""))
                raise
            self._news.set()
            report = FreezeReport(by, tuple([await self._reported(claim) for claim in new]))
        for name in chosen:
            what: dict[str, EventValue] = {"by": by, "reason": reason, "read_only": read_only}
            # Nobody waits for the end of a procedure's: it comes with that, and by itself never.
            what["seconds"] = length if by == OPERATOR else 0.0
            self._record("frozen", {"domain": name, **what})
        return report

    def _chosen(self, names: Collection[str]) -> list[str]:
        known = self._node.roots()
        for name in names:
            if name not in known:
                raise ConfigurationError(f"there is no domain {name!a} (configured: {', '.join(known) or 'none'})")
        return [name for name in known if not names or name in names]

    def _length(self, seconds: float | None) -> float:
        most = self._node.freeze_max()
        if seconds is not None and not 0 < seconds <= most:
            raise ConfigurationError(
                f"a freeze may last for {most:g} s at most (node.freeze_max): give a shorter time, or change that"
            )
        return most if seconds is None else seconds

    def _require_possible(self, chosen: Sequence[str], *, read_only: bool) -> None:
        if not self._node.is_production():
            raise RefusedError("only a production node can be frozen: on this one nothing is captured")
        roots = self._node.roots()
        for name in chosen if read_only else ():
            refusal = self._roots.refusal(roots[name], self._node.own_paths())
            if refusal:
                raise RefusedError(f"the root of {name} cannot be made read-only ({refusal}): freeze it without")

    async def _reported(self, claim: Claim) -> DomainFreeze:
        name = claim.domain
        item, sees = self.domains.item(name), await asyncio.to_thread(self.domains.sees, name)
        assert item is not None, "it was just frozen"
        assert item.head is not None, "it was frozen wholly"
        command = self._node.shown(name, "freeze") if sees.has_freeze else ""
        starts = freezing.will_start(item, sees)
        return DomainFreeze(name, item.head, command, item.was_running, starts, sees.is_covered, claim.until)

    async def _thaw(self, by: str, names: Collection[str]) -> tuple[DomainThaw, ...]:
        domains = self.domains
        # What the configuration does not name any more may be frozen still.
        there = {claim.domain for claim in domains.claims} | {item.domain for item in domains.items}
        self._chosen([name for name in names if name not in there])
        chosen = sorted(there.intersection(names) if names else there)
        async with self._busy:
            ending = [item for item in domains.claims if item.domain in chosen and by in (item.by, OPERATOR)]
            for claim in ending if by == OPERATOR else ():
                if freezing.is_kept_by_procedure(claim, self.is_open):
                    raise RefusedError(
                        f"{claim.domain} is frozen by the procedure {claim.by}, which is open: finish or abort that"
                    )
            changed = {name: await self._changed(domains.item(name)) for name in chosen}
            since = {item.domain: item.since for item in domains.items}
            await domains.want([claim for claim in domains.claims if claim not in ending])
            await self._settle(chosen, by)
            now = self._clock()
            return tuple(self._thawed(name, changed[name], now - since.get(name, now)) for name in chosen)

    def _thawed(self, domain: str, changed: Changed | None, seconds: float) -> DomainThaw:
        count, first = (changed.total, sample(changed)) if changed is not None else (None, ())
        still = tuple(claim.by for claim in self.domains.of(domain))
        return DomainThaw(domain, still, max(seconds, 0.0), count, first, self.domains.started.pop(domain, ""))

    async def _changed(self, item: Frozen | None) -> Changed | None:
        """Return what has changed since a freeze, before a thaw changes anything itself; None where nobody knows."""
        if item is None:
            return None
        try:
            await self._node.flush(item.domain)
            return await asyncio.to_thread(self.domains.watch.changed, item)
        except SyncerError as error:
            log.warning("what has changed in %s since it was frozen is not known: %s", item.domain, error)
            return None

    async def _end(self, ending: Collection[Claim], by: str) -> None:
        domains = self.domains
        async with self._busy:
            for name in {claim.domain for claim in ending}:
                await self._changed(domains.item(name))
            await domains.want([claim for claim in domains.claims if claim not in ending])
            await self._settle(sorted({claim.domain for claim in ending} | {item.domain for item in domains.items}), by)

    async def _settle(self, names: Iterable[str], by: str) -> None:
        """Settle each of them; raises what the first one fails with, after all of them."""
        failures = []
        for name in names:
            try:
                await self.domains.settle(name, by)
            except SyncerError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _adopt(self) -> None:
        """Take up what a crash, a reboot or a change of the mode has left."""
        claims = self.domains.claims
        if not self._node.is_production():
            await self._end(claims, BY_MODE)
            return
        left = freezing.cut_off(claims, self.domains.items, self.is_open)
        for claim in left:
            log.warning("the freeze of %s by %s was cut off, and is undone", claim.domain, claim.by)
        await self._end(left, BY_TIME)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it to its end, also where who asked has gone away: a command that was run cannot be taken back."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except SyncerError as error:
        log.error("what a freeze has to do fails, and is tried again: %s", error)  # noqa: TRY400 - a sentence
