"""The only place of the room that knows the protobuf messages: values to bytes and back, checked."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from syncer.errors import PeerProtocolError, Reason
from syncer.model import Term
from syncer.pb import sync_pb2 as pb
from syncer.replicate import messages as m
from syncer.replicate.checks import checked_digest, checked_path
from syncer.replicate.framing import framed_contents
from syncer.replicate.wire.handshake import hello_in, hello_out, welcome_in, welcome_out
from syncer.replicate.wire.transaction import contents_in, fill_part, part_in, reject_in, reject_out
from syncer.replicate.wire.values import (
    cursor_in,
    cursor_out,
    items_in,
    items_out,
    problems_in,
    refusal_in,
    refusal_out,
    refused_term,
    sentence,
)

METHOD = "/syncer.v1.Sync/Replicate"
SERVICE = "syncer.v1.Sync"
REFUSAL_TRAILER = "syncer-refusal-bin"
"""Metadata key under which a refused call carries a serialized Refusal."""


def refusal_bytes(reason: Reason, message: str, term: Term | None = None) -> bytes:
    """Return a Refusal for the trailer of a call that is ended."""
    return refusal_out(reason, message, term).SerializeToString()


def parse_refusal(data: bytes) -> tuple[Reason, str, Term | None]:
    """Return reason, sentence and term of a trailer's Refusal; an unknown reason counts as UNSPECIFIED."""
    try:
        refusal = pb.Refusal.FromString(data)
    except DecodeError:
        return Reason.UNSPECIFIED, "the peer refused in a form that cannot be read", None
    return *refusal_in(refusal), refused_term(refusal)


def encode_from_production(message: m.FromProduction) -> bytes:
    """Serialize one of production's messages."""
    out = pb.FromProduction()
    match message:
        case m.Part():
            fill_part(out.part, message)
        case m.Contents():
            return framed_contents(message)
        case m.Heartbeat():
            out.heartbeat.CopyFrom(pb.Heartbeat(**message._asdict()))
        case m.Hello():
            out.hello.CopyFrom(hello_out(message))
        case m.Abandon():
            out.abandon.transaction = message.transaction
            out.abandon.why.CopyFrom(refusal_out(message.reason, message.message))
        case m.Goodbye():
            out.goodbye.why.CopyFrom(refusal_out(message.reason, message.message))
    return out.SerializeToString()


def decode_from_production(data: bytes) -> m.FromProduction:
    """Parse and check one of production's messages; PeerProtocolError(MALFORMED) where it is not one."""
    try:
        message = pb.FromProduction.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no message of the protocol") from error
    match message.WhichOneof("body"):
        case "part":
            return part_in(message.part)
        case "contents":
            found = message.contents
            return m.Contents(found.transaction, contents_in(found.contents), found.last)
        case "heartbeat":
            beat = message.heartbeat
            return m.Heartbeat(beat.sent_unix_ns, beat.head_seq, beat.oldest_seconds, beat.changes_behind)
        case "hello":
            return hello_in(message.hello)
        case "abandon":
            return m.Abandon(message.abandon.transaction, *refusal_in(message.abandon.why))
        case "goodbye":
            return m.Goodbye(*refusal_in(message.goodbye.why))
    raise PeerProtocolError("the peer sent a message of a kind that this version does not know; update syncer here")


def encode_from_failover(message: m.FromFailover) -> bytes:
    """Serialize one of failover's messages."""
    out = pb.FromFailover()
    match message:
        case m.Ack():
            out.ack.CopyFrom(
                pb.Ack(
                    transaction=message.transaction,
                    cursor=cursor_out(message.cursor),
                    changes=message.changes,
                    bytes=message.bytes,
                    seconds=message.seconds,
                    generation=message.generation,
                    problems=[pb.Problem(path=item.path, reason=item.reason) for item in message.problems],
                    kept_local=message.kept_local,
                )
            )
        case m.HeartbeatAnswer():
            out.heartbeat.CopyFrom(pb.HeartbeatAnswer(**message._asdict()))
        case m.WantEntries():
            out.want_entries.transaction = message.transaction
        case m.Want():
            out.want.CopyFrom(pb.Want(**message._asdict()))
        case m.Welcome():
            out.welcome.CopyFrom(welcome_out(message))
        case m.Reject():
            out.reject.CopyFrom(reject_out(message))
        case m.Plan():
            out.plan.CopyFrom(
                pb.Plan(
                    transaction=message.transaction,
                    items=items_out(message.items),
                    last=message.last,
                    approval=message.approval,
                )
            )
        case m.Goodbye():
            out.goodbye.why.CopyFrom(refusal_out(message.reason, message.message))
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
            cursor = cursor_in(ack.cursor)
            problems = problems_in(ack.problems)
            kept = tuple(checked_path(path) for path in ack.kept_local)
            return m.Ack(ack.transaction, cursor, ack.changes, ack.bytes, ack.seconds, ack.generation, problems, kept)
        case "heartbeat":
            beat = message.heartbeat
            return m.HeartbeatAnswer(
                beat.sent_unix_ns,
                beat.received_unix_ns,
                sentence(beat.unavailable),
                beat.drift,
                beat.wants_full,
                beat.examined,
                beat.rolled_back,
                sentence(beat.service),
            )
        case "want_entries":
            return m.WantEntries(message.want_entries.transaction)
        case "want":
            want = message.want
            return m.Want(want.transaction, tuple(checked_digest(digest) for digest in want.digests), want.last)
        case "welcome":
            return welcome_in(message.welcome)
        case "reject":
            return reject_in(message.reject)
        case "plan":
            plan = message.plan
            return m.Plan(plan.transaction, items_in(plan.items), plan.last, plan.approval)
        case "goodbye":
            return m.Goodbye(*refusal_in(message.goodbye.why))
    raise PeerProtocolError("the peer sent a message of a kind that this version does not know; update syncer here")
