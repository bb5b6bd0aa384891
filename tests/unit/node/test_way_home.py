"""Where what came from a node goes home to: derived from what that node said of itself, by rules that lead back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.capture.contents import ContentCache
from syncer.config import DomainSettings, FailoverSettings, Settings
from syncer.config.settings import NodeSettings
from syncer.index.store import IndexStore
from syncer.model import Cursor, Mode, Patterns
from syncer.node.outlooks import outlook_on
from syncer.node.way_home import PeerFacts, came_from, derived_target, home_rules, with_way_home
from syncer.replicate.home_tree import HomeRendering
from syncer.replicate.rendered_tree import TargetRendering
from syncer.replicate.rendering import Rendering
from syncer.state.cursors import Standing, TargetRecord, read_target, record_target, tie_target, write_standing
from syncer.state.peer_addresses import Reach, reach_of, record_addresses, record_came_from, record_port
from syncer.state.peers import Peer, add_peer, remove_peer
from syncer.state.rules import record_rules
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY, Rule, RulesError, RuleSet

PROD, OTHER = "prod-id", "other-id"
RULES = RuleSet.of([Rule("10.0.1.10", "10.0.2.10")])


def domain(name: str) -> DomainSettings:
    return DomainSettings(name, Path("/srv") / name, Patterns(), 0.0, 0.0)


def settings(*targets: FailoverSettings, domains: tuple[str, ...] = ("nginx", "ssh")) -> Settings:
    node = NodeSettings("dr-a", Mode.FAILOVER, Path("/var/lib/syncer"), "0.0.0.0:7443", 1.0, 1.0, 1.0)
    return Settings(node, tuple(map(domain, domains)), targets, Path("/etc/syncer.toml"))


def target(name: str, rules: RuleSet = EMPTY) -> FailoverSettings:
    return FailoverSettings(name, "10.0.1.10:7443", True, 5.0, ("nginx",), 1.0, 2.0, rules=rules)


def facts(**domains: RuleSet) -> PeerFacts:
    return PeerFacts(PROD, "prod-a", 7000, "10.9.9.9", ("prod-a.example.com", "10.0.1.10", "fd00::1"), domains)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path / "state", create=True) as found:
        add_peer(found, Peer(PROD, "prod-a", b"pem", "fp", 0.0))
        yield found


def received(store: StateStore, name: str, rules: RuleSet = EMPTY, source: str = PROD) -> None:
    own = rules.for_domain(name)
    record_rules(store, source, name, own.hash, own.encode() if own.rules else b"")
    with store.transaction() as writer:
        write_standing(writer, name, Standing(Cursor("i", "r", 1), source, b"", own.hash, True, 1))


def test_a_target_is_derived_from_what_production_said_of_itself() -> None:
    found = derived_target(settings(), facts(nginx=RULES.for_domain("nginx"), mail=EMPTY))
    assert found is not None
    assert (found.name, found.domains, found.is_derived) == ("prod-a", ("nginx",), True)
    assert (found.address, *found.further) == (
        "10.9.9.9:7000", "10.0.1.10:7000", "[fd00::1]:7000", "prod-a.example.com:7000",
    )  # fmt: skip  # one list
    assert found.rules.for_domain("nginx") == RULES.inverse().for_domain("nginx")
    assert found.rules.for_domain("ssh") == EMPTY
    assert (found.start_services, found.timeout, found.retry_min, found.retry_max) == (False, 10.0, 1.0, 60.0)
    unsaid = derived_target(settings(), facts(nginx=EMPTY)._replace(port=0, came_from="", addresses=()))
    assert unsaid is not None
    assert (unsaid.address, unsaid.further) == ("prod-a:7443", ())


def test_domains_with_other_rules_keep_them_apart() -> None:
    other = RuleSet.of([Rule("10.0.1.10", "10.0.3.10")]).for_domain("ssh")
    found = derived_target(settings(), facts(nginx=RULES.for_domain("nginx"), ssh=other))
    assert found is not None
    assert found.rules.for_domain("nginx").hash == RULES.for_domain("nginx").inverse().hash
    assert found.rules.for_domain("ssh").hash == other.inverse().hash
    same = derived_target(settings(), facts(nginx=RULES.for_domain("nginx"), ssh=RULES.for_domain("ssh")))
    assert same is not None
    assert len(same.rules.rules) == 1


def test_rules_that_are_too_many_for_one_target_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.substitution.rules.MOST_RULES", 1)
    other = RuleSet.of([Rule("10.0.1.11", "10.0.2.11")])
    with pytest.raises(RulesError):
        derived_target(settings(), facts(nginx=RULES.for_domain("nginx"), ssh=other.for_domain("ssh")))


def test_a_configured_table_counts_where_its_rules_lead_back() -> None:
    assert derived_target(settings(target("prod-a")), facts(nginx=RULES)) is None
    assert home_rules(EMPTY, RULES) == (RULES.inverse(), "")
    assert home_rules(RULES.inverse(), RULES) == (RULES.inverse(), "")
    wrong = RuleSet.of([Rule("10.0.2.10", "10.0.1.99")])
    assert "does not lead back" in home_rules(wrong, RULES)[1] or "no rule" in home_rules(wrong, RULES)[1]


def test_a_node_that_becomes_production_gets_its_way_home_and_knows_the_node(store: StateStore) -> None:
    received(store, "nginx", RULES)
    record_addresses(store, PROD, ["10.0.1.10"])
    record_port(store, PROD, 7001)
    record_came_from(store, PROD, "10.0.1.11")
    assert reach_of(store, PROD) == Reach(7001, "10.0.1.11")
    found = with_way_home(settings(), store)
    [derived] = found.failover
    assert (derived.name, derived.address, derived.further) == ("prod-a", "10.0.1.11:7001", ("10.0.1.10:7001",))
    assert derived.rules.for_domain("nginx") == RULES.for_domain("nginx").inverse()
    assert read_target(store, "prod-a") == TargetRecord("prod-a", PROD, "prod-a")
    # Again, as at a reload; and with a table by now.
    assert with_way_home(found, store) == found
    configured = settings(target("prod-a"))
    assert with_way_home(configured, store) == configured
    remove_peer(store, PROD)
    assert with_way_home(found, store).failover == ()


def test_a_table_under_any_name_is_the_way_home_to_the_node_that_it_was_paired_with(store: StateStore) -> None:
    received(store, "nginx", RULES)
    configured = settings(target("the-old-one"))
    assert [found.name for found in with_way_home(configured, store).failover] == ["the-old-one", "prod-a"]
    record_target(store, TargetRecord("the-old-one", PROD, "prod-a"))
    assert with_way_home(configured, store) == configured


def test_a_name_of_another_paired_node_is_not_taken_over(store: StateStore) -> None:
    add_peer(store, Peer(OTHER, "dr-b", b"pem2", "fp2", 0.0))
    record_target(store, TargetRecord("prod-a", OTHER, "dr-b"))
    received(store, "nginx")
    assert with_way_home(settings(), store).failover == ()
    assert read_target(store, "prod-a") == TargetRecord("prod-a", OTHER, "dr-b")
    # One that was set up anew under its old name takes its place.
    remove_peer(store, OTHER)
    assert tie_target(store, "prod-a", PROD)
    assert len(with_way_home(settings(), store).failover) == 1


def test_a_domain_goes_home_only_where_it_came_from(store: StateStore, tmp_path: Path) -> None:
    received(store, "nginx", RULES)
    record_target(store, TargetRecord("prod-a", PROD, "prod-a"))
    record_target(store, TargetRecord("dr-b", OTHER, "dr-b"))
    with IndexStore.open(tmp_path / "index.db") as index:
        shared = Rendering(index.renderings, ContentCache(1))
        own = RULES.for_domain("nginx")
        home = outlook_on(store, target("prod-a"), domain("nginx"), EMPTY, shared, has_sent=False)
        assert (home.rules, type(home.outlook), home.refusal) == (own.inverse(), HomeRendering, "")
        other = outlook_on(store, target("dr-b"), domain("nginx"), own, shared, has_sent=False)
        assert (other.rules, type(other.outlook)) == (own, TargetRendering)
        assert outlook_on(store, target("dr-b"), domain("nginx"), EMPTY, shared, has_sent=False).outlook is None
        wrong = RuleSet.of([Rule("10.0.2.10", "10.0.1.99")])
        refused = outlook_on(store, target("prod-a"), domain("nginx"), wrong, shared, has_sent=False)
        assert refused.refusal.startswith("domain nginx cannot go home to prod-a, where it came from: ")
        # Who has sent before has rules of its own, and may change them.
        changed = outlook_on(store, target("prod-a"), domain("nginx"), wrong, shared, has_sent=True)
        assert (changed.rules, type(changed.outlook), changed.refusal) == (wrong, TargetRendering, "")


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.1.10:5000", "10.0.1.10"),
        ("ipv6:%5Bfd00::1%5D:5000", "fd00::1"),
        ("ipv6:[::ffff:10.0.1.10]:5000", "10.0.1.10"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", ""),
        ("unix:/run/sock", ""),
        ("", ""),
    ],
)
def test_an_address_is_read_from_how_grpc_names_a_peer(peer: str, address: str) -> None:
    assert came_from(peer) == address
