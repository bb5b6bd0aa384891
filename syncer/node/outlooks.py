"""How one domain goes to one target: as it is, rendered by the rules, or home."""

from __future__ import annotations

from typing import NamedTuple

from syncer.capture.keep_local import KeepLocal
from syncer.config import DomainSettings, FailoverSettings, Settings
from syncer.node.home_decisions import obey
from syncer.node.way_home import home_rules, kept_rules
from syncer.replicate.home_owners import HomeOwners
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.home_ways import HomeWays
from syncer.replicate.rendered_tree import Outlook, TargetRendering
from syncer.replicate.rendering import Rendering
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.cursors import read_standing, read_target
from syncer.state.peers import peer_by_node_id
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, RuleSet


class Chosen(NamedTuple):
    """How a domain goes to a target, and by which rules."""

    rules: RuleSet
    outlook: Outlook | None
    """None: as it is."""
    refusal: str = ""
    """Why it cannot go at all; "" where it can."""


class Home(NamedTuple):
    """Where a domain would go home to, and by which rules."""

    name: str
    """Of the node that it came from."""
    rules: RuleSet
    why: str = ""
    """Why it could not; "" where it could."""


def home_outlook(store: StateStore, domain: DomainSettings, rules: RuleSet, shared: Rendering) -> HomeRendering:
    """Return how a domain goes home by `rules`."""
    ways = HomeWays(domain.name, rules, shared, Base(store), WayBack(store, domain.name), KeepLocal(domain.keep_local))
    return HomeRendering(ways, HomeOwners(domain.owners))


def home_of(settings: Settings, store: StateStore, domain: DomainSettings) -> Home | None:
    """Tell how a domain would go home were this node production; None where it never came from another.

    Ties no name to any node, unlike the promotion itself. Blocking; raises SyncerError where its rules were lost.
    """
    standing = read_standing(store, domain.name)
    if standing is None or standing.source_node == store.node_id:
        return None
    kept = kept_rules(store, standing.rule_hash)
    peer = peer_by_node_id(store, standing.source_node)
    if peer is None:
        why = f"the node that domain {domain.name} came from is not paired with this one any more: it cannot go home"
        return Home("", kept.inverse(), why)
    for target in settings.failover:
        tied = read_target(store, target.name)
        if target.name != peer.name and (tied is None or tied.node_id != peer.node_id):
            continue
        if domain.name not in target.domains:
            why = f"the [[failover]] table of {target.name} does not name domain {domain.name}: it would not go home"
            return Home(peer.name, kept.inverse(), why)
        rules, why = home_rules(target.rules.for_domain(domain.name), kept)
        said = f"domain {domain.name} cannot go home to {target.name}, where it came from: {why}" if why else ""
        return Home(peer.name, rules, said)
    return Home(peer.name, home_rules(EMPTY, kept)[0])


def outlook_on(
    store: StateStore,
    target: FailoverSettings,
    domain: DomainSettings,
    rules: RuleSet,
    shared: Rendering,
    *,
    has_sent: bool,
    decided: bool = True,
) -> Chosen:
    """Choose for a target whose table has `rules` for the domain; `has_sent`: it has received from this node before.

    What came from that target goes home, by rules that lead back. A node that has sent before has rules of its own,
    and may change them: then it renders by these. `decided`: what was decided for its homecoming counts. Blocking;
    raises StateError.
    """
    standing = read_standing(store, domain.name)
    tied = read_target(store, target.name)
    if standing is not None and tied is not None and standing.source_node == tied.node_id:
        home, why = home_rules(rules, kept_rules(store, standing.rule_hash))
        if not why:
            outlook = home_outlook(store, domain, home, shared)
            if decided:
                obey(store, outlook.ways, tied.node_id)
            return Chosen(home, outlook)
        if not has_sent:
            sentence = f"domain {domain.name} cannot go home to {target.name}, where it came from: {why}"
            return Chosen(rules, None, sentence)
    return Chosen(rules, TargetRendering(domain.name, rules, shared) if rules.rules else None)
