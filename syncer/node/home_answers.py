"""What a node answers its peers about homecomings: what it has, what would become of it, and whether it leads one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.node.followed import followed_flaw
from syncer.node.home_comparing import Comparing
from syncer.node.home_standing import require_reversible
from syncer.procedures import home_messages as h
from syncer.procedures import messages as m
from syncer.procedures.home_sides import others
from syncer.procedures.home_wishes import wishes_of
from syncer.procedures.homecoming import is_exact
from syncer.procedures.messages import Refusal, Speaker, Why
from syncer.procedures.plan_file import lines_of
from syncer.procedures.reverse import REVERSE
from syncer.procedures.unsent import sent_up_to
from syncer.procedures.wire.home import lines_at_once, others_at_once
from syncer.replicate.fencing import Rank
from syncer.state.peers import Peer

if TYPE_CHECKING:
    from syncer.node.agent import Node

BEAT = 1.0

T = TypeVar("T")


class HomeAnswers:
    """Answers for one node; see procedures.home_server."""

    def __init__(self, node: Node, comparing: Comparing) -> None:
        """Answer for `node`."""
        self.comparing = comparing
        self._node = node

    async def others(
        self, peer: Peer, speaker: Speaker, request: h.OthersRequest
    ) -> AsyncIterator[h.OthersPart | Refusal]:
        """Tell what this node has of a domain."""
        node, production = self._node, self._node.production
        flaw = self._others_flaw(peer, speaker, request)
        if flaw or production is None:
            yield Refusal(Why.IMPOSSIBLE, flaw)
            return
        flushing = asyncio.ensure_future(production.captures.flush([request.domain]))
        async for _ in _beats(flushing):
            yield h.OthersPart()
        if node.production is not production:
            yield Refusal(Why.IMPOSSIBLE, f"{node.settings.node.name} has just changed its mode: ask again")
            return
        # RACE: a snapshot belongs to one thread at a time, and the asker may hang up while it is read.
        with ThreadPoolExecutor(1, "others") as thread:
            run = partial(asyncio.get_running_loop().run_in_executor, thread)
            snapshot = await run(production.index.snapshot, request.domain)
            try:
                up_to = await run(sent_up_to, production.index, request.domain, request.last)
                yield h.OthersPart(h.OthersHead(snapshot.head, up_to is None, snapshot.count()))
                pieces = others_at_once(others(snapshot, up_to))
                while True:
                    reading = run(partial(next, pieces, None))
                    async for _ in _beats(reading):
                        yield h.OthersPart()
                    piece = reading.result()
                    if piece is None:
                        break
                    yield h.OthersPart(None, piece)
                yield h.OthersPart(None, (), end=True)
            finally:
                await asyncio.shield(run(snapshot.close))

    async def compare(self, peer: Peer, wishes: h.Wishes) -> AsyncIterator[m.Progress | h.PlanLines | Refusal]:
        """Tell what would become of a peer's changes."""
        progress = m.Progress()

        def tell(text: str, done: int, total: int) -> None:
            nonlocal progress
            progress = m.Progress(text, done, total)

        try:
            # To be looked at: what waits for a person is shown as that.
            wanted = wishes_of(wishes.wishes)._replace(decided=False)
            working = asyncio.ensure_future(self.comparing.compare(peer, wanted, tell))
            async for _ in _beats(working):
                yield progress
            plan = self.comparing.plan_of(peer, wanted, working.result())
        except RefusedError as error:
            yield Refusal(Why.IMPOSSIBLE, str(error))
            return
        lines = [f"{line}" for line in lines_of(plan)]
        for piece in lines_at_once(iter(lines)):
            yield h.PlanLines(piece)
        yield h.PlanLines((), end=True)

    async def begin(self, peer: Peer, speaker: Speaker, wish: h.BeginWish) -> h.Begun | Refusal:
        """Lead a procedure with a peer, where that is the production node that this one follows."""
        name, (mode, _) = self._node.settings.node.name, self._node.mode_and_term()
        if wish.kind != REVERSE:
            return Refusal(Why.IMPOSSIBLE, f"{name} leads no {wish.kind} because another node asks for it")
        if mode is Mode.PRODUCTION:
            return Refusal(Why.NOT_YOURS, f"{name} is production itself")
        if flaw := self._followed_flaw(peer, speaker):
            return Refusal(Why.NOT_YOURS, f"{name} gives its role to no procedure of {peer.name}: {flaw}")
        try:
            wishes_of(wish.parameters)
            await require_reversible(self._node, peer, exact=is_exact(wish.parameters))
            procedure = await self._node.procedures.begin(REVERSE, peer, reverse_parameters(wish.parameters))
        except RefusedError as error:
            return Refusal(Why.IMPOSSIBLE, str(error))
        return h.Begun(procedure.id)

    def _others_flaw(self, peer: Peer, speaker: Speaker, request: h.OthersRequest) -> str:
        """Say why a peer is not told what this node has; "" where it is."""
        node = self._node
        name, (mode, _) = node.settings.node.name, node.mode_and_term()
        if mode is not Mode.FENCED or node.production is None:
            return f"{name} is in mode {mode.value}, and what it has is only told where it is fenced"
        if flaw := self._followed_flaw(peer, speaker):
            return f"what {name} has is told only to the production node with the highest term: {flaw}"
        if request.domain not in node.production.captures.capturers:
            return f"there is no domain {request.domain!a} on {name}: add [domains.{request.domain}] there"
        return ""

    def _followed_flaw(self, peer: Peer, speaker: Speaker) -> str:
        name, (_, term) = self._node.settings.node.name, self._node.mode_and_term()
        return followed_flaw(name, term, peer.name, peer.node_id, Rank(speaker.mode, speaker.term))


def reverse_parameters(given: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters of a reverse: what people may say of it, and what always holds."""
    known = ("policy", "prefer", "expect", "keep_services")
    return {key: given[key] for key in known if key in given} | {"decided": True, "verify": True}


async def _beats(work: asyncio.Future[T]) -> AsyncIterator[None]:
    """Yield now and then until the work is done; raises as it does. Whoever stops listening stops it."""
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=BEAT)
            if not work.done():
                yield None
        work.result()
    finally:
        work.cancel()
