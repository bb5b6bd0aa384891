"""What the two ends of a stream say to each other, as checked values; wire.py turns them into bytes."""

from __future__ import annotations

from typing import NamedTuple

from syncer.errors import CommandFailure, Reason
from syncer.model import NEVER, Change, Cursor, Kind, Patterns, Problem, Start, Term

Path = bytes
"""A path beneath the root; a name for it, since a field called bytes hides the type."""

FIRST_EXAMINATION = 1 << 32
"""Verifications are numbered from here on, apart from transactions: they run beside them."""

PROTOCOL = 1
"""The version of the protocol that this program speaks; others are refused."""


class Hello(NamedTuple):
    """Production's first word on a stream: who it is, and where its index of the domain stands."""

    protocol: int
    software: str
    node_id: str
    node_name: str
    term: Term
    domain: str
    head: Cursor
    patterns: Patterns
    pattern_hash: bytes
    rule_hash: bytes
    path_of_nodes: tuple[str, ...]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    start_services: bool = False
    rules: bytes = b""
    """The substitution rules of the domain, encoded; b"": none."""
    addresses: tuple[str, ...] = ()
    """By what production is reached: addresses of its interfaces, and its host name."""
    port: int = 0
    """What production listens on, for the way home; 0: it did not say."""
    start: Start = NEVER
    """Which start of production speaks."""


class Welcome(NamedTuple):
    """Failover's answer: who it is, and how far it has come."""

    protocol: int
    software: str
    node_id: str
    node_name: str
    term: Term
    cursor: Cursor | None
    pattern_hash: bytes
    rule_hash: bytes
    resumable: bool
    problems: tuple[Problem, ...]
    echoes: int
    limits: tuple[str, ...] = ()
    """What failover cannot hold, a sentence each; known before anything is applied."""
    kept_local: tuple[Path, ...] = ()
    """Paths that failover's keep_local leaves alone."""
    start: Start = NEVER
    """Which start of failover speaks."""


class Heartbeat(NamedTuple):
    """Production's sign of life, with what failover would lose (ages in seconds)."""

    sent_unix_ns: int
    head_seq: int
    oldest_seconds: float
    changes_behind: int


class HeartbeatAnswer(NamedTuple):
    """Failover's sign of life; sent_unix_ns is 0 where it answers no heartbeat.

    `unavailable` says why the domain's root cannot be written to, "" where it can.
    """

    sent_unix_ns: int
    received_unix_ns: int
    unavailable: str = ""
    drift: int = 0
    """Paths that were edited on failover since they were applied."""
    wants_full: bool = False
    """What was edited there is to be put back, which only a full synchronization does."""
    examined: int = 0
    """Paths that a verification under way has re-read so far."""
    rolled_back: bool = False
    """A person rolled the domain back there, and production has not resumed."""
    service: str = ""
    """How the domain's services are there, and after ": " what is wrong; "" where nothing tells."""


class Begin(NamedTuple):
    """How a transaction opens: from where to where, and what kind."""

    full: bool
    start: Cursor | None
    end: Cursor
    summary: bytes = b""
    entries: int = 0
    torn: bool = False
    dry_run: bool = False
    against_base: bool = False
    approval: str = ""
    on_demand: bool = False
    reread: bool = False
    """Compare with every byte on failover's disk, read again."""
    deletions_approved: bool = False
    """A person on production approved the deletions."""
    resume: bool = False
    """A person resumed a domain that was rolled back on failover."""
    offer: bool = False
    """With `dry_run`: exactly what the plan shows may be approved, under the id that it names."""


class Content(NamedTuple):
    """A content, or one piece of it (offset in bytes; more: another piece follows)."""

    digest: bytes
    data: bytes
    offset: int = 0
    more: bool = False


class Part(NamedTuple):
    """One piece of a transaction's entries; begin only in the first, end only in the last."""

    transaction: int
    begin: Begin | None
    changes: tuple[Change, ...]
    inline: tuple[Content, ...]
    end: bool


class Contents(NamedTuple):
    """Wanted contents, at most about 1 MiB at once."""

    transaction: int
    contents: tuple[Content, ...]
    last: bool


class Abandon(NamedTuple):
    """Production gives the transaction up; nothing of it may become visible."""

    transaction: int
    reason: Reason
    message: str


class WantEntries(NamedTuple):
    """Failover's summary differs: production must send every entry."""

    transaction: int


class Want(NamedTuple):
    """Digests that failover lacks; nothing wanted at all is said with last and no digests."""

    transaction: int
    digests: tuple[bytes, ...]
    last: bool


class Ack(NamedTuple):
    """The transaction is durable and verified on failover (seconds: first part to commit)."""

    transaction: int
    cursor: Cursor
    changes: int
    bytes: int
    seconds: float
    generation: int
    problems: tuple[Problem, ...]
    kept_local: tuple[Path, ...] = ()


class PlanItem(NamedTuple):
    """One path that a transaction would change; action is create, update, metadata, replace or delete."""

    path: bytes
    action: str
    kind: Kind
    size: int


class Approval(NamedTuple):
    """A plan that a person must agree to: what it destroys on failover."""

    id: str
    deletions: int
    overwrites: int
    sample: tuple[PlanItem, ...] = ()


class Reject(NamedTuple):
    """Failover could not or would not apply the transaction; nothing of it is visible."""

    transaction: int
    reason: Reason
    message: str
    approval: Approval | None = None
    digests: tuple[bytes, ...] = ()
    failure: CommandFailure = CommandFailure()
    """CHECK_FAILED: how the check failed."""


class Plan(NamedTuple):
    """The answer to a dry run, in pieces."""

    transaction: int
    items: tuple[PlanItem, ...]
    last: bool
    approval: str


class Goodbye(NamedTuple):
    """The sender ends the call on purpose."""

    reason: Reason
    message: str


FromProduction = Hello | Heartbeat | Part | Contents | Abandon | Goodbye
FromFailover = Welcome | HeartbeatAnswer | WantEntries | Want | Ack | Reject | Plan | Goodbye
