"""The only place of the room that knows the protobuf messages: values to bytes and back, checked."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from syncer.errors import PeerProtocolError, Reason
from syncer.model import Change, Cursor, Entry, Kind, Patterns, Problem, Term
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate.checks import (
    checked_change,
    checked_cursor,
    checked_digest,
    checked_name,
    require,
)
from syncer.replicate.framing import framed_contents

METHOD = "/syncer.v1.Sync/Replicate"
SERVICE = "syncer.v1.Sync"
REFUSAL_TRAILER = "syncer-refusal-bin"
"""Metadata key under which a refused call carries a serialized Refusal."""

_KINDS = {int(kind): kind for kind in Kind}
_REASONS = {reason.value: reason for reason in Reason}
_ACTIONS = ("", "create", "update", "metadata", "replace", "delete")


def refusal_bytes(reason: Reason, message: str) -> bytes:
    """Return a Refusal for the trailer of a call that is ended."""
    return _refusal_out(reason, message).SerializeToString()


def parse_refusal(data: bytes) -> tuple[Reason, str]:
    """Return reason and sentence of a trailer's Refusal; an unknown reason counts as UNSPECIFIED."""
    try:
        refusal = pb.Refusal.FromString(data)
    except DecodeError:
        return Reason.UNSPECIFIED, "the peer refused in a form that cannot be read"
    return _refusal(refusal)


def encode_from_production(message: m.FromProduction) -> bytes:
    """Serialize one of production's messages."""
    out = pb.FromProduction()
    match message:
        case m.Part():
            _fill_part(out.part, message)
        case m.Contents():
            return framed_contents(message)
        case m.Heartbeat():
            out.heartbeat.CopyFrom(pb.Heartbeat(**message._asdict()))
        case m.Hello():
            out.hello.CopyFrom(_hello_out(message))
        case m.Abandon():
            out.abandon.transaction = message.transaction
            out.abandon.why.CopyFrom(_refusal_out(message.reason, message.message))
        case m.Goodbye():
            out.goodbye.why.CopyFrom(_refusal_out(message.reason, message.message))
    return out.SerializeToString()


def decode_from_production(data: bytes) -> m.FromProduction:
    """Parse and check one of production's messages; PeerProtocolError(MALFORMED) where it is not one."""
    try:
        message = pb.FromProduction.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no message of the protocol") from error
    match message.WhichOneof("body"):
        case "part":
            return _part_in(message.part)
        case "contents":
            found = message.contents
            return m.Contents(found.transaction, _contents_in(found.contents), found.last)
        case "heartbeat":
            beat = message.heartbeat
            return m.Heartbeat(beat.sent_unix_ns, beat.head_seq, beat.oldest_seconds, beat.changes_behind)
        case "hello":
            return _hello_in(message.hello)
        case "abandon":
            return m.Abandon(message.abandon.transaction, *_refusal(message.abandon.why))
        case "goodbye":
            return m.Goodbye(*_refusal(message.goodbye.why))
    raise PeerProtocolError("the peer sent a message of a kind that this version does not know; update syncer here")


def encode_from_failover(message: m.FromFailover) -> bytes:
    """Serialize one of failover's messages."""
    out = pb.FromFailover()
    match message:
        case m.Ack():
            out.ack.CopyFrom(
                pb.Ack(
                    transaction=message.transaction,
                    cursor=_cursor_out(message.cursor),
                    changes=message.changes,
                    bytes=message.bytes,
                    seconds=message.seconds,
                    generation=message.generation,
                    problems=[pb.Problem(path=item.path, reason=item.reason) for item in message.problems],
                )
            )
        case m.HeartbeatAnswer():
            out.heartbeat.CopyFrom(pb.HeartbeatAnswer(**message._asdict()))
        case m.WantEntries():
            out.want_entries.transaction = message.transaction
        case m.Want():
            out.want.CopyFrom(pb.Want(**message._asdict()))
        case m.Welcome():
            out.welcome.CopyFrom(_welcome_out(message))
        case m.Reject():
            out.reject.CopyFrom(_reject_out(message))
        case m.Plan():
            out.plan.CopyFrom(
                pb.Plan(
                    transaction=message.transaction,
                    items=_items_out(message.items),
                    last=message.last,
                    approval=message.approval,
                )
            )
        case m.Goodbye():
            out.goodbye.why.CopyFrom(_refusal_out(message.reason, message.message))
    return out.SerializeToString()


