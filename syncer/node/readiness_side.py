"""Looks at everything that a promotion of this node needs, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from syncer.admin.leftovers import leftovers_here
from syncer.config import DomainSettings
from syncer.config.programs import HOOKS, missing_hooks, missing_programs
from syncer.errors import ApplyError, SyncerError
from syncer.model import Mode, Term
from syncer.node.outlooks import home_of
from syncer.node.way_home import addresses_to
from syncer.procedures.messages import Speaker
from syncer.procedures.preconditions import DomainFacts, Facts, ProductionFacts, assess
from syncer.procedures.readiness import Finding, Purpose
from syncer.replicate.lane import Heard
from syncer.services.commands import DomainCommands
from syncer.state.cursors import read_standing, read_target
from syncer.state.freezes import read_claims
from syncer.state.introductions import read_retired
from syncer.state.peers import Peer, peer_by_node_id
from syncer.trust.reach import reach

if TYPE_CHECKING:
    from syncer.leftovers.report import Report
    from syncer.node.agent import Node

SEARCH_SECONDS = 1.0
"""How long a promotion waits for the search for production's addresses; a drill waits for all of it."""
FORCED_SEARCH_SECONDS = 0.25
"""Where it is forced: nobody serves meanwhile, and what is found holds up nothing."""
ASKED_SECONDS = 3.0
"""How long a forced promotion waits for an answer of production, which is taken for dead."""
NOT_ASKED = "it was asked before"
REACH_SECONDS = 3.0
"""How long a drill waits for an answer of production, for each of its addresses."""


async def readiness(
    node: Node,
    purpose: Purpose = Purpose.PLANNED,
    *,
    thorough: bool = True,
    besides: str = "",
    asks: bool = True,
) -> list[Finding]:
    """Return what was found, in the order in which it is shown. Raises SyncerError where the state cannot be read.

    Levels are those that count for `purpose`: what only a living production can cure is no refusal where it is dead.
    `thorough`: the domains' checks are run on what stands, and it is searched for production's addresses, for a second
    at most; without, what was found last counts, and it takes milliseconds. A drill says nothing to production that
    could fence it. `besides` is the id of the procedure that asks: it hinders itself not. `asks` False: production is
    not called, since it was before.
    """
    search = FORCED_SEARCH_SECONDS if purpose is Purpose.FORCED else SEARCH_SECONDS
    said = None if asks else NOT_ASKED
    found = await facts_of(
        node, purpose, search=search if thorough else 0.0, check=thorough, besides=besides, said=said
    )
    return assess(found, purpose)


async def ask(node: Node, peer: Peer, seconds: float | None = None) -> Speaker | str:
    """Return what a node says of itself, or why it does not; after `seconds` it does not answer."""
    try:
        async with asyncio.timeout(seconds):
            return await node.procedures.knock(peer)
    except SyncerError as error:
        return str(error)
    except TimeoutError:
        return f"{peer.name} did not answer within {seconds:g} s"


async def facts_of(
    node: Node,
    purpose: Purpose,
    *,
    search: float,
    check: bool,
    besides: str = "",
    said: Awaitable[Speaker | str] | str | None = None,
) -> Facts:
    """Return what is known of this node; see `readiness`. It searches for at most `search` seconds, 0: not at all.

    `said` is or comes to what production says of itself, None: it is asked. What takes its time is done side by side.
    """
    mode, term = node.mode_and_term()
    name = node.settings.node.name
    if mode is not Mode.FAILOVER or node.failover is None:
        return Facts(name, mode, term.counter, None, "", ())
    retired = await asyncio.to_thread(read_retired, node.store, node.store.node_id)
    if retired is not None:
        return Facts(name, mode, term.counter, None, "", (), retired=retired.sentence)
    asking = asyncio.ensure_future(_production(node, purpose, said))
    searching = asyncio.ensure_future(_leftovers(node, search))
    try:
        return await _gathered(node, mode, term, asking, searching, check=check, besides=besides)
    finally:
        for task in (asking, searching):
            task.cancel()
        await asyncio.gather(asking, searching, return_exceptions=True)


async def _gathered(
    node: Node,
    mode: Mode,
    term: Term,
    asking: Awaitable[ProductionFacts | None],
    searching: Awaitable[tuple[Report | None, bool]],
    *,
    check: bool,
    besides: str,
) -> Facts:
    exposure = await asyncio.to_thread(node.alarms.exposure)
    domains = tuple([await _domain(node, domain, check=check) for domain in node.settings.domains])
    production = await asking
    found, is_searched = await searching
    return Facts(
        node.settings.node.name,
        mode,
        term.counter,
        production,
        exposure,
        domains,
        free_bytes=await asyncio.to_thread(free_bytes, node),
        missing_hooks=dict(missing_hooks(node.settings.hooks)),
        hooks=tuple(hook for hook in HOOKS if getattr(node.settings.hooks, hook)),
        open_procedures=tuple(await asyncio.to_thread(_open_procedures, node, besides)),
        frozen=tuple(dict.fromkeys(claim.domain for claim in read_claims(node.store))),
        leftovers=None if found is None else (len(found.addresses), len(found.files)),
        is_searched=is_searched,
    )


def production_of(node: Node) -> Peer | None:
    """Return the paired node that this one received from, last; None where there is none. Blocking; StateError."""
    heard: dict[str, Heard] = node.failover.receiver.heard() if node.failover is not None else {}
    sources = []
    for domain in node.settings.domains:
        standing = read_standing(node.store, domain.name)
        if standing is not None and standing.source_node != node.store.node_id:
            sources.append((heard[domain.name].at if domain.name in heard else 0.0, standing.source_node))
    for _, source in sorted(sources, reverse=True):
        peer = peer_by_node_id(node.store, source)
        if peer is not None:
            return peer
    return None


