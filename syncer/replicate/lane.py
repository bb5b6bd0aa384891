"""What the sessions of one domain share on failover: its worker, the lock that lets in one, and what was heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from syncer.errors import RefusedError
from syncer.model import NEVER, Start, Term
from syncer.replicate import messages as m
from syncer.replicate.destination import Destination
from syncer.replicate.worker import Worker
from syncer.state.term import NO_TERM


@dataclass(slots=True)
class Heard:
    """What production last said of one domain (times in seconds of the monotonic clock)."""

    node_id: str = ""
    node_name: str = ""
    at: float = 0.0
    head_seq: int = 0
    oldest_seconds: float = 0.0
    changes_behind: int = 0
    clock_skew_seconds: float | None = None


@dataclass(slots=True)
class Lane:
    """What one domain's sessions share: the worker, the lock that lets in one, and who holds it."""

    destination: Destination
    worker: Worker
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    holder: asyncio.Task[None] | None = None
    heard: Heard = field(default_factory=Heard)
    trouble: str = ""
    term: Term = NO_TERM
    """Under which the session that holds the lane was admitted."""
    start: Start = NEVER
    """Which start of its production that is."""
    ending: RefusedError | None = None
    """Why the session that holds the lane is ended by us, for its peer."""

    def taken(self, holder: asyncio.Task[None] | None, term: Term, start: Start) -> None:
        """A session begins to hold the lane."""
        self.holder, self.term, self.start = holder, term, start
        self.ending = None

    def answer(self, sent_unix_ns: int, now: int) -> m.HeartbeatAnswer:
        """Return failover's sign of life (clocks in Unix nanoseconds)."""
        here = self.destination
        # Not looked up once a second as the root is: a resumed domain must not be called rolled back any more.
        trouble, rolled_back = self.trouble or here.rolled_back.sentence(), here.rolled_back.done is not None
        return m.HeartbeatAnswer(
            sent_unix_ns, now, trouble, here.drift_count, here.wants_full, here.examined, rolled_back,
            here.checked.service,
        )  # fmt: skip  # the fields in the order of the message


def new_lane(domain: str, destination: Destination) -> Lane:
    """Return the lane of a domain, with a worker of its own."""
    return Lane(destination, Worker(f"apply-{domain}"))