def decode_from_failover(data: bytes) -> m.FromFailover:
    """Parse and check one of failover's messages; PeerProtocolError(MALFORMED) where it is not one."""
    try:
        message = pb.FromFailover.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no message of the protocol") from error
    match message.WhichOneof("body"):
        case "ack":
            ack = message.ack
            cursor = _cursor_in(ack.cursor)
            problems = _problems_in(ack.problems)
            return m.Ack(ack.transaction, cursor, ack.changes, ack.bytes, ack.seconds, ack.generation, problems)
        case "heartbeat":
            beat = message.heartbeat
            return m.HeartbeatAnswer(beat.sent_unix_ns, beat.received_unix_ns, _sentence(beat.unavailable))
        case "want_entries":
            return m.WantEntries(message.want_entries.transaction)
        case "want":
            want = message.want
            return m.Want(want.transaction, tuple(checked_digest(digest) for digest in want.digests), want.last)
        case "welcome":
            return _welcome_in(message.welcome)
        case "reject":
            return _reject_in(message.reject)
        case "plan":
            plan = message.plan
            return m.Plan(plan.transaction, _items_in(plan.items), plan.last, plan.approval)
        case "goodbye":
            return m.Goodbye(*_refusal(message.goodbye.why))
    raise PeerProtocolError("the peer sent a message of a kind that this version does not know; update syncer here")


def _refusal_out(reason: Reason, message: str) -> pb.Refusal:
    return pb.Refusal(reason=reason.value, message=message)  # type: ignore[arg-type]  # Reason has the wire's numbers


def _refusal(refusal: pb.Refusal) -> tuple[Reason, str]:
    return _REASONS.get(refusal.reason, Reason.UNSPECIFIED), _sentence(refusal.message)


def _sentence(text: str) -> str:
    """Return a peer's sentence as it may be shown: short, and without control characters."""
    return "".join(char if char.isprintable() else "?" for char in text[:1024])


def _cursor_out(cursor: Cursor) -> pb.Cursor:
    return pb.Cursor(index_id=cursor.index_id, run=cursor.run, seq=cursor.seq)


def _cursor_in(cursor: pb.Cursor) -> Cursor:
    return checked_cursor(Cursor(cursor.index_id, cursor.run, cursor.seq))


def _term_in(term: pb.Term) -> Term:
    require(term.counter <= 2**62, "a term counter is too large")
    return Term(term.counter, checked_name(term.node_id, "a node id"))


def _problems_in(problems: Iterable[pb.Problem]) -> tuple[Problem, ...]:
    return tuple(Problem("", item.path, _sentence(item.reason)) for item in problems)


def _hello_out(hello: m.Hello) -> pb.Hello:
    return pb.Hello(
        protocol=hello.protocol,
        software=hello.software,
        node_id=hello.node_id,
        node_name=hello.node_name,
        term=pb.Term(counter=hello.term.counter, node_id=hello.term.node_id),
        domain=hello.domain,
        head=_cursor_out(hello.head),
        include=hello.patterns.include,
        exclude=hello.patterns.exclude,
        pattern_hash=hello.pattern_hash,
        rule_hash=hello.rule_hash,
        path_of_nodes=hello.path_of_nodes,
    )


def _hello_in(hello: pb.Hello) -> m.Hello:
    return m.Hello(
        hello.protocol,
        checked_name(hello.software, "a version"),
        checked_name(hello.node_id, "a node id"),
        checked_name(hello.node_name, "a node name"),
        _term_in(hello.term),
        checked_name(hello.domain, "a domain"),
        _cursor_in(hello.head),
        Patterns(tuple(hello.include), tuple(hello.exclude)),
        hello.pattern_hash,
        hello.rule_hash,
        tuple(checked_name(node, "a node id") for node in hello.path_of_nodes),
    )


def _welcome_out(welcome: m.Welcome) -> pb.Welcome:
    return pb.Welcome(
        protocol=welcome.protocol,
        software=welcome.software,
        node_id=welcome.node_id,
        node_name=welcome.node_name,
        term=pb.Term(counter=welcome.term.counter, node_id=welcome.term.node_id),
        cursor=None if welcome.cursor is None else _cursor_out(welcome.cursor),
        pattern_hash=welcome.pattern_hash,
        rule_hash=welcome.rule_hash,
        resumable=welcome.resumable,
        problems=[pb.Problem(path=item.path, reason=item.reason) for item in welcome.problems],
        echoes=welcome.echoes,
    )


def _welcome_in(welcome: pb.Welcome) -> m.Welcome:
    return m.Welcome(
        welcome.protocol,
        checked_name(welcome.software, "a version"),
        checked_name(welcome.node_id, "a node id"),
        checked_name(welcome.node_name, "a node name"),
        _term_in(welcome.term),
        _cursor_in(welcome.cursor) if welcome.HasField("cursor") else None,
        welcome.pattern_hash,
        welcome.rule_hash,
        welcome.resumable,
        _problems_in(welcome.problems),
        welcome.echoes,
    )


