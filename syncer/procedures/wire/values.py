"""The small parts of procedures' messages: speakers, refusals, documents, names, as protobuf and back, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from syncer.errors import PeerProtocolError
from syncer.model import TERM_COUNTER_MAX, Mode, Term
from syncer.pb import procedures_pb2 as pb
from syncer.pb import sync_pb2
from syncer.procedures import messages as m
from syncer.procedures.steps import StepState

PARAMETERS_MAX = 64 * 1024
RESULT_MAX = 1024 * 1024
"""Bytes of a JSON document."""
SENTENCE_MAX = 4096
NAME_MAX = 64
STEPS_MAX = 256

_ID = re.compile(r"[0-9a-f]{32}")
_STEP = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NODE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

E = TypeVar("E", bound=Enum)
M = TypeVar("M", bound=Message)


class _Spoken(Protocol):
    """A message that says who speaks."""

    @property
    def speaker(self) -> pb.Speaker:
        """Who speaks."""


def encode_document(document: Mapping[str, Any], limit: int, what: str) -> str:
    """Return `document` as JSON of at most `limit` bytes. PeerProtocolError where it is larger or no JSON."""
    try:
        # ASCII, so that characters are bytes, and undecodable bytes of a path survive as escapes.
        text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise PeerProtocolError(f"{what} cannot be written as JSON ({error}): a fault in syncer") from error
    if len(text) > limit:
        raise PeerProtocolError(f"{what} has {len(text):,} bytes, and only {limit:,} can be sent")
    return text


def parsed(kind: type[M], data: bytes) -> M:
    """Return the message in these bytes. Like every reading here it raises PeerProtocolError (MALFORMED)."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no message of a procedure") from error


def speaker_out(speaker: m.Speaker) -> pb.Speaker:
    """Return who speaks as protobuf."""
    term = sync_pb2.Term(counter=speaker.term.counter, node_id=speaker.term.node_id)
    return pb.Speaker(node_id=speaker.node_id, node_name=speaker.node_name, term=term, mode=speaker.mode.value)


def speaker_in(message: _Spoken) -> m.Speaker:
    """Return who speaks, checked."""
    found = message.speaker
    term = Term(found.term.counter, found.term.node_id)
    if not _NODE_ID.fullmatch(found.node_id):
        raise PeerProtocolError("the peer does not say which node it is")
    if not found.node_name or len(found.node_name) > NAME_MAX or not found.node_name.isprintable():
        raise PeerProtocolError("the peer's name is none: correct node.name there")
    # Before the first promotion of all there is none: (0, "").
    is_none = term == (0, "")
    if not is_none and not (0 < term.counter <= TERM_COUNTER_MAX and _NODE_ID.fullmatch(term.node_id)):
        raise PeerProtocolError("the peer says a term that cannot be")
    return m.Speaker(found.node_id, found.node_name, term, member_in(Mode, found.mode))


def refusal_out(refusal: m.Refusal) -> pb.Refused:
    """Return a refusal as protobuf."""
    return pb.Refused(why=pb.Why.ValueType(refusal.why.value), message=sentence_out(refusal.message))


def refusal_in(found: pb.Refused) -> m.Refusal:
    """Return a refusal; a reason that is not known here is none."""
    try:
        why = m.Why(found.why)
    except ValueError:
        why = m.Why.UNSPECIFIED
    return m.Refusal(why, sentence_in(found.message) or "the peer refused and did not say why")


def standing_out(standing: m.Standing) -> list[pb.StepStanding]:
    """Return the states of steps as protobuf."""
    return [pb.StepStanding(name=name, state=state.value) for name, state in standing.items()]


def standing_in(found: Iterable[pb.StepStanding]) -> m.Standing:
    """Return the states of steps, checked."""
    items = list(found)
    if len(items) > STEPS_MAX:
        raise PeerProtocolError(f"the peer sent {len(items)} steps, and at most {STEPS_MAX} can be")
    return {name_in(item.name): member_in(StepState, item.state) for item in items}


def document_in(text: str, limit: int) -> dict[str, Any]:
    """Return a JSON object of at most `limit` bytes."""
    if len(text.encode()) > limit:
        raise PeerProtocolError(f"the peer sent a document of more than {limit:,} bytes")
    try:
        found = json.loads(text or "{}", parse_constant=_no_constant)
        # What nests too deep to be written again must not come into the journal.
        json.dumps(found)
    except (ValueError, RecursionError) as error:
        raise PeerProtocolError("the peer sent a document that is not JSON") from error
    if not isinstance(found, dict):
        raise PeerProtocolError("the peer sent a document that is not a JSON object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def id_in(text: str) -> str:
    """Return the id of a procedure."""
    if not _ID.fullmatch(text):
        raise PeerProtocolError("the peer names a procedure by what is no id")
    return text


def name_in(text: str) -> str:
    """Return the name of a step or of a kind of procedure."""
    if not _STEP.fullmatch(text):
        raise PeerProtocolError("the peer names a step or a kind of procedure by what is no name")
    return text


def member_in(kind: type[E], text: str) -> E:
    """Return the member of `kind` that has this value."""
    try:
        return kind(text)
    except ValueError as error:
        raise PeerProtocolError(
            f"the peer says {text[:NAME_MAX]!a}, which this version does not know; update the older one"
        ) from error


def sentence_in(text: str) -> str:
    """Return a sentence that is not too long."""
    if len(text) > SENTENCE_MAX:
        raise PeerProtocolError(f"the peer sent a sentence of more than {SENTENCE_MAX} characters")
    return text


def sentence_out(text: str) -> str:
    """Return `text` as it can be sent: bounded, undecodable bytes written out as escapes."""
    sendable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return sendable if len(sendable) <= SENTENCE_MAX else f"{sendable[: SENTENCE_MAX - 1]}…"
