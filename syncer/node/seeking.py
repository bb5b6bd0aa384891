"""A call to a node that may be at any of several addresses: all are knocked at, and the first that opens is used."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence

from syncer.config.address import parse_address
from syncer.errors import UnreachableError
from syncer.replicate.link import Stream
from syncer.replicate.messages import FromFailover, FromProduction

KNOCK_SECONDS = 3.0
"""How long an address may take to open; a connection over any link is made faster."""


class Doubts:
    """Addresses of one target at which somebody opened, and nobody answered who has its certificate."""

    def __init__(self) -> None:
        self._doubted: set[str] = set()

    def taken(self, address: str) -> None:
        """An address is used; it is doubted until somebody has answered there."""
        self._doubted.add(address)

    def answered(self) -> None:
        """The target has answered: what was doubted is not any more."""
        self._doubted.clear()

    def about(self, address: str) -> bool:
        """Tell whether an address is only to be used where no other opens."""
        return address in self._doubted


class Seeking:
    """A call that is made where its target is found; its certificate tells whether it is the target."""

    def __init__(self, peer: str, addresses: tuple[str, ...], doubts: Doubts, call: Callable[[str], Stream]) -> None:
        """Look for `peer` at `addresses` (host:port) at the first message, and open the call there by `call`."""
        self._peer = peer
        self._addresses = addresses
        self._doubts = doubts
        self._call = call
        self._stream: Stream | None = None

    async def send(self, message: FromProduction) -> None:
        """Send one message; UnreachableError where no address opens, else as the call."""
        if self._stream is None:
            self._stream = self._call(await seek(self._peer, self._addresses, self._doubts))
        await self._stream.send(message)

    async def receive(self) -> FromFailover:
        """Return the target's next message, as the call."""
        assert self._stream is not None, "who calls speaks first"
        return await self._stream.receive()

    async def close(self) -> None:
        """Release the call, where one was made."""
        if self._stream is not None:
            await self._stream.close()


async def seek(peer: str, addresses: Sequence[str], doubts: Doubts) -> str:
    """Return the first address of `peer` (host:port) that opens, and doubt it; UnreachableError where none does."""
    knocks = [asyncio.create_task(_knock(address), name=address) for address in addresses]
    opened: list[str] = []
    silent: list[str] = []
    try:
        for knock in asyncio.as_completed(knocks):
            address, said = await knock
            if said:
                silent.append(f"{address}: {said}")
                continue
            opened.append(address)
            if not doubts.about(address):
                opened = [address]
                break
    finally:
        for task in knocks:
            task.cancel()
    if not opened:
        # What was refused at once is told before what never answered: somebody is there.
        raise UnreachableError(
            f"{peer} cannot be reached ({'; '.join(silent)}); where it has another address, add a [[failover]] table "
            "of that name"
        )
    found = min(opened, key=addresses.index)
    doubts.taken(found)
    return found


async def _knock(address: str) -> tuple[str, str]:
    """Return the address, and "" where somebody opens, else why nobody did."""
    found = parse_address(address)
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(found.host, found.port)
    except TimeoutError:
        return address, f"no answer within {KNOCK_SECONDS:g} s"
    except (OSError, UnicodeError) as error:
        return address, _reason(error)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return address, ""


def _reason(error: OSError | UnicodeError) -> str:
    """Say why an address did not open, in the system's words."""
    number = getattr(error, "errno", None)
    # A name that is not known has a number of its own kind, below zero.
    return os.strerror(number) if number is not None and number > 0 else str(error)
