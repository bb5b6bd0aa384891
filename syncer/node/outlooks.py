"""How one domain goes to one target: as it is, rendered by the rules, or home."""

from __future__ import annotations

from typing import NamedTuple

from syncer.capture.keep_local import KeepLocal
from syncer.config import DomainSettings, FailoverSettings
from syncer.node.way_home import home_rules, kept_rules
from syncer.replicate.home_owners import HomeOwners
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.home_ways import HomeWays
from syncer.replicate.rendered_tree import Outlook, TargetRendering
from syncer.replicate.rendering import Rendering
from syncer.replicate.way_back import WayBack
from syncer.state.base import Base
from syncer.state.cursors import read_standing, read_target
from syncer.state.store import StateStore
from syncer.substitution.rules import RuleSet


class Chosen(NamedTuple):
    """How a domain goes to a target, and by which rules."""

    rules: RuleSet
    outlook: Outlook | None
    """None: as it is."""
    refusal: str = ""
    """Why it cannot go at all; "" where it can."""


def outlook_on(
    store: StateStore,
    target: FailoverSettings,
    domain: DomainSettings,
    rules: RuleSet,
    shared: Rendering,
    *,
    has_sent: bool,
) -> Chosen:
    """Choose for a target whose table has `rules` for the domain; `has_sent`: it has received from this node before.

    What came from that target goes home, by rules that lead back. A node that has sent before has rules of its own,
    and may change them: then it renders by these. Blocking; raises StateError.
    """
    standing = read_standing(store, domain.name)
    tied = read_target(store, target.name)
    if standing is not None and tied is not None and standing.source_node == tied.node_id:
        home, why = home_rules(rules, kept_rules(store, standing.rule_hash))
        if not why:
            ways = HomeWays(
                domain.name, home, shared, Base(store), WayBack(store, domain.name), KeepLocal(domain.keep_local)
            )
            return Chosen(home, HomeRendering(ways, HomeOwners(domain.owners)))
        if not has_sent:
            sentence = f"domain {domain.name} cannot go home to {target.name}, where it came from: {why}"
            return Chosen(rules, None, sentence)
    return Chosen(rules, TargetRendering(domain.name, rules, shared) if rules.rules else None)