def free_bytes(node: Node) -> int | None:
    """Return the room beside node.db, in bytes; None where nobody can tell."""
    try:
        found = os.statvfs(node.settings.node.state)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


async def _production(
    node: Node, purpose: Purpose, said: Awaitable[Speaker | str] | str | None
) -> ProductionFacts | None:
    peer = await asyncio.to_thread(production_of, node)
    if peer is None:
        return None
    assert node.failover is not None, "whoever received has that side"
    spoken = [item for item in node.failover.receiver.heard().values() if item.node_id == peer.node_id]
    latest = max(spoken, key=lambda item: item.at, default=None)
    since = time.monotonic() - latest.at if latest is not None else None
    known = ProductionFacts(
        peer.name,
        answers=False,
        said="",
        seconds_since_heard=since,
        clock_skew_seconds=latest.clock_skew_seconds if latest is not None else None,
    )
    if purpose is Purpose.DRILL:
        why = await _unreached(node, peer)
        return known._replace(answers=not why, said=why)
    speaker = said if isinstance(said, str) else await (said or ask(node, peer))
    if isinstance(speaker, str):
        return known._replace(said=speaker)
    return known._replace(answers=True, mode=speaker.mode, term=speaker.term.counter)


async def _unreached(node: Node, peer: Peer) -> str:
    """Return why production does not answer, "" where it does; a term said to it could fence it, so none is."""
    addresses = await asyncio.to_thread(_addresses, node, peer.node_id)
    said = "this node does not know its address"
    for address in addresses:
        host, _, port = address.rpartition(":")
        found = await asyncio.to_thread(reach, host.strip("[]"), int(port), node.identity, REACH_SECONDS)
        if not found.error and found.fingerprint == peer.fingerprint:
            return ""
        said = f"{address}: {found.error or 'another node answers there'}"
    return said


async def _domain(node: Node, domain: DomainSettings, *, check: bool) -> DomainFacts:
    assert node.failover is not None, "the caller has looked"
    found = await asyncio.to_thread(_standing_domain, node, domain)
    if check and found.checks and "check" not in found.missing:
        # RACE: on the domain's worker: no transaction changes what is being looked at.
        failure = await node.failover.receiver.on_worker(domain.name, partial(check_standing, node, domain))
        return found._replace(check_ran=True, check_failure=failure)
    return found


def check_standing(node: Node, domain: DomainSettings) -> str:
    """Run a domain's check on what stands, on its worker; returns how it failed, "" where it did not. Records nothing.

    Raises ApplyError where the agent stops meanwhile.
    """
    assert node.failover is not None, "the caller has looked"
    standing = read_standing(node.store, domain.name)
    commands = DomainCommands(domain, node.failover.runner)
    _, term = node.mode_and_term()
    try:
        return commands.run("check", standing.generation if standing else 0, term.counter).sentence("the check")
    except ApplyError:
        raise
    except SyncerError as error:
        return str(error)


def _standing_domain(node: Node, domain: DomainSettings) -> DomainFacts:
    assert node.failover is not None, "the caller has looked"
    destination, services = node.failover.destinations[domain.name], node.failover.services[domain.name]
    heard = node.failover.receiver.heard().get(domain.name)
    life = services.life
    failure = services.check_failure
    return DomainFacts(
        domain.name,
        is_received=destination.standing() is not None,
        trouble=destination.trouble(),
        unsettled=destination.half_applied or destination.checked.trouble,
        changes_behind=heard.changes_behind if heard is not None and heard.node_id else None,
        drift=destination.drift_count,
        problems=len(destination.problems()),
        checks=bool(domain.check),
        check_failure=f"{failure.command}: {failure.exit}" if failure is not None else "",
        starts=bool(domain.start),
        tells=bool(domain.status),
        missing=dict(missing_programs(domain)),
        services=life.state.value if life is not None else "",
        services_trouble=life.detail if life is not None else "",
        home_trouble=_home_trouble(node, domain),
    )


def _home_trouble(node: Node, domain: DomainSettings) -> str:
    try:
        home = home_of(node.settings, node.store, domain)
        return home.why if home is not None else ""
    except SyncerError as error:
        return str(error)


async def _leftovers(node: Node, seconds: float) -> tuple[Report | None, bool]:
    """Return what stands here of production's addresses, and whether all was looked through; 0: nobody looks."""
    if not seconds:
        return None, True
    stopping = threading.Event()
    timer = asyncio.get_running_loop().call_later(seconds, stopping.set)
    try:
        return await leftovers_here(node, stopping), not stopping.is_set()
    finally:
        timer.cancel()
        stopping.set()


def _open_procedures(node: Node, besides: str) -> list[str]:
    return [
        f"{known.procedure.kind} with {known.procedure.peer_name} ({known.procedure.id[:8]})"
        for known in node.procedures.journal.unsettled()
        if known.procedure.id != besides
    ]


def _addresses(node: Node, node_id: str) -> list[str]:
    found = []
    for target in node.settings.failover:
        record = read_target(node.store, target.name)
        if record is not None and record.node_id == node_id:
            found += [target.address, *target.further]
    return list(dict.fromkeys([*found, *addresses_to(node.store, node_id)]))
