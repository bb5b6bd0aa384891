"""The messages of introductions: values to bytes and back, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from syncer.errors import PeerProtocolError, Reason
from syncer.model import TERM_COUNTER_MAX, Term
from syncer.pb import introductions_pb2 as pb
from syncer.pb import sync_pb2
from syncer.state.introductions import Door
from syncer.trust.introductions import Signed
from syncer.trust.wire import PROTOCOL

SERVICE = "syncer.v1.Introductions"
STATEMENTS_MAX = 256
SENTENCE_MAX = 4096


class Told(NamedTuple):
    """What one node tells another of others."""

    statements: tuple[Signed, ...]
    door_certificate: bytes
    door_key: bytes
    """b"": it gives none."""
    term: Term | None


class Answered(NamedTuple):
    """What became of it."""

    node_id: str
    term: Term | None
    refusals: tuple[str, ...]
    """One a statement; "": it was taken, or was known."""
    has_door: bool = False
    """The door was taken, or was known."""


def encode_told(statements: Sequence[Signed], door: Door | None = None, term: Term | None = None) -> bytes:
    """Serialize statements, with the caller's door and term where it is a pinned node."""
    out = pb.Statements(protocol=PROTOCOL)
    out.statements.extend(pb.Statement(body=item.body, signature=item.signature) for item in statements)
    if door is not None:
        out.door.CopyFrom(pb.Door(certificate=door.certificate_pem, key=door.key_pem))
    if term is not None:
        out.term.CopyFrom(sync_pb2.Term(counter=term.counter, node_id=term.node_id))
    return out.SerializeToString()


def decode_told(data: bytes) -> Told:
    """Parse and check statements, which prove nothing yet. Raises PeerProtocolError."""
    try:
        found = pb.Statements.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no statements; update syncer on both nodes") from error
    if found.protocol != PROTOCOL:
        raise PeerProtocolError(
            f"the peer speaks version {found.protocol} of introductions, this node {PROTOCOL}; update the older",
            Reason.PROTOCOL_VERSION,
        )
    if len(found.statements) > STATEMENTS_MAX:
        raise PeerProtocolError(
            f"the peer sent {len(found.statements)} statements, and at most {STATEMENTS_MAX} can be"
        )
    statements = tuple(Signed(item.body, item.signature) for item in found.statements)
    term = _term(found.term) if found.HasField("term") else None
    return Told(statements, found.door.certificate, found.door.key, term)


def encode_answered(answered: Answered) -> bytes:
    """Serialize the answer."""
    out = pb.Verdicts(node_id=answered.node_id, has_door=answered.has_door)
    out.refusals.extend(text[:SENTENCE_MAX].encode("utf-8", "replace").decode() for text in answered.refusals)
    if answered.term is not None:
        out.term.CopyFrom(sync_pb2.Term(counter=answered.term.counter, node_id=answered.term.node_id))
    return out.SerializeToString()


def decode_answered(data: bytes) -> Answered:
    """Parse and check the answer. Raises PeerProtocolError."""
    try:
        found = pb.Verdicts.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer answered bytes that are no verdicts; update syncer on both nodes") from error
    refusals = tuple(text[:SENTENCE_MAX] for text in found.refusals[:STATEMENTS_MAX])
    term = _term(found.term) if found.HasField("term") else None
    return Answered(found.node_id, term, refusals, found.has_door)


def _term(found: sync_pb2.Term) -> Term:
    if not (0 <= found.counter <= TERM_COUNTER_MAX and len(found.node_id) <= 36):
        raise PeerProtocolError("the peer says a term that cannot be")
    return Term(found.counter, found.node_id)
