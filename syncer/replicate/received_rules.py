"""Which substitution rules failover lets a production node render with: such that the way back is known."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.errors import PeerProtocolError, Reason, RefusedError
from syncer.replicate.messages import Hello
from syncer.state.peer_addresses import record_addresses, record_port
from syncer.state.rules import record_rules
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, RulesError, RuleSet, disagreement


def take_rules(store: StateStore, hello: Hello, configured: Mapping[str, RuleSet]) -> None:
    """Keep the rules of a session durably, before anything of theirs arrives; and where production is reached.

    `configured` are this node's own rules by the name of the [[failover]] table, for the other direction. Raises
    PeerProtocolError for what are no rules, RefusedError where this node's are not their inverse.
    """
    rules = received(hello)
    own = configured.get(hello.node_name, EMPTY).for_domain(hello.domain)
    # Where none are configured, they are derived.
    why = disagreement(own, rules) if own.rules else ""
    if why:
        raise RefusedError(
            f"the substitution rules of domain {hello.domain} disagree with those in failover's [[failover]] table "
            f"{hello.node_name}: {why}",
            Reason.RULES_DISAGREE,
        )
    record_addresses(store, hello.node_id, hello.addresses)
    record_port(store, hello.node_id, hello.port)
    record_rules(store, hello.node_id, hello.domain, hello.rule_hash, hello.rules)


def received(hello: Hello) -> RuleSet:
    """Return the rules that a peer named; PeerProtocolError for what are none, or not those of the hash."""
    if not hello.rules and not hello.rule_hash:
        return EMPTY
    try:
        rules = RuleSet.decode(hello.rules)
    except RulesError as error:
        raise PeerProtocolError(f"the peer sent substitution rules that cannot be: {error}") from error
    if rules.hash != hello.rule_hash:
        raise PeerProtocolError("the peer sent substitution rules under the hash of others")
    return rules
