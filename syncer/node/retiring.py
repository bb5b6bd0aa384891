"""Retires a node: its identity is refused for good, and all that runs with it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import ConfigurationError, RefusedError
from syncer.model import Mode
from syncer.node.introduced import stated_addresses
from syncer.node.reload_plan import plan
from syncer.node.way_home import addresses_to, with_way_home
from syncer.state.cursors import read_standing, read_target
from syncer.state.introductions import Retired, retired_nodes
from syncer.state.peers import Peer, peers
from syncer.state.term import read_term
from syncer.trust.believing import retire as record_retired
from syncer.trust.introductions import Retirement, sign

if TYPE_CHECKING:
    from syncer.node.agent import Node

log = logging.getLogger(__name__)


class Retiring(NamedTuple):
    """What retiring a node comes to."""

    peer: Peer
    targets: tuple[str, ...]
    """Names under which it is a target of this node."""
    configured: tuple[str, ...]
    """Those of them that stand in the configuration."""
    sources: tuple[str, ...]
    """Domains that came from it: after that they cannot go home to it."""
    procedures: tuple[str, ...]
    """Ids of the open ones with it."""
    told: tuple[str, ...]
    """Names of the nodes that are told."""


def plan_of(node: Node, name: str) -> Retiring:
    """Return what retiring the paired node of this name or id comes to; blocking.

    Raises ConfigurationError where there is none or more than one, RefusedError where it is retired already.
    """
    peer = _peer_of(node, name)
    targets = {target.name: target for target in node.settings.failover}
    records = {key: read_target(node.store, key) for key in (*targets, peer.name)}
    names = tuple(key for key, record in records.items() if record is not None and record.node_id == peer.node_id)
    standings = {domain.name: read_standing(node.store, domain.name) for domain in node.settings.domains}
    return Retiring(
        peer,
        names,
        tuple(key for key in names if key in targets and not targets[key].is_derived),
        tuple(key for key, found in standings.items() if found is not None and found.source_node == peer.node_id),
        tuple(
            known.procedure.id for known in node.procedures.journal.unsettled() if known.procedure.peer == peer.node_id
        ),
        tuple(other.name for other in peers(node.store) if other.node_id != peer.node_id),
    )


async def retire(node: Node, chosen: Retiring) -> None:
    """Retire a node for good, durably, and have all others told. Raises RefusedError off production, StateError."""
    if node.mode is not Mode.PRODUCTION:
        raise RefusedError(f"{node.settings.node.name} is not production, and only production retires a node")
    await asyncio.to_thread(_record, node, chosen)
    await follow_retirement(node, chosen.peer.node_id, chosen.peer.name, node.settings.node.name, chosen.targets)
    node.introducing.look()


async def follow_retirement(node: Node, node_id: str, name: str, by: str, targets: tuple[str, ...] = ()) -> None:
    """End what runs with a node that was retired, after that was made durable; `targets` are its names here."""
    if node_id == node.store.node_id:
        log.error("this node was retired by %s: its identity is refused everywhere", by)
        node.events.record("retired", by=by, reason=_own_sentence(node))
        return
    log.warning("%s (node %s) was retired by %s", name, node_id, by)
    node.events.record("peer.retired", peer=name, peer_id=node_id, by=by)
    if node.failover is not None:
        node.failover.receiver.end_of(node_id, f"{name} was retired by {by}")
    for target in targets:
        if node.production is not None:
            node.production.drop(target)
    await node.procedures.give_up(node_id, f"{name} was retired")
    await _without_its_targets(node)


async def _without_its_targets(node: Node) -> None:
    """Have the derived targets be those of the nodes that are still known."""
    async with node.modes.changing:
        # RACE: what is a target depends on the mode, which stands still only now.
        if node.production is None:
            return
        found = await asyncio.to_thread(with_way_home, node.settings, node.store)
        if found.failover != node.settings.failover:
            await node.production.reload(plan(node.settings, found))
            node.settings = found


def _peer_of(node: Node, name: str) -> Peer:
    found = [peer for peer in peers(node.store) if name in (peer.name, peer.node_id)]
    record = read_target(node.store, name)
    if not found and record is not None:
        found = [peer for peer in peers(node.store) if peer.node_id == record.node_id]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(peer.node_id for peer in found)
        raise ConfigurationError(f"more than one paired node has the name {name!a}: give the id of one ({ids})")
    gone = [item for item in retired_nodes(node.store) if name in (item.name, item.node_id)]
    if gone:
        raise RefusedError(gone[0].sentence)
    known = ", ".join(peer.name for peer in peers(node.store)) or "none"
    raise ConfigurationError(f"no paired node has the name {name!a} (paired: {known})")


def _record(node: Node, chosen: Retiring) -> None:
    peer, store = chosen.peer, node.store
    own = store.node_id
    statement = Retirement(own, read_term(store), 1, peer.node_id, peer.name, peer.certificate_pem)
    of_targets = [
        address
        for target in node.settings.failover
        if target.name in chosen.targets
        for address in (target.address, *target.further)
    ]
    # Where it is told, should it come back.
    addresses = [*of_targets, *addresses_to(store, peer.node_id), *stated_addresses(store, peer.node_id)]
    signed = sign(statement, node.identity.key_pem)
    record_retired(store, statement, signed, node.settings.node.name, " ".join(dict.fromkeys(addresses)))


def _own_sentence(node: Node) -> str:
    found: Retired | None = next(
        (item for item in retired_nodes(node.store) if item.node_id == node.store.node_id), None
    )
    return found.sentence if found is not None else ""
