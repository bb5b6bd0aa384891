"""A node that was promoted tells every paired node of its term, until each has heard it: none may go on sending."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Protocol

from syncer.model import Mode, Term
from syncer.node.modes import Modes
from syncer.replicate.fencing import FENCES_FROM, Rank
from syncer.replicate.reconnect import reconnecting
from syncer.state.peers import Peer, peers
from syncer.state.store import StateStore

log = logging.getLogger(__name__)


class Knock(Protocol):
    """Tells one peer what this node is."""

    async def __call__(self, peer: Peer, own: Rank) -> Rank:
        """Return what the peer answers for itself; SyncerError where it cannot be reached, or refuses."""


class Knocker:
    """Knocks while this node is production by a promotion; used on the event loop."""

    def __init__(
        self, modes: Modes, store: StateStore, knock: Knock, *, shortest: float = 1.0, longest: float = 60.0
    ) -> None:
        """Knock with `knock` at every paired node, again after pauses between both bounds (seconds)."""
        self._modes = modes
        self._store = store
        self._knock = knock
        self._bounds = (shortest, longest)
        self._news = asyncio.Event()
        self._news.set()
        self._heard_by: set[tuple[str, Term]] = set()
        modes.changed.append(self._news.set)

    def look(self) -> None:
        """Look again who is to be told: another node was paired."""
        self._news.set()

    async def run(self) -> None:
        """Knock where there is something to tell; ends only by cancellation."""
        while True:
            await self._news.wait()
            self._news.clear()
            own = self._modes.rank()
            if own.mode is not Mode.PRODUCTION or own.term.counter < FENCES_FROM:
                continue
            telling = asyncio.create_task(self._tell(own))
            news = asyncio.create_task(self._news.wait())
            try:
                await asyncio.wait({telling, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # What this node is now may be something else: nobody is told of what it was.
                for task in (telling, news):
                    task.cancel()
                found = await asyncio.gather(telling, news, return_exceptions=True)
            if isinstance(found[0], Exception):
                raise found[0]

    async def _tell(self, own: Rank) -> None:
        waiting = [
            peer
            for peer in await asyncio.to_thread(peers, self._store)
            if (peer.node_id, own.term) not in self._heard_by
        ]
        async with asyncio.TaskGroup() as tasks:
            for peer in waiting:
                tasks.create_task(reconnecting(partial(self._tell_one, peer, own), asyncio.Event(), *self._bounds))

    async def _tell_one(self, peer: Peer, own: Rank) -> None:
        said = await self._knock(peer, own)
        self._heard_by.add((peer.node_id, own.term))
        log.info("%s has heard of term %d, and is %s", peer.name, own.term.counter, said.mode.value)
        await self._modes.heard(peer.node_id, peer.name, said.term, said.mode)
