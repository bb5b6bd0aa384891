"""What a transaction is made of, as protobuf and back, checked: its opening, changes, contents, rejection."""

from __future__ import annotations

from collections.abc import Iterable

from syncer.errors import CommandFailure, PeerProtocolError
from syncer.model import Change, Entry
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate.checks import MAXIMUM_NUMBER, checked_change, checked_digest, require
from syncer.replicate.wire.values import (
    KINDS,
    cursor_in,
    cursor_out,
    items_in,
    items_out,
    lines,
    refusal_in,
    refusal_out,
    sentence,
)


def fill_part(out: pb.Part, part: m.Part) -> None:
    """Put a piece of a transaction into `out`."""
    out.transaction = part.transaction
    out.end = part.end
    out.inline.extend(contents_out(part.inline))
    if part.begin is not None:
        begin = part.begin
        out.begin.CopyFrom(
            pb.Begin(
                kind=pb.TRANSACTION_KIND_FULL if begin.full else pb.TRANSACTION_KIND_PARTIAL,
                to=cursor_out(begin.end),
                summary=begin.summary,
                entries=begin.entries,
                torn=begin.torn,
                dry_run=begin.dry_run,
                comparison=comparison_out(begin),
                approval=begin.approval,
                on_demand=begin.on_demand,
                deletions_approved=begin.deletions_approved,
                resume=begin.resume,
                offer=begin.offer,
            )
        )
        if begin.start is not None:
            getattr(out.begin, "from").CopyFrom(cursor_out(begin.start))
    for change in part.changes:
        add_change(out, change)


def part_in(part: pb.Part) -> m.Part:
    """Return a piece of a transaction, checked; PeerProtocolError."""
    begin = None
    if part.HasField("begin"):
        found = part.begin
        require(
            found.kind in (pb.TRANSACTION_KIND_PARTIAL, pb.TRANSACTION_KIND_FULL),
            "an unknown transaction kind",
        )
        begin = m.Begin(
            found.kind == pb.TRANSACTION_KIND_FULL,
            cursor_in(getattr(found, "from")) if found.HasField("from") else None,
            cursor_in(found.to),
            found.summary,
            found.entries,
            found.torn,
            found.dry_run,
            found.comparison == pb.COMPARISON_BASE,
            found.approval,
            found.on_demand,
            found.comparison == pb.COMPARISON_BYTES,
            found.deletions_approved,
            found.resume,
            found.offer,
        )
    changes = tuple(change_in(change) for change in part.changes)
    return m.Part(part.transaction, begin, changes, contents_in(part.inline), part.end)


def comparison_out(begin: m.Begin) -> pb.Comparison.ValueType:
    """Return what a full synchronization is compared with."""
    if begin.reread:
        return pb.COMPARISON_BYTES
    return pb.COMPARISON_BASE if begin.against_base else pb.COMPARISON_DISK


def add_change(out: pb.Part, change: Change) -> None:
    """Append one change to `out`; called once a path."""
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
        attributes=entry.attributes,
        link=entry.link,
        origin=entry.origin,
    )


def change_out(change: Change) -> pb.Change:
    """Return one change as protobuf."""
    out = pb.Part()
    add_change(out, change)
    return out.changes[0]


def change_in(change: pb.Change) -> Change:
    """Return one change, checked; PeerProtocolError."""
    if change.deleted:
        return checked_change(Change(change.seq, change.path, None))
    kind = KINDS.get(change.kind)
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
        change.attributes,
        change.link,
        change.origin,
    )
    return checked_change(Change(change.seq, change.path, entry))


def contents_out(contents: Iterable[m.Content]) -> list[pb.Content]:
    """Return contents as protobuf."""
    return [pb.Content(digest=c.digest, data=c.data, offset=c.offset, more=c.more) for c in contents]


def contents_in(contents: Iterable[pb.Content]) -> tuple[m.Content, ...]:
    """Return contents, checked; PeerProtocolError."""
    return tuple(m.Content(checked_digest(c.digest), c.data, c.offset, c.more) for c in contents)


def reject_out(reject: m.Reject) -> pb.Reject:
    """Return a rejection as protobuf."""
    out = pb.Reject(
        transaction=reject.transaction,
        why=refusal_out(reject.reason, reject.message),
        digests=reject.digests,
        output=reject.failure.output,
        command=reject.failure.command,
        exit=reject.failure.exit,
        seconds=reject.failure.seconds,
    )
    if reject.approval is not None:
        out.approval = reject.approval.id
        out.deletions = reject.approval.deletions
        out.overwrites = reject.approval.overwrites
        out.sample.extend(items_out(reject.approval.sample))
    return out


def reject_in(reject: pb.Reject) -> m.Reject:
    """Return a rejection, checked; PeerProtocolError."""
    approval = None
    if reject.approval:
        approval = m.Approval(reject.approval, reject.deletions, reject.overwrites, items_in(reject.sample))
    digests = tuple(checked_digest(digest) for digest in reject.digests)
    require(0.0 <= reject.seconds <= MAXIMUM_NUMBER, "a check ran for no time that can be")
    failure = CommandFailure(sentence(reject.command), sentence(reject.exit), reject.seconds, lines(reject.output))
    return m.Reject(reject.transaction, *refusal_in(reject.why), approval, digests, failure)
