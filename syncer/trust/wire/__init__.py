"""The only place of the room that knows the protobuf messages: values to bytes and back, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from syncer.errors import PeerProtocolError, Reason
from syncer.model import Term
from syncer.pb import pairing_pb2, sync_pb2
from syncer.trust.token import SECRET_SIZE

PROTOCOL = 1
SERVICE = "syncer.v1.Pairing"
METHOD = "Join"
REFUSAL_TRAILER = "syncer-refusal-bin"
"""Metadata key under which a refused call carries a serialized Refusal, as in replication."""
NAME_MAX = 64

_INVITATION_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A node asks to be pinned."""

    invitation_id: str
    secret: bytes = field(repr=False)
    node_id: str
    node_name: str
    certificate: bytes
    rules: bytes = b""
    """How the joining node renders for this one, encoded; b"": as it is."""


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """Failover says who it is; it has pinned the caller."""

    node_id: str
    node_name: str


def encode_request(request: JoinRequest) -> bytes:
    """Serialize a request to join."""
    return pairing_pb2.JoinRequest(
        protocol=PROTOCOL,
        invitation_id=request.invitation_id,
        secret=request.secret,
        node_id=request.node_id,
        node_name=request.node_name,
        certificate=request.certificate,
        rules=request.rules,
    ).SerializeToString()


def decode_request(data: bytes) -> JoinRequest:
    """Parse and check a request to join. Raises PeerProtocolError (MALFORMED or PROTOCOL_VERSION)."""
    try:
        found = pairing_pb2.JoinRequest.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the request to join cannot be read; update syncer on both nodes") from error
    if found.protocol != PROTOCOL:
        raise PeerProtocolError(
            f"the node speaks version {found.protocol} of pairing, this one {PROTOCOL}; update the older",
            Reason.PROTOCOL_VERSION,
        )
    if not _INVITATION_ID.fullmatch(found.invitation_id) or len(found.secret) != SECRET_SIZE:
        raise PeerProtocolError("the request to join holds no whole token; copy the token again")
    name = checked_name(found.node_name)
    return JoinRequest(found.invitation_id, found.secret, found.node_id, name, found.certificate, found.rules)


def encode_answer(answer: JoinAnswer) -> bytes:
    """Serialize the answer to a join."""
    return pairing_pb2.JoinAnswer(node_id=answer.node_id, node_name=answer.node_name).SerializeToString()


def decode_answer(data: bytes) -> JoinAnswer:
    """Parse and check the answer to a join. Raises PeerProtocolError."""
    try:
        found = pairing_pb2.JoinAnswer.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the answer to the join cannot be read; update syncer on both nodes") from error
    return JoinAnswer(found.node_id, checked_name(found.node_name))


def refusal_trailer(reason: Reason, message: str, term: Term | None = None) -> tuple[tuple[str, bytes]]:
    """Return the trailing metadata of a call that is refused; `term` is the highest one seen, where it matters."""
    refusal = sync_pb2.Refusal(reason=sync_pb2.Reason.ValueType(reason.value), message=message)
    if term is not None:
        refusal.term.CopyFrom(sync_pb2.Term(counter=term.counter, node_id=term.node_id))
    return ((REFUSAL_TRAILER, refusal.SerializeToString()),)


def checked_name(name: str) -> str:
    """Return a peer's name for itself; it comes into logs and terminals. Raises PeerProtocolError."""
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise PeerProtocolError(
            f"a node's name must have 1 to {NAME_MAX} printable characters; correct node.name there"
        )
    return name
