"""What can be done with the key of a door, and what cannot: statements are shown through it, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from syncer.replicate import wire as sync_wire
from syncer.state.introductions import Door, doors, introductions
from syncer.state.peers import peers
from syncer.trust import identity
from syncer.trust.doors import new_door, through
from syncer.trust.introductions import Signed
from syncer.trust.tls import KeyHolder, open_channel
from syncer.trust.wire import introductions as wire
from tests.unit.node.running import Place, run, until
from tests.unit.node.test_introducing import Three, knows, three

__all__ = ["three"]


async def called(place: Place, holder: KeyHolder, method: str, data: bytes) -> bytes | grpc.StatusCode:
    async with open_channel(place.address, holder, place.peer.certificate_pem) as channel:
        made: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        call: Any = made(data, timeout=10.0)
        try:
            answer: bytes = await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return answer


def test_guarantee_19_a_door_opens_for_statements_alone_and_only_for_those_that_are_signed(three: Three) -> None:
    async def work() -> None:
        async with three.a.running(), three.b.running() as b, three.c.running() as c:
            await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            await until(lambda: doors(c.store), "it has the key")
            [door] = doors(c.store)
            holder = through(door)
            before = (peers(c.store), introductions(c.store), c.modes.rank())
            # No other call, nor one that only pinned nodes make of this service.
            for method in (
                f"/{wire.SERVICE}/Introduce",
                f"/{sync_wire.SERVICE}/Replicate",
                "/syncer.v1.Procedures/Knock",
                "/syncer.v1.Procedures/Propose",
            ):
                assert await called(three.c, holder, method, wire.encode_told([])) is grpc.StatusCode.PERMISSION_DENIED
            show = f"/{wire.SERVICE}/Show"
            # What is not signed by whom this node follows is refused; the door is not closed by that.
            [kept] = introductions(c.store, subject=three.b.node_id)
            for hostile in (Signed(kept.body, b"x" * 70), Signed(b"{}", b""), Signed(kept.body[:-1], kept.signature)):
                answer = await called(three.c, holder, show, wire.encode_told([hostile]))
                assert isinstance(answer, bytes)
                assert wire.decode_answered(answer).refusals[0]
            assert await called(three.c, holder, show, b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT
            # Neither a door nor a term is taken through it.
            told = wire.encode_told([Signed(kept.body, kept.signature)], new_door("x"), c.modes.rank().term)
            answer = await called(three.c, holder, show, told)
            assert isinstance(answer, bytes)
            assert wire.decode_answered(answer).refusals == ("",)
            assert (peers(c.store), introductions(c.store), c.modes.rank()) == before
            assert doors(c.store) == [door]

    run(work())


def test_guarantee_19_no_handshake_succeeds_with_any_other_key(three: Three, tmp_path: Path) -> None:
    async def work() -> None:
        async with three.a.running(), three.c.running() as c:
            await until(lambda: doors(c.store), "it has the key")
            show, data = f"/{wire.SERVICE}/Show", wire.encode_told([])
            folder = tmp_path / "stranger"
            folder.mkdir()
            stranger = identity.create(folder, "00000000-0000-4000-8000-000000000001", "stranger")
            # Another door with the very names of the one that is open.
            forged = Door(doors(c.store)[0].issuer, *new_door(three.a.node_id)[1:])
            for holder in (stranger, through(forged)):
                assert await called(three.c, holder, show, data) is grpc.StatusCode.UNAVAILABLE

    run(work())


@pytest.mark.parametrize("statements", [0, 1])
def test_guarantee_19_a_failover_gives_no_door_and_introduces_nobody(
    three: Three, tmp_path: Path, statements: int
) -> None:
    """One that is known to the other by production's word, and does what production does."""

    async def work() -> None:
        async with three.a.running(), three.b.running() as b, three.c.running() as c:
            await until(lambda: knows(b, three.c) and knows(c, three.b), "they were introduced")
            await until(lambda: doors(c.store), "it has the key")
            before = (peers(c.store), doors(c.store))
            [kept] = introductions(b.store, subject=three.b.node_id)
            said = [Signed(kept.body, kept.signature)] * statements
            data = wire.encode_told(said, new_door(three.b.node_id), b.modes.rank().term)
            answer = await called(three.c, b.identity, f"/{wire.SERVICE}/Introduce", data)
            assert isinstance(answer, bytes)
            assert not wire.decode_answered(answer).has_door
            assert (peers(c.store), doors(c.store)) == before

    run(work())
