"""The only place of the room that knows the protobuf messages: values to bytes and back, checked."""

from __future__ import annotations

from syncer.errors import PeerProtocolError
from syncer.pb import procedures_pb2 as pb
from syncer.procedures import messages as m
from syncer.procedures.steps import Outcome
from syncer.procedures.wire.values import (
    PARAMETERS_MAX,
    RESULT_MAX,
    SENTENCE_MAX,
    document_in,
    encode_document,
    id_in,
    member_in,
    name_in,
    parsed,
    refusal_in,
    refusal_out,
    sentence_in,
    sentence_out,
    speaker_in,
    speaker_out,
    standing_in,
    standing_out,
)

__all__ = ["PARAMETERS_MAX", "RESULT_MAX", "SENTENCE_MAX", "encode_document"]

SERVICE = "syncer.v1.Procedures"


def encode_knock(speaker: m.Speaker) -> bytes:
    """Serialize a knock."""
    return pb.KnockRequest(speaker=speaker_out(speaker)).SerializeToString()


def decode_knock(data: bytes) -> m.Speaker:
    """Parse and check a knock. Like every decoding here it raises PeerProtocolError (MALFORMED)."""
    return speaker_in(parsed(pb.KnockRequest, data))


def encode_knock_answer(speaker: m.Speaker) -> bytes:
    """Serialize the answer to a knock."""
    return pb.KnockAnswer(speaker=speaker_out(speaker)).SerializeToString()


def decode_knock_answer(data: bytes) -> m.Speaker:
    """Parse and check the answer to a knock."""
    return speaker_in(parsed(pb.KnockAnswer, data))


def encode_proposal(speaker: m.Speaker, proposal: m.Proposal) -> bytes:
    """Serialize a proposal."""
    return pb.ProposeRequest(
        speaker=speaker_out(speaker),
        procedure=proposal.procedure,
        kind=proposal.kind,
        parameters_json=encode_document(proposal.parameters, PARAMETERS_MAX, "what the procedure was given"),
    ).SerializeToString()


def decode_proposal(data: bytes) -> tuple[m.Speaker, m.Proposal]:
    """Parse and check a proposal."""
    found = parsed(pb.ProposeRequest, data)
    parameters = document_in(found.parameters_json, PARAMETERS_MAX)
    return speaker_in(found), m.Proposal(id_in(found.procedure), name_in(found.kind), parameters)


def encode_order(speaker: m.Speaker, order: m.Order) -> bytes:
    """Serialize an order."""
    return pb.OrderRequest(
        speaker=speaker_out(speaker),
        procedure=order.procedure,
        step=order.step,
        action=order.action.value,
        parameters_json=encode_document(order.parameters, PARAMETERS_MAX, f"what {order.step} is ordered with"),
        standing=standing_out(order.standing),
    ).SerializeToString()


def decode_order(data: bytes) -> tuple[m.Speaker, m.Order]:
    """Parse and check an order."""
    found = parsed(pb.OrderRequest, data)
    action = member_in(m.Action, found.action)
    parameters = document_in(found.parameters_json, PARAMETERS_MAX)
    order = m.Order(id_in(found.procedure), name_in(found.step), action, parameters, standing_in(found.standing))
    return speaker_in(found), order


def encode_order_event(speaker: m.Speaker, event: m.Progress | m.Ending | m.Refusal) -> bytes:
    """Serialize one event of an order."""
    out = pb.OrderEvent(speaker=speaker_out(speaker))
    match event:
        case m.Progress():
            out.progress.CopyFrom(pb.Progress(text=sentence_out(event.text), done=event.done, total=event.total))
        case m.Done():
            document = encode_document(event.result, RESULT_MAX, "the result of the step")
            out.outcome.CopyFrom(pb.StepOutcome(done=True, result_json=document, begun=True))
        case m.Failed():
            reason = sentence_out(event.reason)
            out.outcome.CopyFrom(pb.StepOutcome(reason=reason, again=event.again, begun=event.begun))
        case m.Refusal():
            out.refused.CopyFrom(refusal_out(event))
    return out.SerializeToString()


