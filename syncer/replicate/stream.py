"""What a stream to one target is made of: its settings, what it asks of the node, what asks it, what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from syncer.errors import CommandFailure, PeerRejectedError
from syncer.events.problems import StandingProblems
from syncer.index.names import OwnerNames
from syncer.model import Cursor, Head, Patterns, Problem, RecordEvent, Start, Term
from syncer.observations import Observations
from syncer.replicate import messages as m
from syncer.replicate.pauses import Pause
from syncer.replicate.progress import Decision, Progress
from syncer.replicate.rendered_tree import Tree
from syncer.replicate.session import Outcome, Report
from syncer.replicate.streak import FailureSuspension, SuspendPolicy
from syncer.substitution.rules import EMPTY, RuleSet


class Stream(NamedTuple):
    """Which stream this is, and the settings that shape it (seconds)."""

    target: str
    domain: str
    automatic: bool
    timeout: float
    retry_min: float
    retry_max: float
    patterns: Patterns
    pattern_hash: bytes
    start_services: bool = False
    """Whether the domain's services are meant to run on the target."""
    rules: RuleSet = EMPTY
    """How its contents are rendered for the target; only what can apply to the domain."""
    suspend_after: int = 5
    """Failures in a row that suspend it; 0: none do."""
    probe: bool = True
    """Whether it is tried again now and then while failures suspend it."""

    def suspend_policy(self) -> SuspendPolicy:
        """Return how many failures it bears, and what comes then."""
        return SuspendPolicy(self.suspend_after, self.probe, self.retry_max)


class Words(Protocol):
    """What listens to the targets."""

    start: Start
    """Which start of this node it is."""

    def greeted(self, stream: Stream, welcome: m.Welcome) -> None:
        """Look whom the target says to be; PeerRejectedError where that is not to be believed."""

    def rejected(self, stream: Stream, failure: PeerRejectedError) -> None:
        """Do what follows from what the target said, and from its term."""


class Production(Protocol):
    """What the sender asks of the node it lives in."""

    node_id: str
    name: str
    software: str
    record: RecordEvent
    """Raises an event; blocks nobody."""
    observations: Observations
    port: int
    """What this node listens on; 0 where it does not listen."""

    @property
    def words(self) -> Words:
        """Return what listens to the targets."""

    standing_problems: StandingProblems
    """Which problems have been raised as events."""

    def addresses(self) -> tuple[str, ...]:
        """Return by what this node is reached."""

    def term(self) -> Term:
        """Return this node's term."""

    def unavailable(self, domain: str) -> str:
        """Say why the domain's root cannot be read; "" where it can."""

    def pause(self, target: str, domain: str) -> Pause:
        """Return why nothing is to be sent by a person's word."""

    def held_back(self, target: str, domain: str) -> str:
        """Return why only what is asked for is sent, by a procedure's word; "" where the stream goes on by itself."""

    def kept_apart(self, target: str) -> str:
        """Return why no connection is made, by a procedure's word; "" where one is. Blocking."""

    def holds_begun(self, domain: str) -> int:
        """Return how many holds of the domain have begun."""

    def scanned(self, domain: str) -> bool:
        """Tell whether the first scan since the start is complete."""

    def content_changed(self, domain: str, path: bytes) -> None:
        """Have the path read again, and given a fresh seq once it is stable."""

    def succeeded(self, stream: Stream, ack: m.Ack, *, full: bool) -> None:
        """Record an acknowledgement."""

    def reached(self, stream: Stream) -> None:
        """The target has answered: its other streams need not wait to try again."""

    def check_failed(self, stream: Stream, failure: CommandFailure) -> None:
        """Raise the event of a transaction that the target's check refused."""


@dataclass(slots=True)
class Request:
    """One full synchronization, comparison or preview that a person waits for."""

    dry_run: bool
    against_base: bool
    report: Callable[[Report], None]
    approval: str = ""
    resume: bool = False
    """A person has looked at a domain that was rolled back on the target, and wants production's state there."""
    reread: bool = False
    """Compare with every byte on the target's disk, read again."""
    offer: bool = False
    """With `dry_run`: have the target offer exactly what it shows for an approval."""
    done: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        if not self.done.done():
            self.done.set_exception(error)

    def answer(self, outcome: Outcome) -> None:
        """End the wait with the target's answer."""
        if not self.done.done():
            self.done.set_result(outcome)


class StreamView(NamedTuple):
    """A stream as status shows it (seconds; times of success in unix seconds)."""

    target: str
    domain: str
    decision: Decision
    progress: Progress
    round_trip: float | None
    clock_skew: float | None
    last_success: float | None
    last_full: float | None
    generation: int
    echoes: int
    problems: tuple[Problem, ...]
    peer_node_id: str
    rolled_back: bool
    """A person rolled the domain back on the target, and nothing is sent before `syncer resume`."""
    kept_local: tuple[bytes, ...]
    drift: int | None
    """Paths that were edited on the target; None while it has not said."""
    examined: int
    """Paths that a verification under way has read again on the target."""
    limits: tuple[str, ...] = ()
    """What the target cannot hold, as it said in the handshake."""
    service: str = ""
    """How the domain's services are there, and after ": " what is wrong; "" where it has not said."""
    connected_since: float | None = None
    """None while it is not connected."""
    failing: FailureSuspension | None = None
    """Failures in a row have suspended it; None: they have not."""


class Watched(NamedTuple):
    """What the watch over all streams looks at, of one of them (seconds)."""

    target: str
    domain: str
    lag: float
    """Age of the oldest change that the target has not acknowledged."""
    excused: bool
    """It is behind because a person wants it so."""
    clock_skew: float | None
    round_trip: float | None
    head_seq: int
    cursor: Cursor | None
    lag_is_whole: bool = True
    """False: the oldest change is older, since it waited at the agent's start already."""


def hello_of(stream: Stream, production: Production, head: Head, names: OwnerNames) -> m.Hello:
    """Return production's first word on a stream."""
    return m.Hello(
        m.PROTOCOL,
        production.software,
        production.node_id,
        production.name,
        production.term(),
        stream.domain,
        Cursor(*head),
        stream.patterns,
        stream.pattern_hash,
        stream.rules.hash,
        (production.node_id,),
        names.users,
        names.groups,
        start_services=stream.start_services,
        rules=stream.rules.encode() if stream.rules.rules else b"",
        addresses=production.addresses(),
        start=production.words.start,
        port=production.port,
    )


def opening_of(tree: Tree, progress: Progress, request: Request | None, *, full: bool, approved: bool) -> m.Begin:
    """Return how the transaction to this state of the index opens: from the target's cursor, or as a whole.

    `approved`: a person on this node let all of its deletions pass.
    """
    end = Cursor(*tree.head)
    if not full:
        return m.Begin(
            False,
            progress.cursor,
            end,
            torn=tree.torn,
            approval=progress.approved,
            deletions_approved=approved,
        )
    return m.Begin(
        True,
        None,
        end,
        tree.summary(),
        tree.count(),
        tree.torn,
        dry_run=request.dry_run if request else False,
        against_base=request.against_base if request else False,
        approval=(request.approval if request else "") or progress.approved,
        on_demand=request is not None,
        deletions_approved=approved,
        resume=request is not None and request.resume,
        reread=request.reread if request else False,
        offer=request.offer if request else False,
    )
