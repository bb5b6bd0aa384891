"""How one node calls another in a procedure: each call checked, each end an exception that says what it means."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from syncer.errors import PeerProtocolError, PeerRejectedError, Reason, SyncerError, UnreachableError
from syncer.procedures import messages as m
from syncer.procedures import wire
from syncer.procedures.voice import Dial, Limits, Voice
from syncer.replicate.link import last_word

Event = TypeVar("Event")

_GONE = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError)


class PeerCaller:
    """Calls to one paired node, over one channel as long as that works.

    Every call raises UnreachableError where nobody answers, PeerRejectedError where this node is not paired there,
    PeerProtocolError where the answer breaks the protocol.
    """

    def __init__(self, node_id: str, name: str, dial: Dial, voice: Voice, limits: Limits) -> None:
        """Call the node with this id, which errors call `name`."""
        self._node_id = node_id
        self._name = name
        self._dial = dial
        self._voice = voice
        self._limits = limits
        self._channel: grpc.aio.Channel | None = None
        self._opening = asyncio.Lock()

    async def knock(self) -> m.Speaker:
        """Return who the peer is and what it believes to be, once both know each other's term."""
        data = await self._unary("Knock", wire.encode_knock(await self._voice.speak()))
        speaker = wire.decode_knock_answer(data)
        await self._heard(speaker)
        return speaker

    async def propose(self, proposal: m.Proposal) -> m.Refusal | None:
        """Ask the peer to take part; None: it does."""
        return await self._asked("Propose", wire.encode_proposal(await self._voice.speak(), proposal))

    async def end(self, end: m.End) -> m.Refusal | None:
        """Tell the peer that a procedure is over; None: it knows."""
        return await self._asked("End", wire.encode_end(await self._voice.speak(), end))

    async def abort(self, wish: m.AbortWish) -> m.Refusal | None:
        """Ask the lead to abort; None: it does."""
        return await self._asked("Abort", wire.encode_abort(await self._voice.speak(), wish))

    async def state(self, procedure: str) -> m.StandingOf | m.Refusal:
        """Ask where a procedure stands with the peer."""
        data = await self._unary("State", wire.encode_state_request(await self._voice.speak(), procedure))
        speaker, answer = wire.decode_state_answer(data)
        await self._heard(speaker)
        return answer

    async def order(
        self, order: m.Order, told: Callable[[m.Progress], None] = lambda progress: None
    ) -> m.Ending | m.Refusal:
        """Order a step, and return how it ended; silence is a lost connection."""
        request = wire.encode_order(await self._voice.speak(), order)
        async with contextlib.aclosing(self.events("Order", request, wire.decode_order_event, order.step)) as events:
            async for event in events:
                if not isinstance(event, m.Progress):
                    return event
                told(event)
        raise UnreachableError(f"{self._name} ended the call without a result")

    async def events(
        self, method: str, request: bytes, decode: Callable[[bytes], tuple[m.Speaker, Event]], what: str
    ) -> AsyncGenerator[Event, None]:
        """Yield what the peer says in answer to a call until it ends; silence about `what` is a lost connection."""
        called: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        called = (await self._open()).unary_stream(f"/{wire.SERVICE}/{method}")
        call: Any = called(request)
        try:
            while True:
                async with asyncio.timeout(self._limits.silence):
                    data = await call.read()
                if data is grpc.aio.EOF:
                    raise await self._ended(call)
                speaker, event = decode(data)
                await self._heard(speaker)
                yield event
        except _GONE as error:
            raise await self._ended(call) from error
        except TimeoutError as error:
            await self.close()
            raise UnreachableError(f"{self._name} said nothing of {what} for {self._limits.silence:g} s") from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the channel; the next call opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    async def answer(self, method: str, request: bytes, decode: Callable[[bytes], tuple[m.Speaker, Event]]) -> Event:
        """Return what the peer answers to a call that takes no work."""
        speaker, answer = decode(await self._unary(method, request))
        await self._heard(speaker)
        return answer

    async def speak(self) -> m.Speaker:
        """Return who this node is, as each call begins."""
        return await self._voice.speak()

    async def _asked(self, method: str, data: bytes) -> m.Refusal | None:
        return await self.answer(method, data, wire.decode_answer)

    async def _unary(self, name: str, data: bytes) -> bytes:
        # Bytes both ways: wire.py reads and writes the messages.
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        method = (await self._open()).unary_unary(f"/{wire.SERVICE}/{name}")
        call: Any = method(data, timeout=self._limits.answer)
        try:
            answer: bytes = await call
        except _GONE as error:
            raise await self._ended(call) from error
        return answer

    async def _open(self) -> grpc.aio.Channel:
        # RACE: two calls may begin at once.
        async with self._opening:
            if self._channel is None:
                self._channel = await self._dial(self._node_id)
            return self._channel

    async def _heard(self, speaker: m.Speaker) -> None:
        if speaker.node_id != self._node_id:
            raise PeerProtocolError(f"{self._name} answered as another node than its certificate says; update it")
        await self._voice.hear(speaker._replace(node_name=self._name))

    async def _ended(self, call: grpc.aio.Call) -> SyncerError:
        """Say why a call ended, and begin the next on a new connection."""
        code = await call.code()
        details = last_word(await call.details() or "")
        await self.close()
        if code is grpc.StatusCode.PERMISSION_DENIED:
            return PeerRejectedError(f"{self._name} refused: {details}", Reason.NOT_PAIRED)
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return PeerProtocolError(f"{self._name} refused what was sent: {details}")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return PeerRejectedError(f"{self._name} knows no procedures: update syncer there", Reason.PROTOCOL_VERSION)
        if code is grpc.StatusCode.OK:
            return UnreachableError(f"{self._name} ended the call without a result")
        return UnreachableError(f"{self._name} cannot be reached: {details}")