def _fill_part(out: pb.Part, part: m.Part) -> None:
    out.transaction = part.transaction
    out.end = part.end
    out.inline.extend(_contents_out(part.inline))
    if part.begin is not None:
        begin = part.begin
        out.begin.CopyFrom(
            pb.Begin(
                kind=pb.TRANSACTION_KIND_FULL if begin.full else pb.TRANSACTION_KIND_PARTIAL,
                to=_cursor_out(begin.end),
                summary=begin.summary,
                entries=begin.entries,
                torn=begin.torn,
                dry_run=begin.dry_run,
                comparison=pb.COMPARISON_BASE if begin.against_base else pb.COMPARISON_DISK,
                approval=begin.approval,
                on_demand=begin.on_demand,
            )
        )
        if begin.start is not None:
            getattr(out.begin, "from").CopyFrom(_cursor_out(begin.start))
    for change in part.changes:
        _add_change(out, change)


def _part_in(part: pb.Part) -> m.Part:
    begin = None
    if part.HasField("begin"):
        found = part.begin
        require(
            found.kind in (pb.TRANSACTION_KIND_PARTIAL, pb.TRANSACTION_KIND_FULL),
            "an unknown transaction kind",
        )
        begin = m.Begin(
            found.kind == pb.TRANSACTION_KIND_FULL,
            _cursor_in(getattr(found, "from")) if found.HasField("from") else None,
            _cursor_in(found.to),
            found.summary,
            found.entries,
            found.torn,
            found.dry_run,
            found.comparison == pb.COMPARISON_BASE,
            found.approval,
            found.on_demand,
        )
    changes = tuple(_change_in(change) for change in part.changes)
    return m.Part(part.transaction, begin, changes, _contents_in(part.inline), part.end)


def _add_change(out: pb.Part, change: Change) -> None:
    entry = change.entry
    if entry is None:
        out.changes.add(seq=change.seq, path=change.path, deleted=True)
        return
    out.changes.add(
        seq=change.seq,
        path=change.path,
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        owner=entry.owner,
        group=entry.group,
        mtime_ns=entry.mtime_ns,
        size=entry.size,
        digest=entry.digest,
        link_target=entry.link_target,
        note=entry.note,
    )


def _change_in(change: pb.Change) -> Change:
    if change.deleted:
        return checked_change(Change(change.seq, change.path, None))
    kind = _KINDS.get(change.kind)
    if kind is None:
        raise PeerProtocolError("the peer sent an entry of a kind that this version does not know")
    entry = Entry(
        change.path,
        kind,
        change.mode,
        change.uid,
        change.gid,
        change.owner,
        change.group,
        change.mtime_ns,
        change.size,
        change.digest,
        change.link_target,
        change.note,
    )
    return checked_change(Change(change.seq, change.path, entry))


def _contents_out(contents: Iterable[m.Content]) -> list[pb.Content]:
    return [pb.Content(digest=c.digest, data=c.data, offset=c.offset, more=c.more) for c in contents]


def _contents_in(contents: Iterable[pb.Content]) -> tuple[m.Content, ...]:
    return tuple(m.Content(checked_digest(c.digest), c.data, c.offset, c.more) for c in contents)


def _items_out(items: Iterable[m.PlanItem]) -> list[pb.PlanItem]:
    return [
        pb.PlanItem(
            path=item.path,
            action=_ACTIONS.index(item.action),  # type: ignore[arg-type]  # positions are the wire's numbers
            kind=item.kind,  # type: ignore[arg-type]  # our Kind has the same numbers as the wire's
            size=item.size,
        )
        for item in items
    ]


def _items_in(items: Iterable[pb.PlanItem]) -> tuple[m.PlanItem, ...]:
    found = []
    for item in items:
        require(0 < item.action < len(_ACTIONS) and item.kind in _KINDS, "a plan item of an unknown kind")
        found.append(m.PlanItem(item.path, _ACTIONS[item.action], _KINDS[item.kind], item.size))
    return tuple(found)


def _reject_out(reject: m.Reject) -> pb.Reject:
    out = pb.Reject(
        transaction=reject.transaction,
        why=_refusal_out(reject.reason, reject.message),
        digests=reject.digests,
    )
    if reject.approval is not None:
        out.approval = reject.approval.id
        out.deletions = reject.approval.deletions
        out.overwrites = reject.approval.overwrites
        out.sample.extend(_items_out(reject.approval.sample))
    return out


def _reject_in(reject: pb.Reject) -> m.Reject:
    approval = None
    if reject.approval:
        approval = m.Approval(reject.approval, reject.deletions, reject.overwrites, _items_in(reject.sample))
    digests = tuple(checked_digest(digest) for digest in reject.digests)
    return m.Reject(reject.transaction, *_refusal(reject.why), approval, digests)
