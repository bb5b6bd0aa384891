"""What a paired peer may send is checked before anything is done: each refusal says why, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from syncer.errors import PeerProtocolError
from syncer.model import TERM_COUNTER_MAX, Mode, Term
from syncer.pb import procedures_pb2 as pb
from syncer.pb import sync_pb2
from syncer.procedures import messages as m
from syncer.procedures import wire
from syncer.procedures.kinds import Kinds
from syncer.procedures.messages import Action, Why
from syncer.procedures.steps import Outcome, StepState
from syncer.state.peers import add_peer, remove_peer
from syncer.state.term import observe_term, read_term
from syncer.trust.tls import open_channel
from tests.unit.procedures.pairs import LiveNode, World, pair_of_nodes

pytestmark = pytest.mark.asyncio

ID = "a" * 32
OTHER = "b" * 32
NOBODY = "00000000-0000-4000-8000-000000000000"


class Attack(NamedTuple):
    """A paired node that says what it likes, and the node that hears it."""

    world: World
    peer: LiveNode
    node: LiveNode
    channel: grpc.aio.Channel

    @property
    def speaker(self) -> m.Speaker:
        return m.Speaker(self.peer.node_id, self.peer.name, read_term(self.node.store), Mode.FAILOVER)

    async def call(self, method: str, data: bytes) -> bytes:
        call: Any = self.channel.unary_unary(f"/{wire.SERVICE}/{method}", None, None)
        answer: bytes = await call(data, timeout=5)
        return answer

    async def order(self, data: bytes) -> list[Any]:
        call: Any = self.channel.unary_stream(f"/{wire.SERVICE}/Order", None, None)
        return [wire.decode_order_event(event)[1] async for event in call(data, timeout=5)]

    async def propose(self, procedure: str = ID, kind: str = "fake", **parameters: Any) -> m.Refusal | None:
        data = wire.encode_proposal(self.speaker, m.Proposal(procedure, kind, parameters))
        return wire.decode_answer(await self.call("Propose", data))[1]

    async def ordered(self, step: str, action: Action = Action.DO, procedure: str = ID, **standing: StepState) -> Any:
        data = wire.encode_order(self.speaker, m.Order(procedure, step, action, {}, standing))
        return (await self.order(data))[-1]

    async def ended(self, outcome: Outcome, procedure: str = ID) -> m.Refusal | None:
        data = wire.encode_end(self.speaker, m.End(procedure, outcome, "", {}, {}))
        return wire.decode_answer(await self.call("End", data))[1]

    def everything(self) -> tuple[object, ...]:
        """Return all that could have changed."""
        with self.node.store.read() as reader:
            procedures = reader.execute("SELECT * FROM procedure ORDER BY id").fetchall()
            steps = reader.execute("SELECT * FROM procedure_step ORDER BY procedure, position").fetchall()
        done = dict(self.world.done), list(self.world.standing), list(self.world.undone)
        return procedures, steps, read_term(self.node.store), done


@pytest_asyncio.fixture
async def attack(tmp_path: Path) -> AsyncIterator[Attack]:
    world = World()
    async with (
        pair_of_nodes(tmp_path, world) as (peer, node),
        open_channel(node.address, peer.identity, node.identity.certificate_pem) as channel,
    ):
        yield Attack(world, peer, node, channel)


def proposal(**changes: Any) -> pb.ProposeRequest:
    return pb.ProposeRequest(**{"procedure": ID, "kind": "fake", "parameters_json": "{}", **changes})


def order(**changes: Any) -> pb.OrderRequest:
    return pb.OrderRequest(**{"procedure": ID, "step": "there", "action": "do", "parameters_json": "{}", **changes})


MALFORMED: dict[str, tuple[str, Callable[[], Any]]] = {
    "an id that is none": ("Propose", lambda: proposal(procedure="../../etc")),
    "a kind that is no name": ("Propose", lambda: proposal(kind="Fake kind\n")),
    "a kind that is too long": ("Propose", lambda: proposal(kind="k" * 65)),
    "parameters that are too large": ("Propose", lambda: proposal(parameters_json=json.dumps({"x": "y" * 65536}))),
    "parameters that are no JSON": ("Propose", lambda: proposal(parameters_json="{")),
    "parameters that are no object": ("Propose", lambda: proposal(parameters_json="[1]")),
    "parameters with a number that is none": ("Propose", lambda: proposal(parameters_json='{"x": NaN}')),
    "parameters that nest too deep": (
        "Propose",
        lambda: proposal(parameters_json='{"x":' + "[" * 30000 + "]" * 30000 + "}"),
    ),
    "an action that is none": ("Order", lambda: order(action="destroy")),
    "a step that is no name": ("Order", lambda: order(step="there; rm")),
    "a state that is none": ("Order", lambda: order(standing=[pb.StepStanding(name="there", state="great")])),
    "more steps than can be": (
        "Order",
        lambda: order(standing=[pb.StepStanding(name=f"s{number}", state="done") for number in range(257)]),
    ),
    "an end that is none": ("End", lambda: pb.EndRequest(procedure=ID, outcome="open")),
    "a report that is too large": (
        "End",
        lambda: pb.EndRequest(procedure=ID, outcome="aborted", report_json=json.dumps({"x": "y" * 2**20})),
    ),
    "a reason that is too long": ("Abort", lambda: pb.AbortRequest(procedure=ID, reason="x" * 5000)),
    "a question for what is no id": ("State", lambda: pb.StateRequest(procedure="x")),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_what_breaks_the_protocol_is_refused(attack: Attack, what: str) -> None:
    assert await attack.propose() is None
    before = attack.everything()
    method, make = MALFORMED[what]
    request = make()
    request.speaker.CopyFrom(pb.KnockRequest.FromString(wire.encode_knock(attack.speaker)).speaker)
    await refused_as_malformed(attack, method, request.SerializeToString())
    assert attack.everything() == before


async def refused_as_malformed(attack: Attack, method: str, data: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (attack.order(data) if method == "Order" else attack.call(method, data))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details()


@pytest.mark.parametrize("method", ["Knock", "Propose", "Order", "End", "Abort", "State"])
async def test_bytes_that_are_no_message_and_speakers_that_are_none_are_refused(attack: Attack, method: str) -> None:
    before = attack.everything()
    await refused_as_malformed(attack, method, b"\xff\xff\xff")
    await refused_as_malformed(attack, method, b"")
    own = attack.speaker
    for wrong in (
        own._replace(node_id=NOBODY),
        own._replace(node_id="me"),
        own._replace(node_name=""),
        own._replace(node_name="a\nb"),
        own._replace(node_name="x" * 65),
        own._replace(term=Term(2, "")),
        own._replace(term=Term(TERM_COUNTER_MAX + 1, own.node_id)),
        own._replace(term=Term(0, own.node_id)),
    ):
        await refused_as_malformed(attack, method, spoken_by(method, wrong))
    assert attack.everything() == before


def spoken_by(method: str, speaker: m.Speaker) -> bytes:
    return {
        "Knock": lambda: wire.encode_knock(speaker),
        "Propose": lambda: wire.encode_proposal(speaker, m.Proposal(ID, "fake", {})),
        "Order": lambda: wire.encode_order(speaker, m.Order(ID, "there", Action.DO, {}, {})),
        "End": lambda: wire.encode_end(speaker, m.End(ID, Outcome.ABORTED, "", {}, {})),
        "Abort": lambda: wire.encode_abort(speaker, m.AbortWish(ID, "")),
        "State": lambda: wire.encode_state_request(speaker, ID),
    }[method]()


async def test_a_mode_that_is_none_is_refused(attack: Attack) -> None:
    term = sync_pb2.Term(counter=1, node_id=attack.peer.node_id)
    speaker = pb.Speaker(node_id=attack.peer.node_id, node_name="dr-a", term=term, mode="king")
    await refused_as_malformed(attack, "Knock", pb.KnockRequest(speaker=speaker).SerializeToString())


@pytest.mark.parametrize("method", ["Propose", "Order", "End", "Abort", "State"])
async def test_a_lower_term_is_refused_and_the_answer_carries_the_higher_one(attack: Attack, method: str) -> None:
    assert await attack.propose() is None
    observe_term(attack.node.store, Term(7, attack.node.node_id))
    before = attack.everything()
    stale = attack.speaker._replace(term=Term(6, attack.peer.node_id))
    data = spoken_by(method, stale)
    answer: tuple[m.Speaker, Any]
    if method == "Order":
        call: Any = attack.channel.unary_stream(f"/{wire.SERVICE}/Order", None, None)
        (answer,) = [wire.decode_order_event(event) async for event in call(data, timeout=5)]
    elif method == "State":
        answer = wire.decode_state_answer(await attack.call(method, data))
    else:
        answer = wire.decode_answer(await attack.call(method, data))
    speaker, refusal = answer
    assert isinstance(refusal, m.Refusal)
    assert refusal.why is Why.STALE_TERM
    assert speaker.term == Term(7, attack.node.node_id)
    assert attack.everything() == before


async def test_a_higher_term_is_recorded_and_a_knock_is_never_refused(attack: Attack) -> None:
    higher = attack.speaker._replace(term=Term(9, attack.peer.node_id))
    answer = wire.decode_knock_answer(await attack.call("Knock", wire.encode_knock(higher)))
    assert answer == m.Speaker(attack.node.node_id, "prod-a", Term(9, attack.peer.node_id), Mode.PRODUCTION)
    assert read_term(attack.node.store) == Term(9, attack.peer.node_id)
    lower = attack.speaker._replace(term=Term(2, attack.peer.node_id))
    answer = wire.decode_knock_answer(await attack.call("Knock", wire.encode_knock(lower)))
    assert answer.term == Term(9, attack.peer.node_id)
    assert attack.node.voice.heard[-1].term == Term(2, attack.peer.node_id)


async def test_who_is_not_paired_any_more_is_told_nothing(attack: Attack) -> None:
    assert await attack.propose() is None
    remove_peer(attack.node.store, attack.peer.node_id)
    before = attack.everything()
    for method in ("Knock", "Propose", "Order", "End", "Abort", "State"):
        data = spoken_by(method, attack.speaker)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (attack.order(data) if method == "Order" else attack.call(method, data))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert attack.everything() == before


async def test_what_is_not_known_here_is_refused(attack: Attack) -> None:
    assert why(await attack.propose(kind="unheard-of")) is Why.UNKNOWN_KIND
    assert why(await attack.ordered("there")) is Why.UNKNOWN_PROCEDURE
    assert why(await attack.ended(Outcome.ABORTED)) is Why.UNKNOWN_PROCEDURE
    assert await attack.propose() is None
    before = attack.everything()
    assert why(await attack.ordered("nowhere")) is Why.UNKNOWN_STEP
    assert why(await attack.ordered("there", nowhere=StepState.DONE)) is Why.UNKNOWN_STEP
    assert attack.everything() == before


async def test_a_second_procedure_and_another_under_the_same_id_are_refused(attack: Attack) -> None:
    assert await attack.propose(x=1) is None
    before = attack.everything()
    assert await attack.propose(x=1) is None, "an answer may have been lost"
    assert why(await attack.propose(OTHER)) is Why.BUSY
    assert why(await attack.propose(x=2)) is Why.MALFORMED
    assert attack.everything() == before


async def test_steps_of_the_lead_and_steps_out_of_sequence_are_refused(attack: Attack) -> None:
    assert await attack.propose() is None
    before = attack.everything()
    assert why(await attack.ordered("here")) is Why.NOT_YOURS
    assert why(await attack.ordered("agree")) is Why.NOT_YOURS
    assert why(await attack.ordered("handover")) is Why.OUT_OF_SEQUENCE
    assert why(await attack.ordered("there", Action.VERIFY)) is Why.OUT_OF_SEQUENCE
    assert why(await attack.ended(Outcome.FINISHED)) is Why.OUT_OF_SEQUENCE
    assert attack.everything() == before


async def test_nothing_is_done_that_is_being_undone_and_nothing_undone_past_the_point_of_no_return(
    attack: Attack,
) -> None:
    assert await attack.propose() is None
    assert isinstance(await attack.ordered("there"), m.Done)
    assert isinstance(await attack.ordered("there"), m.Done), "again: the same answer"
    assert attack.world.done["there"] == 1
    assert isinstance(await attack.ordered("handover"), m.Done)
    before = attack.everything()
    assert why(await attack.ordered("handover", Action.UNDO)) is Why.TOO_LATE
    assert why(await attack.ordered("there", Action.UNDO)) is Why.TOO_LATE
    assert why(await attack.ended(Outcome.ABORTED)) is Why.TOO_LATE
    assert attack.everything() == before
    assert await attack.ended(Outcome.FINISHED) is None
    assert await attack.ended(Outcome.FINISHED) is None
    over = attack.everything()
    assert why(await attack.ordered("there")) is Why.ENDED
    assert why(await attack.ended(Outcome.ABORTED)) is Why.ENDED
    assert why(await attack.propose()) is Why.ENDED
    assert attack.everything() == over


async def test_an_undone_step_is_not_done_again_by_a_late_order(attack: Attack) -> None:
    assert await attack.propose() is None
    assert isinstance(await attack.ordered("there", Action.UNDO), m.Done), "what never began is undone already"
    assert attack.world.undone == []
    before = attack.everything()
    assert why(await attack.ordered("there")) is Why.OUT_OF_SEQUENCE
    assert attack.everything() == before


async def test_orders_for_a_procedure_that_this_node_leads_are_refused(attack: Attack) -> None:
    attack.world.gate("here")
    procedure = (await attack.node.procedures.begin("fake", attack.peer.as_peer(), {})).id
    await attack.world.reached["here"].wait()
    before = attack.everything()
    assert why(await attack.ordered("there", procedure=procedure)) is Why.NOT_YOURS
    assert why(await attack.ended(Outcome.FINISHED, procedure)) is Why.NOT_YOURS
    assert why(await attack.propose(procedure)) is Why.BUSY
    assert why(await attack.propose()) is Why.BUSY, "one at a time for each pair, whoever leads"
    assert attack.everything() == before


async def test_a_procedure_that_another_node_leads_is_not_there_for_a_third(attack: Attack, tmp_path: Path) -> None:
    assert await attack.propose() is None
    third = LiveNode(tmp_path / "third", "mallory", Mode.FAILOVER, Kinds)
    add_peer(attack.node.store, third.as_peer())
    before = attack.everything()
    async with open_channel(attack.node.address, third.identity, attack.node.identity.certificate_pem) as channel:
        other = Attack(attack.world, third, attack.node, channel)
        assert why(await other.ordered("there")) is Why.UNKNOWN_PROCEDURE
        assert why(await other.ordered("there", Action.UNDO)) is Why.UNKNOWN_PROCEDURE
        assert why(await other.ended(Outcome.ABORTED)) is Why.UNKNOWN_PROCEDURE
        assert why(await other.propose()) is Why.BUSY
        asked = wire.encode_state_request(other.speaker, ID)
        assert why(wire.decode_state_answer(await other.call("State", asked))[1]) is Why.UNKNOWN_PROCEDURE
        assert attack.everything() == before
        assert await other.propose(OTHER) is None, "with another pair another procedure may be under way"


async def test_wishes_to_abort_are_taken_from_the_second_only(attack: Attack) -> None:
    assert await attack.propose() is None
    before = attack.everything()
    for procedure, expected in ((ID, Why.NOT_YOURS), (OTHER, Why.UNKNOWN_PROCEDURE)):
        data = wire.encode_abort(attack.speaker, m.AbortWish(procedure, "please"))
        assert why(wire.decode_answer(await attack.call("Abort", data))[1]) is expected
    assert attack.everything() == before


async def test_what_this_node_would_send_too_large_is_not_sent() -> None:
    speaker = m.Speaker(NOBODY, "a", Term(0, ""), Mode.FAILOVER)
    with pytest.raises(PeerProtocolError, match="65,536"):
        wire.encode_proposal(speaker, m.Proposal(ID, "fake", {"x": "y" * 65536}))
    with pytest.raises(PeerProtocolError, match="1,048,576"):
        wire.encode_order_event(speaker, m.Done({"x": "y" * 2**20}))
    event = wire.decode_order_event(wire.encode_order_event(speaker, m.Failed("\udcff" * 9000, again=True, begun=True)))
    assert isinstance(event[1], m.Failed)
    assert len(event[1].reason) == wire.SENTENCE_MAX


def why(answer: Any) -> Why:
    assert isinstance(answer, m.Refusal), answer
    assert answer.message
    return answer.why
