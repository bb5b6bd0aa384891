"""Who may send to this node: version, identity, circles, copies, and then terms before modes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

from syncer.errors import Reason, RefusedError
from syncer.model import Start, Term
from syncer.replicate import messages as m
from syncer.replicate.fencing import Rank, answer, copy_sentence, is_copy, object_to
from syncer.replicate.lane import Lane

HEARTBEAT = 1.0
"""Seconds between signs of life while nothing else is said."""
COPY_SECONDS = 3.0
"""How long a new start waits while an older one of the same node still holds a connection: a process that has ended
says nothing more, and a machine that has died is not back by then."""
LOOK_SECONDS = 0.05


class Node(Protocol):
    """What the receiver asks of the node it lives in."""

    node_id: str
    name: str
    software: str
    echoes: int
    start: Start
    """Which start of this node it is."""

    def rank(self) -> Rank:
        """Return what this node is now, and the highest term seen, of one moment."""

    def held(self) -> Term:
        """Return the highest term that this node took for itself."""

    def hear(self, peer: str, term: Term) -> None:
        """Do what follows from a peer's term: record a higher one durably, or be fenced by it."""

    def known_start(self, node_id: str) -> Start:
        """Return which start of a peer was seen last."""

    def remember_start(self, node_id: str, start: Start) -> None:
        """Make durable which start of a peer was seen last."""


class Admission:
    """Checks the first message of every session."""

    def __init__(self, node: Node) -> None:
        """Check for `node`."""
        self._node = node
        self._arrivals: dict[Start, float] = {}

    def admit(self, hello: m.Hello, peer_node_id: str) -> None:
        """Check everything that decides whether this node listens to that one; RefusedError where not."""
        node = self._node
        if hello.protocol != m.PROTOCOL:
            raise RefusedError(
                f"{node.name} speaks protocol {m.PROTOCOL} and {hello.node_name} speaks {hello.protocol}: "
                "run the same version of syncer on both nodes",
                Reason.PROTOCOL_VERSION,
            )
        if hello.node_id != peer_node_id:
            raise RefusedError("the node id is not the one of the certificate", Reason.NOT_PAIRED)
        if hello.node_id == node.node_id or node.node_id in hello.path_of_nodes:
            raise RefusedError(
                f"this configuration has come through {node.name} already: the stream would close a circle",
                Reason.LOOP,
            )
        if is_copy(node.known_start(hello.node_id), hello.start):
            # Before the term: whoever this is, it is not known to be the node whose term that would be.
            raise self._copied(hello)
        self.agree(hello)

    def agree(self, hello: m.Hello) -> None:
        """Check term and mode, and do what follows from the term; again wherever time has passed since.

        Raises RefusedError, which carries the term that the peer must hear of.
        """
        node = self._node
        rank = node.rank()
        said = answer(rank, node.held(), hello.term)
        objection = object_to(rank, node.name, hello.node_name, hello.term)
        # CRASH: durable before anything is accepted under it.
        node.hear(hello.node_name, hello.term)
        if objection is not None:
            raise RefusedError(objection.message, objection.reason, said)

    async def alone(self, hello: m.Hello, lanes: Iterable[Lane]) -> None:
        """Return once no older start of the same node speaks any more; RefusedError where one goes on: a copy."""
        if not hello.start.instance:
            return
        # The peer gives up sooner than this and comes again: what counts is when it came first.
        arrived = self._arrivals.setdefault(hello.start, time.monotonic())
        while older := [lane for lane in lanes if _is_older(lane, hello)]:
            if any(lane.heard.at > arrived + 1.5 * HEARTBEAT for lane in older):
                raise self._copied(hello)
            if time.monotonic() > arrived + COPY_SECONDS:
                break
            await asyncio.sleep(LOOK_SECONDS)
        self._arrivals.clear()
        self._node.remember_start(hello.node_id, hello.start)

    def _copied(self, hello: m.Hello) -> RefusedError:
        cure = f"pair it again with `syncer invite` on {self._node.name} and `syncer join` there"
        return RefusedError(copy_sentence(hello.node_name, cure), Reason.COPIED_IDENTITY)


def _is_older(lane: Lane, hello: m.Hello) -> bool:
    is_other = lane.start.instance not in ("", hello.start.instance)
    return lane.holder is not None and lane.heard.node_id == hello.node_id and is_other
