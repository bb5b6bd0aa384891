"""Waits on production until one target has everything, and proves that it stands there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from syncer.errors import RefusedError, StepFailedError, SyncerError, UnreachableError
from syncer.model import Head
from syncer.procedures.kinds import Tell
from syncer.replicate import messages as m
from syncer.replicate.progress import Phase
from syncer.replicate.sender import Sender
from syncer.replicate.session import Planned, Report
from syncer.replicate.stream import Request
from syncer.state.cursors import read_target

if TYPE_CHECKING:
    from syncer.node.agent import Node
    from syncer.node.production import ProductionSide

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often it is looked at what is left, and at what holds it up."""


class Draining:
    """One target's way to the state of this production node."""

    def __init__(self, production: ProductionSide, target: str, tell: Tell | None = None) -> None:
        """Drain the streams to `target`."""
        self._production = production
        self._target = target
        self._tell = tell or _nobody_listens

    async def run(self) -> Mapping[str, Head]:
        """Return where the index stands once the target stands there, too, and nothing has moved meanwhile.

        Raises StepFailedError where something holds the streams up that does not end by itself, RefusedError where
        this node stops sending.
        """
        heads = await self._heads()
        while True:
            await self._arrived(heads)
            moved = await self._heads()
            if moved == heads and await self._is_compared(heads):
                moved = await self._heads()
                if moved == heads:
                    return heads
            heads = moved

    async def hurry(self, seconds: float) -> None:
        """Let what there is arrive, for at most so long."""
        try:
            async with asyncio.timeout(seconds):
                heads = await self._heads()
                await asyncio.gather(*self._waits(heads))
        except (TimeoutError, SyncerError) as error:
            log.warning("what changed last has not arrived on %s: %s", self._target, str(error) or "it takes too long")

    async def _heads(self) -> Mapping[str, Head]:
        await self._production.flush()
        return {name: head for name, head in self._production.heads().items() if self._sender(name) is not None}

    async def _arrived(self, heads: Mapping[str, Head]) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await asyncio.gather(*self._waits(heads))
                    return
            except TimeoutError:
                self._tell(await asyncio.to_thread(self._left), 0, 0)
            for sender in self._senders():
                decision = sender.view().decision
                if decision.phase is Phase.SUSPENDED:
                    where = f"{self._target} {sender.stream.domain}"
                    raise StepFailedError(f"nothing is sent to {where}: {decision.reason}", again=False)

    def _waits(self, heads: Mapping[str, Head]) -> list[asyncio.Future[None]]:
        wait = self._production.wait_acknowledged
        return [asyncio.ensure_future(wait(self._target, name, head)) for name, head in heads.items()]

    def _left(self) -> str:
        """Say what is left; blocking."""
        left, troubles = 0, []
        for sender in self._senders():
            view = sender.view()
            left += self._production.exposure(view).changes
            if not view.progress.connected:
                troubles.append(view.progress.error or f"{self._target} is not connected")
        return "; ".join([f"{left} change{'' if left == 1 else 's'} left", *troubles[:1]])

    async def _is_compared(self, heads: Mapping[str, Head]) -> bool:
        """Make sure that what the target has applied is what was sent: by summaries, by paths where these differ.

        False where it went away meanwhile: it is waited for, as where something is left.
        """
        comparing = [self._compare(sender) for sender in self._senders() if sender.stream.domain in heads]
        for result in await asyncio.gather(*comparing, return_exceptions=True):
            if isinstance(result, UnreachableError):
                self._tell(str(result), 0, 0)
                await asyncio.sleep(LOOK_SECONDS)
                return False
            if result is not None:
                raise result
        return True

    async def _compare(self, sender: Sender) -> None:
        domain = sender.stream.domain
        request = Request(dry_run=True, against_base=True, report=_nobody_watches)
        sender.request(request)
        outcome = await request.done
        if isinstance(outcome, m.Reject):
            raise StepFailedError(f"{self._target} does not compare {domain}: {outcome.message}")
        differing = len(outcome.items) if isinstance(outcome, Planned) else outcome.changes
        left_out = len(sender.unsent())
        if differing or left_out:
            what = f"{differing} differ" if differing else f"{left_out} cannot be sent"
            raise StepFailedError(
                f"of the paths of {domain} {what} on {self._target}: `syncer diff {self._target}` shows them",
                again=False,
            )

    def _sender(self, domain: str) -> Sender | None:
        return self._production.senders.get((self._target, domain))

    def _senders(self) -> list[Sender]:
        return [sender for (name, _), sender in self._production.senders.items() if name == self._target]


def sending_to(node: Node, peer: str) -> tuple[ProductionSide, str]:
    """Return what sends here, and under which name to this peer. RefusedError where nothing is sent to it."""
    production = node.production
    if production is None or production.refusal:
        raise RefusedError(f"{node.settings.node.name} sends nothing now: it is no production node")
    for target in node.settings.failover:
        record = read_target(node.store, target.name)
        if record is not None and record.node_id == peer:
            return production, target.name
    raise RefusedError(
        f"{node.settings.node.name} sends nothing to that node: add a [[failover]] table for it, and join"
    )


def _nobody_watches(_: Report) -> None:
    """It is done at once where both are equal."""


def _nobody_listens(_: str, __: int, ___: int) -> None:
    """What is waited for briefly is not told."""
