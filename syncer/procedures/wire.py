"""The only place of the room that knows the protobuf messages: values to bytes and back, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from syncer.errors import PeerProtocolError
from syncer.model import Mode, Term
from syncer.pb import procedures_pb2 as pb
from syncer.pb import sync_pb2
from syncer.procedures import messages as m
from syncer.procedures.steps import Outcome, StepState

SERVICE = "syncer.v1.Procedures"

PARAMETERS_MAX = 64 * 1024
RESULT_MAX = 1024 * 1024
"""Bytes of a JSON document."""
SENTENCE_MAX = 4096
NAME_MAX = 64
STEPS_MAX = 256
COUNTER_MAX = 2**63 - 1
"""What node.db can hold."""

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


def encode_knock(speaker: m.Speaker) -> bytes:
    """Serialize a knock."""
    return pb.KnockRequest(speaker=_speaker_out(speaker)).SerializeToString()


def decode_knock(data: bytes) -> m.Speaker:
    """Parse and check a knock. Like every decoding here it raises PeerProtocolError (MALFORMED)."""
    return _speaker_in(_parsed(pb.KnockRequest, data))


def encode_knock_answer(speaker: m.Speaker) -> bytes:
    """Serialize the answer to a knock."""
    return pb.KnockAnswer(speaker=_speaker_out(speaker)).SerializeToString()


def decode_knock_answer(data: bytes) -> m.Speaker:
    """Parse and check the answer to a knock."""
    return _speaker_in(_parsed(pb.KnockAnswer, data))


def encode_proposal(speaker: m.Speaker, proposal: m.Proposal) -> bytes:
    """Serialize a proposal."""
    return pb.ProposeRequest(
        speaker=_speaker_out(speaker),
        procedure=proposal.procedure,
        kind=proposal.kind,
        parameters_json=encode_document(proposal.parameters, PARAMETERS_MAX, "what the procedure was given"),
    ).SerializeToString()


def decode_proposal(data: bytes) -> tuple[m.Speaker, m.Proposal]:
    """Parse and check a proposal."""
    found = _parsed(pb.ProposeRequest, data)
    parameters = _document(found.parameters_json, PARAMETERS_MAX)
    return _speaker_in(found), m.Proposal(_id(found.procedure), _name(found.kind), parameters)


def encode_order(speaker: m.Speaker, order: m.Order) -> bytes:
    """Serialize an order."""
    return pb.OrderRequest(
        speaker=_speaker_out(speaker),
        procedure=order.procedure,
        step=order.step,
        action=order.action.value,
        parameters_json=encode_document(order.parameters, PARAMETERS_MAX, f"what {order.step} is ordered with"),
        standing=_standing_out(order.standing),
    ).SerializeToString()


def decode_order(data: bytes) -> tuple[m.Speaker, m.Order]:
    """Parse and check an order."""
    found = _parsed(pb.OrderRequest, data)
    action = _member(m.Action, found.action)
    parameters = _document(found.parameters_json, PARAMETERS_MAX)
    order = m.Order(_id(found.procedure), _name(found.step), action, parameters, _standing_in(found.standing))
    return _speaker_in(found), order


def encode_order_event(speaker: m.Speaker, event: m.Progress | m.Ending | m.Refusal) -> bytes:
    """Serialize one event of an order."""
    out = pb.OrderEvent(speaker=_speaker_out(speaker))
    match event:
        case m.Progress():
            out.progress.CopyFrom(pb.Progress(text=_sentence(event.text), done=event.done, total=event.total))
        case m.Done():
            document = encode_document(event.result, RESULT_MAX, "the result of the step")
            out.outcome.CopyFrom(pb.StepOutcome(done=True, result_json=document, begun=True))
        case m.Failed():
            reason = _sentence(event.reason)
            out.outcome.CopyFrom(pb.StepOutcome(reason=reason, again=event.again, begun=event.begun))
        case m.Refusal():
            out.refused.CopyFrom(_refusal_out(event))
    return out.SerializeToString()


def decode_order_event(data: bytes) -> tuple[m.Speaker, m.Progress | m.Ending | m.Refusal]:
    """Parse and check one event of an order."""
    found = _parsed(pb.OrderEvent, data)
    speaker = _speaker_in(found)
    match found.WhichOneof("body"):
        case "progress":
            told = found.progress
            return speaker, m.Progress(_checked_sentence(told.text), told.done, told.total)
        case "outcome":
            outcome = found.outcome
            if outcome.done:
                return speaker, m.Done(_document(outcome.result_json, RESULT_MAX))
            return speaker, m.Failed(_checked_sentence(outcome.reason), outcome.again, outcome.begun)
        case "refused":
            return speaker, _refusal_in(found.refused)
    raise PeerProtocolError("the peer sent an event of a kind that this version does not know; update syncer here")


def encode_end(speaker: m.Speaker, end: m.End) -> bytes:
    """Serialize the end of a procedure."""
    return pb.EndRequest(
        speaker=_speaker_out(speaker),
        procedure=end.procedure,
        outcome=end.outcome.value,
        reason=_sentence(end.reason),
        report_json=encode_document(end.report, RESULT_MAX, "the report of the procedure"),
        standing=_standing_out(end.standing),
    ).SerializeToString()


def decode_end(data: bytes) -> tuple[m.Speaker, m.End]:
    """Parse and check the end of a procedure."""
    found = _parsed(pb.EndRequest, data)
    outcome = _member(Outcome, found.outcome)
    if outcome is Outcome.OPEN:
        raise PeerProtocolError("the peer ended a procedure as open")
    reason, report = _checked_sentence(found.reason), _document(found.report_json, RESULT_MAX)
    return _speaker_in(found), m.End(_id(found.procedure), outcome, reason, report, _standing_in(found.standing))


def encode_abort(speaker: m.Speaker, wish: m.AbortWish) -> bytes:
    """Serialize an operator's wish to abort."""
    request = pb.AbortRequest(speaker=_speaker_out(speaker), procedure=wish.procedure, reason=_sentence(wish.reason))
    return request.SerializeToString()


