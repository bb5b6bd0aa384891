"""What another node streams, for a thread that walks it: each piece is fetched when it is wanted, and none before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from syncer.errors import PeerProtocolError, UnreachableError
from syncer.model import shown
from syncer.procedures.comparison import Other
from syncer.procedures.home_messages import OthersHead, OthersPart
from syncer.replicate.compare import Order, order_of


class Pulled:
    """The entries of one domain of another node; made on the event loop."""

    def __init__(self, domain: str, parts: AsyncIterator[OthersPart]) -> None:
        """Take them from `parts`, which ends by raising or with the part that says so."""
        self.taken = 0
        """Entries so far; for any thread."""
        self._domain = domain
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._first: OthersPart | None = None
        self._fetching: asyncio.Task[OthersPart] | None = None
        self._stopped = False

    async def head(self) -> OthersHead:
        """Return which state is told; before anything is taken."""
        while True:
            self._first = await anext(self._parts)
            if self._first.head is not None:
                return self._first.head

    def others(self) -> Iterator[Other]:
        """Yield the entries in their order, on a thread that may block; PeerProtocolError where they come in another.

        Raises as the stream does, UnreachableError once it was stopped.
        """
        last: Order | None = None
        part = self._first
        while part is not None:
            for other in part.others:
                here = order_of(other.entry.path)
                if last is not None and here <= last:
                    path = shown(other.entry.path[:256])
                    raise PeerProtocolError(f"the peer told what it has of {self._domain} out of order: {path!a}")
                last = here
                self.taken += 1
                yield other
            part = None if part.end else self._next()

    def stop(self) -> None:
        """End the walk at its next piece; on the event loop."""
        self._stopped = True
        if self._fetching is not None:
            self._fetching.cancel()

    def _next(self) -> OthersPart:
        try:
            return asyncio.run_coroutine_threadsafe(self._fetch(), self._loop).result()
        except (asyncio.CancelledError, StopAsyncIteration) as error:
            raise UnreachableError(f"what the peer has of {self._domain} was not told to its end") from error

    async def _fetch(self) -> OthersPart:
        if self._stopped:
            raise UnreachableError(f"what the peer has of {self._domain} is not wanted any more")
        self._fetching = asyncio.ensure_future(anext(self._parts))
        try:
            return await self._fetching
        except StopAsyncIteration as error:
            raise UnreachableError(f"what the peer has of {self._domain} was not told to its end") from error
