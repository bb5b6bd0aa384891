"""Where a node that was failover and is production now brings home what stands here, and by what rules."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from syncer.config import FailoverSettings, Settings
from syncer.config.address import DEFAULT_PORT, Address, is_ip
from syncer.errors import SyncerError
from syncer.node.introduced import introduced_targets
from syncer.state.cursors import read_standing, read_target, tie_target
from syncer.state.peer_addresses import addresses_of, reach_of
from syncer.state.peers import peer_by_node_id
from syncer.state.rules import rule_set
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, RulesError, RuleSet, disagreement

log = logging.getLogger(__name__)

TIMEOUT = 10.0
RETRY = 1.0, 60.0
"""As a [[failover]] table has them where it says nothing (seconds)."""
MOST_ADDRESSES = 16
"""Tried of a node that has more."""


class PeerFacts(NamedTuple):
    """What is known of the node that domains here came from."""

    node_id: str
    name: str
    port: int
    """0: it said none."""
    came_from: str
    """The address that it last came from; "" where that is not known."""
    addresses: tuple[str, ...]
    """As it said itself."""
    domains: Mapping[str, RuleSet]
    """Which came from it, with the rules by which it rendered what stands here."""


def home_rules(configured: RuleSet, kept: RuleSet) -> tuple[RuleSet, str]:
    """Return the rules that lead home, for one domain; and why they cannot be used, "" where they can.

    `configured` are those of the [[failover]] table, `kept` those by which what stands here was rendered.
    """
    if not configured.rules:
        return kept.inverse(), ""
    return configured, disagreement(configured, kept)


def derived_target(settings: Settings, facts: PeerFacts) -> FailoverSettings | None:
    """Return the target that a node is which no [[failover]] table names; None where one does.

    Raises RulesError where the rules of its domains are too many to be those of one target.
    """
    if any(target.name == facts.name for target in settings.failover if not target.is_derived):
        return None
    names = {domain.name for domain in settings.domains}
    first, *further = _addresses(facts)
    return FailoverSettings(
        name=facts.name,
        address=first,
        automatic=True,
        timeout=TIMEOUT,
        domains=tuple(name for name in facts.domains if name in names),
        retry_min=RETRY[0],
        retry_max=RETRY[1],
        rules=RuleSet.joined({name: rules.inverse() for name, rules in facts.domains.items() if name in names}),
        further=tuple(further),
        is_derived=True,
    )


def with_way_home(settings: Settings, store: StateStore) -> Settings:
    """Return the settings of a node that becomes production: with the targets that what stands here came from.

    Ties their names to the nodes. Blocking; raises StateError.
    """
    targets = list(without_way_home(settings).failover)
    known = {record.node_id for target in targets if (record := read_target(store, target.name)) is not None}
    for facts in facts_of(settings, store):
        if facts.node_id in known:
            continue
        try:
            derived = derived_target(settings, facts)
        except RulesError as error:
            log.warning("%s is no target before a [[failover]] table names it: %s", facts.name, error)
            continue
        if not tie_target(store, facts.name, facts.node_id):
            log.warning("another paired node has the name %s: write a [[failover]] table for this one", facts.name)
        elif derived is not None:
            targets.append(derived)
            known.add(facts.node_id)
    named = replace(settings, failover=tuple(targets))
    targets += introduced_targets(named, store, known)
    return replace(settings, failover=tuple(targets))


def without_way_home(settings: Settings) -> Settings:
    """Return the settings of a node that is production no more: with the configured targets only."""
    return replace(settings, failover=tuple(target for target in settings.failover if not target.is_derived))


def facts_of(settings: Settings, store: StateStore) -> list[PeerFacts]:
    """Return the nodes that the configured domains came from and that are paired; StateError."""
    found: dict[str, dict[str, RuleSet]] = {}
    for domain in settings.domains:
        standing = read_standing(store, domain.name)
        if standing is not None and standing.source_node != store.node_id:
            found.setdefault(standing.source_node, {})[domain.name] = kept_rules(store, standing.rule_hash)
    facts = []
    for node_id, domains in found.items():
        peer = peer_by_node_id(store, node_id)
        if peer is not None:
            port, came_from = reach_of(store, node_id)
            facts.append(PeerFacts(node_id, peer.name, port, came_from, addresses_of(store, node_id), domains))
    return facts


def kept_rules(store: StateStore, digest: bytes) -> RuleSet:
    """Return the rules with this hash; SyncerError where they were lost."""
    encoded = rule_set(store, digest) if digest else None
    if encoded is not None:
        return RuleSet.decode(encoded)
    if digest:
        raise SyncerError(
            f"node.db: the substitution rules {digest.hex()[:16]} are missing, by which what stands here was rendered; "
            "restore a backup of the state"
        )
    return EMPTY


def addresses_to(store: StateStore, node_id: str) -> list[str]:
    """Return where a paired node is looked for, by what it said itself, the likeliest first; blocking."""
    port, came_from = reach_of(store, node_id)
    return _in_order(port, came_from, addresses_of(store, node_id))


def _addresses(facts: PeerFacts) -> list[str]:
    """Return where a node is looked for, the likeliest first; by its name where it never said anything."""
    found = _in_order(facts.port, facts.came_from, facts.addresses)
    return found or [str(Address(facts.name, facts.port or DEFAULT_PORT))]


def _in_order(port: int, came_from: str, addresses: Collection[str]) -> list[str]:
    said = sorted(addresses, key=lambda text: not is_ip(text))
    hosts = dict.fromkeys([*filter(None, [came_from]), *said])
    return [str(Address(host, port or DEFAULT_PORT)) for host in hosts][:MOST_ADDRESSES]


def came_from(peer: str) -> str:
    """Return the address in gRPC's name of who is at the other end of a call; "" where there is none in it."""
    scheme, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    try:
        # A link-local address means nothing without its interface.
        found = ip_address(host) if scheme in ("ipv4", "ipv6") else None
    except ValueError:
        return ""
    return "" if found is None or found.is_link_local else str(getattr(found, "ipv4_mapped", None) or found)