def decode_abort(data: bytes) -> tuple[m.Speaker, m.AbortWish]:
    """Parse and check an operator's wish to abort."""
    found = _parsed(pb.AbortRequest, data)
    return _speaker_in(found), m.AbortWish(_id(found.procedure), _checked_sentence(found.reason))


def encode_state_request(speaker: m.Speaker, procedure: str) -> bytes:
    """Serialize the question where a procedure stands."""
    return pb.StateRequest(speaker=_speaker_out(speaker), procedure=procedure).SerializeToString()


def decode_state_request(data: bytes) -> tuple[m.Speaker, str]:
    """Parse and check the question where a procedure stands."""
    found = _parsed(pb.StateRequest, data)
    return _speaker_in(found), _id(found.procedure)


def encode_state_answer(speaker: m.Speaker, answer: m.StandingOf | m.Refusal) -> bytes:
    """Serialize where a procedure stands."""
    out = pb.StateAnswer(speaker=_speaker_out(speaker))
    if isinstance(answer, m.Refusal):
        out.refused.CopyFrom(_refusal_out(answer))
        return out.SerializeToString()
    out.outcome, out.reason = answer.outcome.value, _sentence(answer.reason)
    out.report_json = encode_document(answer.report, RESULT_MAX, "the report of the procedure")
    out.standing.extend(_standing_out(answer.standing))
    return out.SerializeToString()


def decode_state_answer(data: bytes) -> tuple[m.Speaker, m.StandingOf | m.Refusal]:
    """Parse and check where a procedure stands."""
    found = _parsed(pb.StateAnswer, data)
    speaker = _speaker_in(found)
    if found.HasField("refused"):
        return speaker, _refusal_in(found.refused)
    outcome, reason = _member(Outcome, found.outcome), _checked_sentence(found.reason)
    report = _document(found.report_json, RESULT_MAX)
    return speaker, m.StandingOf(outcome, reason, report, _standing_in(found.standing))


