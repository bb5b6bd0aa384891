"""The nodes that another production has introduced, as targets of this one: where they are, and by what rules."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple

from syncer.config import FailoverSettings, Settings
from syncer.config.address import DEFAULT_PORT, Address
from syncer.state.base import Base
from syncer.state.cursors import read_standing, tie_target
from syncer.state.introductions import introductions
from syncer.state.peers import peer_by_node_id
from syncer.state.rules import rule_set
from syncer.state.store import StateStore
from syncer.substitution.composition import composed
from syncer.substitution.rules import EMPTY, RulesError, RuleSet
from syncer.trust.introductions import Introduction, Signed, read

log = logging.getLogger(__name__)

TIMEOUT = 10.0
RETRY = 1.0, 60.0
"""As a [[failover]] table has them where it says nothing (seconds)."""


class Fed(NamedTuple):
    """An introduced node: what it has of which domain, as the production said that fed this node too."""

    node_id: str
    name: str
    addresses: tuple[str, ...]
    domains: Mapping[str, RuleSet]


class Here(NamedTuple):
    """What stands here of one domain."""

    source: str
    """node_id of the production that it came from."""
    rules: RuleSet | None
    """By which that rendered it; None: they were lost."""
    has_undo: bool
    """What some file was before cannot be told from its text and the rules alone."""


def stated_addresses(store: StateStore, node_id: str) -> tuple[str, ...]:
    """Return where a node is by the word of those that introduced it (host:port); blocking."""
    found = [read(Signed(kept.body, kept.signature)) for kept in introductions(store, subject=node_id)]
    return tuple(
        dict.fromkeys(address for item in found if isinstance(item, Introduction) for address in item.addresses)
    )


def introduced_targets(settings: Settings, store: StateStore, known: Collection[str]) -> list[FailoverSettings]:
    """Return a target for each introduced node that none of `known` (node ids) is; blocking."""
    names = {domain.name for domain in settings.domains}
    here = {name: found for name in names if (found := _here(store, name)) is not None}
    configured = {target.name for target in settings.failover}
    return [
        target
        for fed in _fed(store, {found.source for found in here.values()})
        if fed.node_id not in {*known, store.node_id} and fed.name not in configured and _is_tied(store, fed)
        if (target := introduced_target(fed, here)).domains
    ]


def _is_tied(store: StateStore, fed: Fed) -> bool:
    """Let the target of its name be this node; tells whether it is: a name must never lead to another one."""
    if tie_target(store, fed.name, fed.node_id):
        return True
    log.warning(
        "another known node has the name %s: write a [[failover]] table for the one that was introduced", fed.name
    )
    return False


def introduced_target(fed: Fed, here: Mapping[str, Here]) -> FailoverSettings:
    """Return the target that an introduced node is; domains whose rules cannot be proved are refused, not guessed."""
    rules: dict[str, RuleSet] = {}
    refusals: dict[str, str] = {}
    for domain, theirs in fed.domains.items():
        if domain not in here:
            continue
        found, why = _rules_between(here[domain], theirs)
        rules[domain] = found
        if why:
            refusals[domain] = (
                f"by what rules domain {domain} is to go to {fed.name} cannot be derived: {why}; write a [[failover]] "
                f"table {fed.name} with the rules that lead there from what stands here"
            )
    try:
        joined = RuleSet.joined(rules)
    except RulesError as error:
        joined = EMPTY
        why = f"the rules for {fed.name} do not fit together ({error}): write a [[failover]] table {fed.name}"
        refusals = dict.fromkeys(rules, why)
    first, *further = fed.addresses or (str(Address(fed.name, DEFAULT_PORT)),)
    return FailoverSettings(
        name=fed.name,
        address=first,
        automatic=True,
        timeout=TIMEOUT,
        domains=tuple(rules),
        retry_min=RETRY[0],
        retry_max=RETRY[1],
        rules=joined,
        further=tuple(further),
        is_derived=True,
        refusals=tuple(refusals.items()),
    )


def _rules_between(here: Here, theirs: RuleSet) -> tuple[RuleSet, str]:
    if here.rules is None:
        return EMPTY, "the rules by which what stands here was rendered were lost"
    found, why = composed(here.rules, theirs)
    # Sets that do the same come to the same text, whatever it was before.
    if not why and here.has_undo and here.rules.hash != theirs.hash:
        return (
            EMPTY,
            "some files here cannot be told from their text and the rules alone, since they hold addresses of both",
        )
    return found, why


def _here(store: StateStore, domain: str) -> Here | None:
    standing = read_standing(store, domain)
    if standing is None:
        return None
    encoded = rule_set(store, standing.rule_hash) if standing.rule_hash else b""
    rules = None if encoded is None else RuleSet.decode(encoded) if encoded else EMPTY
    return Here(standing.source_node, rules, Base(store).has_undo(domain))


def _fed(store: StateStore, sources: Collection[str]) -> list[Fed]:
    """Return who was introduced by a node that has fed this one, and is pinned."""
    found = []
    for kept in introductions(store):
        if kept.issuer not in sources or peer_by_node_id(store, kept.subject) is None:
            continue
        said = read(Signed(kept.body, kept.signature))
        if isinstance(said, Introduction):
            found.append(Fed(said.node_id, said.name, said.addresses, said.domains))
    return found
