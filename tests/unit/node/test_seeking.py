"""A target that may be at several addresses is found at the first that opens, whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from syncer.errors import Reason, UnreachableError
from syncer.node import seeking
from syncer.node.seeking import Doubts, Seeking
from syncer.replicate.messages import FromFailover, FromProduction, Goodbye
from tests.ports import free_port

WORD = Goodbye(Reason.UNSPECIFIED, "")


class Call:
    """A call that was opened at an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sent: list[FromProduction] = []
        self.is_closed = False

    async def send(self, message: FromProduction) -> None:
        self.sent.append(message)

    async def receive(self) -> FromFailover:
        return WORD

    async def close(self) -> None:
        self.is_closed = True


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[str]:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def run(test: Callable[[], object]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]  # a coroutine function


def test_the_first_address_that_opens_is_used_and_others_are_not_waited_for() -> None:
    async def test() -> None:
        calls: list[Call] = []

        def call(address: str) -> Call:
            calls.append(Call(address))
            return calls[-1]

        async with listening() as good:
            closed = f"127.0.0.1:{free_port()}"
            # A network for documentation: nobody answers there.
            looking = Seeking("prod-a", ("192.0.2.1:9", closed, good), Doubts(), call)
            async with asyncio.timeout(2.0):
                await looking.send(WORD)
            await looking.send(WORD)
            assert await looking.receive() == WORD
            await looking.close()
        assert [(one.address, len(one.sent), one.is_closed) for one in calls] == [(good, 2, True)]

    run(test)


def test_what_each_address_said_is_told_and_a_refusal_before_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeking, "KNOCK_SECONDS", 0.2)

    async def test() -> None:
        closed = f"127.0.0.1:{free_port()}"
        with pytest.raises(UnreachableError) as caught:
            await seeking.seek("prod-a", ("192.0.2.1:9", closed, "no.such.name.invalid:9"), Doubts())
        said = str(caught.value)
        assert said.startswith("prod-a cannot be reached (")
        assert f"{closed}: Connection refused" in said
        # A network without a way out says so at once; else nobody answers there.
        assert "192.0.2.1:9: " in said
        assert "no.such.name.invalid:9: " in said

    run(test)


def test_where_nobody_opens_all_that_was_tried_is_named() -> None:
    async def test() -> None:
        closed = f"127.0.0.1:{free_port()}"
        looking = Seeking("prod-a", (closed,), Doubts(), Call)
        with pytest.raises(
            UnreachableError, match=rf"prod-a cannot be reached \({closed}: Connection refused\); where"
        ):
            await looking.send(WORD)
        await looking.close()

    run(test)


def test_who_opened_and_was_somebody_else_is_the_last_choice() -> None:
    async def test() -> None:
        doubts = Doubts()

        async def used(*addresses: str) -> str:
            calls: list[str] = []

            def call(address: str) -> Call:
                calls.append(address)
                return Call(address)

            await Seeking("prod-a", addresses, doubts, call).send(WORD)
            return calls[0]

        async with listening() as stranger, listening() as good:
            assert await used(stranger) == stranger
            assert await used(stranger, good) == good
            assert await used(stranger) == stranger
            doubts.answered()
            assert await used(stranger) == stranger

    run(test)