def encode_answer(speaker: m.Speaker, refusal: m.Refusal | None) -> bytes:
    """Serialize the answer to a proposal, an end or a wish to abort; None: accepted."""
    out = pb.Answer(speaker=_speaker_out(speaker))
    if refusal is not None:
        out.refused.CopyFrom(_refusal_out(refusal))
    return out.SerializeToString()


def decode_answer(data: bytes) -> tuple[m.Speaker, m.Refusal | None]:
    """Parse and check such an answer."""
    found = _parsed(pb.Answer, data)
    return _speaker_in(found), _refusal_in(found.refused) if found.HasField("refused") else None


def _parsed(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise PeerProtocolError("the peer sent bytes that are no message of a procedure") from error


def _speaker_out(speaker: m.Speaker) -> pb.Speaker:
    term = sync_pb2.Term(counter=speaker.term.counter, node_id=speaker.term.node_id)
    return pb.Speaker(node_id=speaker.node_id, node_name=speaker.node_name, term=term, mode=speaker.mode.value)


def _speaker_in(message: _Spoken) -> m.Speaker:
    found = message.speaker
    term = Term(found.term.counter, found.term.node_id)
    if not _NODE_ID.fullmatch(found.node_id):
        raise PeerProtocolError("the peer does not say which node it is")
    if not found.node_name or len(found.node_name) > NAME_MAX or not found.node_name.isprintable():
        raise PeerProtocolError("the peer's name is none: correct node.name there")
    # Before the first promotion of all there is none: (0, "").
    is_none = term == (0, "")
    if not is_none and not (0 < term.counter <= COUNTER_MAX and _NODE_ID.fullmatch(term.node_id)):
        raise PeerProtocolError("the peer says a term that cannot be")
    return m.Speaker(found.node_id, found.node_name, term, _member(Mode, found.mode))


def _refusal_out(refusal: m.Refusal) -> pb.Refused:
    return pb.Refused(why=pb.Why.ValueType(refusal.why.value), message=_sentence(refusal.message))


def _refusal_in(found: pb.Refused) -> m.Refusal:
    try:
        why = m.Why(found.why)
    except ValueError:
        why = m.Why.UNSPECIFIED
    return m.Refusal(why, _checked_sentence(found.message) or "the peer refused and did not say why")


def _standing_out(standing: m.Standing) -> list[pb.StepStanding]:
    return [pb.StepStanding(name=name, state=state.value) for name, state in standing.items()]


def _standing_in(found: Iterable[pb.StepStanding]) -> m.Standing:
    items = list(found)
    if len(items) > STEPS_MAX:
        raise PeerProtocolError(f"the peer sent {len(items)} steps, and at most {STEPS_MAX} can be")
    return {_name(item.name): _member(StepState, item.state) for item in items}


def _document(text: str, limit: int) -> dict[str, Any]:
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


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise PeerProtocolError("the peer names a procedure by what is no id")
    return text


def _name(text: str) -> str:
    if not _STEP.fullmatch(text):
        raise PeerProtocolError("the peer names a step or a kind of procedure by what is no name")
    return text


def _member(kind: type[E], text: str) -> E:
    try:
        return kind(text)
    except ValueError as error:
        raise PeerProtocolError(
            f"the peer says {text[:NAME_MAX]!a}, which this version does not know; update the older one"
        ) from error


def _checked_sentence(text: str) -> str:
    if len(text) > SENTENCE_MAX:
        raise PeerProtocolError(f"the peer sent a sentence of more than {SENTENCE_MAX} characters")
    return text


def _sentence(text: str) -> str:
    """Return `text` as it can be sent: bounded, undecodable bytes written out as escapes."""
    sendable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return sendable if len(sendable) <= SENTENCE_MAX else f"{sendable[: SENTENCE_MAX - 1]}…"
