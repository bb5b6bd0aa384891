"""How a node speaks in procedures: with its own term, which a peer's may raise; and what it waits for, how long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import grpc.aio

from syncer.procedures.messages import Speaker


class Voice(Protocol):
    """This node's standing among its peers."""

    async def speak(self) -> Speaker:
        """Return who this node is, and the highest term that it has seen."""

    async def hear(self, peer: Speaker) -> Speaker:
        """Take note of what a pinned peer says of itself, make a higher term durable; return what holds now.

        `peer.node_name` is the name that it was paired under.
        """


Dial = Callable[[str], Awaitable[grpc.aio.Channel]]
"""Opens a channel to the node with this id; UnreachableError where nobody knows where it is, or is there."""


class Limits(NamedTuple):
    """How long a procedure waits, in seconds."""

    answer: float = 10.0
    """For an answer that takes no work."""
    silence: float = 10.0
    """For any word of an order that is under way: longer is a lost connection."""
    beat: float = 1.0
    """Between two words of the second while it works."""
    shortest: float = 0.2
    longest: float = 15.0
    """Between two attempts."""
    ask: float = 30.0
    """Between two questions of the second where the procedure stands, while it hears nothing."""