def decode_order_event(data: bytes) -> tuple[m.Speaker, m.Progress | m.Ending | m.Refusal]:
    """Parse and check one event of an order."""
    found = parsed(pb.OrderEvent, data)
    speaker = speaker_in(found)
    match found.WhichOneof("body"):
        case "progress":
            told = found.progress
            return speaker, m.Progress(sentence_in(told.text), told.done, told.total)
        case "outcome":
            outcome = found.outcome
            if outcome.done:
                return speaker, m.Done(document_in(outcome.result_json, RESULT_MAX))
            return speaker, m.Failed(sentence_in(outcome.reason), outcome.again, outcome.begun)
        case "refused":
            return speaker, refusal_in(found.refused)
    raise PeerProtocolError("the peer sent an event of a kind that this version does not know; update syncer here")


def encode_end(speaker: m.Speaker, end: m.End) -> bytes:
    """Serialize the end of a procedure."""
    return pb.EndRequest(
        speaker=speaker_out(speaker),
        procedure=end.procedure,
        outcome=end.outcome.value,
        reason=sentence_out(end.reason),
        report_json=encode_document(end.report, RESULT_MAX, "the report of the procedure"),
        standing=standing_out(end.standing),
    ).SerializeToString()


def decode_end(data: bytes) -> tuple[m.Speaker, m.End]:
    """Parse and check the end of a procedure."""
    found = parsed(pb.EndRequest, data)
    outcome = member_in(Outcome, found.outcome)
    if outcome is Outcome.OPEN:
        raise PeerProtocolError("the peer ended a procedure as open")
    reason, report = sentence_in(found.reason), document_in(found.report_json, RESULT_MAX)
    return speaker_in(found), m.End(id_in(found.procedure), outcome, reason, report, standing_in(found.standing))


def encode_abort(speaker: m.Speaker, wish: m.AbortWish) -> bytes:
    """Serialize an operator's wish to abort."""
    request = pb.AbortRequest(speaker=speaker_out(speaker), procedure=wish.procedure, reason=sentence_out(wish.reason))
    return request.SerializeToString()


def decode_abort(data: bytes) -> tuple[m.Speaker, m.AbortWish]:
    """Parse and check an operator's wish to abort."""
    found = parsed(pb.AbortRequest, data)
    return speaker_in(found), m.AbortWish(id_in(found.procedure), sentence_in(found.reason))


def encode_state_request(speaker: m.Speaker, procedure: str) -> bytes:
    """Serialize the question where a procedure stands."""
    return pb.StateRequest(speaker=speaker_out(speaker), procedure=procedure).SerializeToString()


def decode_state_request(data: bytes) -> tuple[m.Speaker, str]:
    """Parse and check the question where a procedure stands."""
    found = parsed(pb.StateRequest, data)
    return speaker_in(found), id_in(found.procedure)


def encode_state_answer(speaker: m.Speaker, answer: m.StandingOf | m.Refusal) -> bytes:
    """Serialize where a procedure stands."""
    out = pb.StateAnswer(speaker=speaker_out(speaker))
    if isinstance(answer, m.Refusal):
        out.refused.CopyFrom(refusal_out(answer))
        return out.SerializeToString()
    out.outcome, out.reason = answer.outcome.value, sentence_out(answer.reason)
    out.report_json = encode_document(answer.report, RESULT_MAX, "the report of the procedure")
    out.standing.extend(standing_out(answer.standing))
    return out.SerializeToString()


def decode_state_answer(data: bytes) -> tuple[m.Speaker, m.StandingOf | m.Refusal]:
    """Parse and check where a procedure stands."""
    found = parsed(pb.StateAnswer, data)
    speaker = speaker_in(found)
    if found.HasField("refused"):
        return speaker, refusal_in(found.refused)
    outcome, reason = member_in(Outcome, found.outcome), sentence_in(found.reason)
    report = document_in(found.report_json, RESULT_MAX)
    return speaker, m.StandingOf(outcome, reason, report, standing_in(found.standing))


def encode_answer(speaker: m.Speaker, refusal: m.Refusal | None) -> bytes:
    """Serialize the answer to a proposal, an end or a wish to abort; None: accepted."""
    out = pb.Answer(speaker=speaker_out(speaker))
    if refusal is not None:
        out.refused.CopyFrom(refusal_out(refusal))
    return out.SerializeToString()


def decode_answer(data: bytes) -> tuple[m.Speaker, m.Refusal | None]:
    """Parse and check such an answer."""
    found = parsed(pb.Answer, data)
    return speaker_in(found), refusal_in(found.refused) if found.HasField("refused") else None
