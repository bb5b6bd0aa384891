"""Who must hear of whom: production introduces its nodes to each other, and tells all of those that were retired."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc.aio

from syncer.config.address import parse_address
from syncer.errors import PeerRejectedError, Reason, SyncerError, UnreachableError
from syncer.model import Mode, Term
from syncer.node.procedures import Ways
from syncer.node.seeking import Doubts, seek
from syncer.node.told import Told
from syncer.replicate.link import last_word
from syncer.replicate.reconnect import reconnecting
from syncer.state.cursors import read_target
from syncer.state.introductions import (
    Door,
    Kept,
    Retired,
    digest_of,
    doors,
    forget_introduction,
    introduced_by,
    introductions,
    keep_door,
    keep_introduction,
    retired_nodes,
    told,
    was_told,
)
from syncer.state.peers import peer_by_node_id, peers
from syncer.substitution.rules import RuleSet
from syncer.trust.doors import new_door, through
from syncer.trust.introductions import ADDRESSES_MAX, Introduction, Signed, encoded, read, sign
from syncer.trust.tls import open_channel
from syncer.trust.wire import introductions as wire

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
_GONE = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError)


class Audience(NamedTuple):
    """One node that has something to hear."""

    node_id: str
    name: str
    certificate_pem: bytes
    statements: tuple[Kept, ...]
    retired: Retired | None = None
    """It is the one that was retired: it is found where it was."""


class Introducing:
    """Tells while this node is production; used on the event loop. What is said here is answered by `Told`."""

    def __init__(self, node: Node, *, shortest: float = 1.0, longest: float = 60.0) -> None:
        """Speak for `node`, again after pauses between both bounds (seconds) where a node is away or refuses."""
        self.listener = Told(node)
        self._node = node
        self._bounds = (shortest, longest)
        self._news = asyncio.Event()
        self._news.set()
        self._ways = Ways(node)
        self._doubts: dict[str, Doubts] = {}
        self.troubles: dict[str, str] = {}
        """Why a node has not heard yet what it must, by its id."""
        node.modes.changed.append(self.look)

    def look(self) -> None:
        """Look again who must hear what: a node was paired, retired or heard, or the configuration has changed."""
        self._news.set()

    def heard(self, node_id: str) -> None:
        """Try again with a node that was heard, where it has not heard yet what it must."""
        if node_id in self.troubles:
            self.look()

    async def run(self) -> None:
        """Tell whatever is to be told; ends only by cancellation."""
        # CRASH: the node may have ended between the commit that retired another one and what follows from it.
        for retired in await asyncio.to_thread(retired_nodes, self._node.store):
            await self._node.procedures.give_up(retired.node_id, f"{retired.name} was retired")
        while True:
            await self._news.wait()
            self._news.clear()
            node = self._node
            own = node.modes.rank()
            if own.mode is not Mode.PRODUCTION or node.production is None:
                continue
            news = asyncio.create_task(self._news.wait())
            telling = asyncio.create_task(self._tell(own.term))
            try:
                await asyncio.wait({telling, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, news):
                    task.cancel()
                found = await asyncio.gather(telling, news, return_exceptions=True)
            if isinstance(found[0], Exception):
                raise found[0]

    async def _tell(self, term: Term) -> None:
        await asyncio.to_thread(self._issue, term)
        audiences = await asyncio.to_thread(self._audiences)
        async with asyncio.TaskGroup() as tasks:
            for audience in audiences:
                tell = partial(self._tell_one, audience, term)
                tasks.create_task(reconnecting(tell, asyncio.Event(), *self._bounds))

    def _issue(self, term: Term) -> None:
        """Sign what is to be said of each target, where it is not what was said last; blocking."""
        node = self._node
        for statement in self._wanted(term):
            known = introductions(node.store, issuer=node.store.node_id, subject=statement.node_id)
            if known:
                said = read(Signed(known[0].body, known[0].signature))
                if encoded(statement._replace(counter=said.counter, term=said.term)) == known[0].body:
                    continue
                statement = statement._replace(counter=said.counter + 1)  # noqa: PLW2901 - the same, said later
            signed = sign(statement, node.identity.key_pem)
            keep_introduction(node.store, Kept(statement.issuer, statement.node_id, statement.counter, *signed))
        pinned = {peer.node_id for peer in peers(node.store)}
        for kept in introductions(node.store, issuer=node.store.node_id):
            if kept.subject not in pinned:
                # It was forgotten here: nobody is to hear of it from this node.
                forget_introduction(node.store, kept.issuer, kept.subject)

    def _wanted(self, term: Term) -> list[Introduction]:
        node, production = self._node, self._node.production
        found = []
        for target in node.settings.failover:
            record = read_target(node.store, target.name)
            peer = peer_by_node_id(node.store, record.node_id) if record is not None else None
            if peer is None or production is None:
                continue
            refused = dict(target.refusals)
            fed: dict[str, RuleSet] = {
                domain: sender.stream.rules
                for (name, domain), sender in production.senders.items()
                if name == target.name and domain not in refused
            }
            addresses = tuple(str(parse_address(item)) for item in (target.address, *target.further)[:ADDRESSES_MAX])
            found.append(
                Introduction(node.store.node_id, term, 1, peer.node_id, peer.name, peer.certificate_pem, addresses, fed)
            )
        return found

    def _audiences(self) -> list[Audience]:
        store = self._node.store
        door = self._door()
        said = introductions(store, issuer=store.node_id)
        retired = retired_nodes(store)
        gone = [Kept(item.issuer, item.node_id, 1, item.body, item.signature) for item in retired]
        audiences = []
        for peer in peers(store):
            others = [kept for kept in said if kept.subject != peer.node_id]
            # What is said of a node itself it shows where it is not known.
            # Who was retired first: another node may have its name by now.
            wanted = [*(kept for kept in gone if kept.issuer == store.node_id), *(said if others else ())]
            heard = told(store, peer.node_id)
            missing = _missing(wanted, heard)
            # Each has the key before somebody must come through the door: who is away then could not be given it.
            if missing or _digest(door) not in heard:
                told_now = missing[: wire.STATEMENTS_MAX]
                audiences.append(Audience(peer.node_id, peer.name, peer.certificate_pem, told_now))
        for item, kept in zip(retired, gone, strict=True):
            if item.issuer == store.node_id and _missing([kept], told(store, item.node_id)):
                audiences.append(Audience(item.node_id, item.name, item.certificate_pem, (kept,), item))
        return audiences

    async def _tell_one(self, audience: Audience, term: Term) -> None:
        try:
            answered = await self._told(audience, term)
        except SyncerError as error:
            self.troubles = {**self.troubles, audience.node_id: str(error)}
            raise
        node = self._node
        if answered.term is not None:
            node.modes.saw_term(audience.name, answered.term)
        verdicts = list(zip(audience.statements, answered.refusals, strict=False))
        refused = [why for _, why in verdicts if why]
        taken = [kept.digest for kept, why in verdicts if not why]
        if answered.has_door:
            taken.append(_digest(await asyncio.to_thread(self._door)))
        await asyncio.to_thread(was_told, node.store, audience.node_id, taken)
        needs_door = audience.retired is None and not answered.has_door
        if refused or needs_door or len(verdicts) < len(audience.statements):
            why = (
                f"{audience.name} does not believe what it is told of other nodes: {'; '.join(refused) or 'no answer'}"
            )
            self.troubles = {**self.troubles, audience.node_id: why}
            raise PeerRejectedError(why, Reason.UNSPECIFIED)
        self.troubles = {key: text for key, text in self.troubles.items() if key != audience.node_id}
        if len(audience.statements) == wire.STATEMENTS_MAX:
            self.look()
        log.info("%s has heard of %d nodes", audience.name, len(audience.statements))

    async def _told(self, audience: Audience, term: Term) -> wire.Answered:
        statements = [Signed(kept.body, kept.signature) for kept in audience.statements]
        door = None if audience.retired is not None else await asyncio.to_thread(self._door)
        data = wire.encode_told(statements, door, term)
        try:
            return await self._call(await self._dial(audience), audience, "Introduce", data)
        except UnreachableError:
            if not await self._shown(audience):
                raise
        # It knows this node by now.
        return await self._call(await self._dial(audience), audience, "Introduce", data)

    async def _shown(self, audience: Audience) -> bool:
        """Show a node what was said of this one, through the door of who said it; tells whether it believed that."""
        store = self._node.store
        issuers = await asyncio.to_thread(introduced_by, store)
        said = await asyncio.to_thread(partial(introductions, store, subject=store.node_id))
        known = {door.issuer: door for door in await asyncio.to_thread(doors, store)}
        for kept in said:
            # Who was paired knows this node: it is away, or the other one is.
            if audience.node_id not in issuers or kept.issuer not in known:
                continue
            _, address = await self._ways.find(audience.node_id)
            channel = open_channel(address, through(known[kept.issuer]), audience.certificate_pem)
            data = wire.encode_told([Signed(kept.body, kept.signature)])
            answered = await self._call(channel, audience, "Show", data)
            if answered.refusals == ("",):
                log.info("%s knows this node now, by what another production node said of it", audience.name)
                if self._node.production is not None:
                    self._node.production.hurry()
                return True
        return False

    def _door(self) -> Door:
        """Return this node's own; blocking."""
        store = self._node.store
        own = [door for door in doors(store) if door.issuer == store.node_id]
        if not own:
            own = [new_door(store.node_id)]
            keep_door(store, own[0])
        return own[0]

    async def _dial(self, audience: Audience) -> grpc.aio.Channel:
        if audience.retired is None:
            return await self._ways.dial(audience.node_id)
        addresses = audience.retired.addresses.split()
        if not addresses:
            raise UnreachableError(f"it is not known where {audience.name} is: it is told when it calls")
        found = await seek(audience.name, addresses, self._doubts.setdefault(audience.node_id, Doubts()))
        return open_channel(found, self._node.identity, audience.certificate_pem)

    async def _call(self, channel: grpc.aio.Channel, audience: Audience, name: str, data: bytes) -> wire.Answered:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{wire.SERVICE}/{name}")
        call: Any = method(data, timeout=ANSWER_SECONDS)
        try:
            answered = wire.decode_answered(await call)
        except _GONE as error:
            raise await _ended(call, audience.name) from error
        finally:
            await channel.close(None)
        if answered.node_id != audience.node_id:
            raise PeerRejectedError(f"another node than {audience.name} answered for it", Reason.NOT_PAIRED)
        self._ways.answered(audience.node_id)
        return answered


def _digest(door: Door) -> bytes:
    """Return by what it is known who has the key of a door."""
    return digest_of(b"door " + door.key_pem)


def _missing(wanted: list[Kept], known: set[bytes]) -> tuple[Kept, ...]:
    """Return what a node has not answered yet."""
    return tuple(kept for kept in wanted if kept.digest not in known)


async def _ended(call: grpc.aio.Call, name: str) -> SyncerError:
    code, details = await call.code(), last_word(await call.details() or "")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return UnreachableError(f"{name} cannot be reached: {details}")
    return PeerRejectedError(f"{name} refused what it is told of other nodes: {details}", Reason.NOT_PAIRED)
