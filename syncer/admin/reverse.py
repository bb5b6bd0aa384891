"""`syncer rejoin` and `syncer reverse`: what would become of both sides' changes, and the procedure, followed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from syncer.admin.following import Event, begun_and_followed
from syncer.admin.progress import while_working
from syncer.errors import ConfigurationError, RefusedError, UnreachableError
from syncer.model import Mode
from syncer.node.home_answers import reverse_parameters
from syncer.node.home_standing import at_home_sentence, require_reversible
from syncer.node.kinds import REJOIN
from syncer.procedures.home_client import HomeCaller
from syncer.procedures.home_plan import Plan, Policy
from syncer.procedures.home_wishes import prefer_of, wishes_of
from syncer.procedures.homecoming import is_exact
from syncer.procedures.messages import Progress
from syncer.procedures.plan_file import lines_of, parse
from syncer.procedures.reverse import REVERSE
from syncer.state.cursors import read_standing
from syncer.state.peers import Peer, peer_by_node_id, peers

if TYPE_CHECKING:
    from syncer.node.agent import Node

LINES_AT_ONCE = 500
ASKED_SECONDS = 15.0
"""How long the other node may take to begin what it was asked for."""


async def home_plan(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Compare both sides, and yield the plan: progress, its lines as progress too, then what it is as the result.

    `command` is rejoin or reverse. Raises RefusedError where there is nothing to come home from here, PlanError.
    """
    command = str(arguments["command"])
    peer = await asyncio.to_thread(_other, node, command, arguments.get("node"))
    wishes = _wishes(node, peer, arguments)
    own = node.settings.node.name
    serving, coming = (own, peer.name) if node.mode is Mode.PRODUCTION else (peer.name, own)
    roles = {"production": coming, "failover": serving} if command == REVERSE else {}
    if command == REVERSE and node.mode is not Mode.PRODUCTION:
        await require_reversible(node, peer, exact=is_exact(wishes))
    if await _is_at_home(node, peer):
        if is_exact(wishes):
            raise RefusedError(at_home_sentence(coming, serving))
        yield "result", {"peer": peer.name, "at_home": True, "wishes": wishes, **roles, "exit_code": 0}
        return
    events: asyncio.Queue[Event] = asyncio.Queue()

    def tell(text: str, done: int, total: int) -> None:
        events.put_nowait(("progress", {"text": text, "done": done, "total": total}))

    working = asyncio.create_task(_plan(node, peer, wishes, tell))
    async for event in while_working(working, events):
        yield event
    plan = working.result()
    lines: list[str] = []
    for line in lines_of(plan):
        lines.append(line)
        if len(lines) >= LINES_AT_ONCE:
            yield "progress", {"lines": lines}
            lines = []
    yield "progress", {"lines": lines}
    yield "result", {"peer": peer.name, "at_home": False, "wishes": wishes, **roles, "exit_code": 0}


async def rejoin(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Begin to rejoin, and follow it."""
    peer = await asyncio.to_thread(_other, node, REJOIN, None)
    parameters = {"keep_services": bool(arguments.get("keep_services"))}
    procedure = await node.procedures.begin(REJOIN, peer, parameters)
    async for event in begun_and_followed(node, procedure.id):
        yield event


async def reverse(node: Node, arguments: dict[str, Any]) -> AsyncIterator[Event]:
    """Begin a way home by the wishes given, on the node that is to be production again, and follow it."""
    peer = await asyncio.to_thread(_other, node, REVERSE, arguments.get("node"))
    given = {**dict(arguments.get("wishes") or {}), "keep_services": bool(arguments.get("keep_services"))}
    wishes_of(given)
    if node.mode is Mode.PRODUCTION:
        procedure = await _asked(node, peer, given)
    else:
        await require_reversible(node, peer, exact=is_exact(given))
        procedure = (await node.procedures.begin(REVERSE, peer, reverse_parameters(given))).id
    async for event in begun_and_followed(node, procedure):
        yield event


async def _asked(node: Node, peer: Peer, given: Mapping[str, Any]) -> str:
    """Have the other node lead; returns the id once this node takes part."""
    caller = HomeCaller(node.procedures.caller(peer), peer.name)
    try:
        procedure = await caller.begin(REVERSE, given)
    finally:
        await caller.close()
    ends = time.monotonic() + ASKED_SECONDS
    while await asyncio.to_thread(node.procedures.journal.read, procedure) is None:
        if time.monotonic() > ends:
            raise UnreachableError(
                f"{peer.name} has begun the procedure {procedure[:8]} and does not call back: look there with "
                "`syncer procedure`"
            )
        await asyncio.sleep(0.1)
    return procedure


async def _plan(node: Node, peer: Peer, wishes: Mapping[str, Any], tell: Callable[[str, int, int], None]) -> Plan:
    if node.mode is Mode.PRODUCTION:
        wanted = wishes_of(wishes)
        sides = await node.home.comparing.compare(peer, wanted, tell)
        return node.home.comparing.plan_of(peer, wanted._replace(decided=False), sides)
    caller = HomeCaller(node.procedures.caller(peer), peer.name)

    def told(progress: Progress) -> None:
        tell(progress.text, progress.done, progress.total)

    try:
        lines = await caller.compare(wishes, told)
    finally:
        await caller.close()
    return await asyncio.to_thread(parse, lines)


async def _is_at_home(node: Node, peer: Peer) -> bool:
    """Tell whether the old production is failover already, so that nothing needs to be compared."""
    if node.mode is Mode.FAILOVER:
        return True
    if node.mode is Mode.PRODUCTION:
        return (await node.procedures.knock(peer)).mode is Mode.FAILOVER
    return False


def _wishes(node: Node, peer: Peer, arguments: Mapping[str, Any]) -> dict[str, Any]:
    is_serving = node.mode is Mode.PRODUCTION
    own, other = node.settings.node.name, peer.name
    here, there = (own, other) if is_serving else (other, own)
    domains = [domain.name for domain in node.settings.domains]
    prefer = prefer_of([str(text) for text in arguments.get("prefer") or ()], domains, here, there)
    policy = str(arguments.get("policy") or Policy.SERVING.value)
    wishes: dict[str, Any] = {"policy": policy} | ({"prefer": prefer} if prefer else {})
    wishes_of(wishes)
    return wishes


def _other(node: Node, command: str, name: object) -> Peer:
    """Return the other node: who serves, or on the serving node who comes home. Blocking; RefusedError."""
    own, (mode, term) = node.settings.node.name, node.mode_and_term()
    if command == REJOIN and mode is not Mode.FENCED:
        what = "is production" if mode is Mode.PRODUCTION else "is a failover server already"
        raise RefusedError(f"{own} {what}: only a node that was production and has been replaced rejoins")
    if mode is not Mode.PRODUCTION:
        found = peer_by_node_id(node.store, term.node_id)
        if found is None:
            raise RefusedError(f"{own} does not know which node serves: it has heard of no promotion of a paired node")
        return found
    known = {peer.node_id: peer for peer in peers(node.store)}
    if name is not None:
        chosen = [peer for peer in known.values() if peer.name == name]
        if not chosen:
            raise ConfigurationError(f"there is no paired node {name!a}: `syncer status` names them")
        return chosen[0]
    standings = (read_standing(node.store, domain.name) for domain in node.settings.domains)
    sources = {standing.source_node for standing in standings if standing is not None} & known.keys()
    if len(sources) != 1:
        what = "never received anything" if not sources else "has received from several nodes"
        raise RefusedError(f"{own} is production and {what}: name the node that is to be production again")
    return known[sources.pop()]
