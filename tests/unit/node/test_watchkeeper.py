"""The watch over all streams and over production: each state is told once, also over restarts, and never unpaired."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from syncer.errors import StateError
from syncer.events.catalogue import checked
from syncer.model import Cursor, Mode
from syncer.node.production import Exposure
from syncer.node.watchkeeper import Watchkeeper
from syncer.replicate.lane import Heard
from syncer.replicate.progress import Decision, Phase, Step
from syncer.replicate.stream import Watched
from syncer.state.alarms import read_alarms
from syncer.state.cursors import read_progress
from syncer.state.peers import Peer, add_peer, remove_peer
from syncer.state.store import StateStore
from syncer.substitution.rules import EMPTY

CURSOR = Cursor("index", "run", 7)


@dataclass
class FakeSender:
    """A stream that stands where a test puts it."""

    target: str = "dr-a"
    domain: str = "nginx"
    lag: float = 0.0
    lag_is_whole: bool = True
    excused: bool = False
    skew: float | None = None
    head_seq: int = 7
    told: list[int] = field(default_factory=list)
    stream: Any = field(default_factory=lambda: SimpleNamespace(rules=EMPTY))

    def watched(self) -> Watched:
        seen = (self.lag, self.excused, self.skew, 0.001, self.head_seq, CURSOR, self.lag_is_whole)
        return Watched(self.target, self.domain, *seen)

    def view(self) -> Any:
        decision = Decision(Step.WAIT, Phase.UNREACHABLE, "it is down")
        return SimpleNamespace(
            target=self.target, domain=self.domain, decision=decision, last_success=5.0, last_full=4.0
        )

    def counted(self, _cursor: Cursor | None, changes: int) -> None:
        self.told.append(changes)


class FakeNode:
    """A node in the state that a test wants, which keeps what was raised."""

    def __init__(self, store: StateStore, mode: Mode) -> None:
        self.store = store
        self.mode = mode
        self.raised: list[tuple[str, dict[str, Any]]] = []
        self.flushes = 0
        self.disk_is_full = False
        self.settings = SimpleNamespace(node=SimpleNamespace(behind_after=30.0, peer_timeout=30.0))
        self.senders: dict[tuple[str, str], FakeSender] = {}
        self.production = SimpleNamespace(senders=self.senders, refusal="", exposure=lambda _: Exposure(3, 2048, 41.0))
        self.heard: dict[str, Heard] = {"nginx": Heard(), "haproxy": Heard()}
        self.failover = SimpleNamespace(receiver=SimpleNamespace(heard=lambda: self.heard))
        self.events = self

    def raise_event(self, name: str, variables: Mapping[str, Any]) -> None:
        self.raised.append((name, checked(name, {"node": "n", **variables})))

    def flush(self) -> None:
        if self.disk_is_full:
            raise StateError("node.db cannot be written: no space")
        self.flushes += 1

    def sender(self, **how: Any) -> FakeSender:
        found = FakeSender(**how)
        self.senders[found.target, found.domain] = found
        return found

    def watchkeeper(self) -> Watchkeeper:
        found = Watchkeeper(self)  # type: ignore[arg-type]  # only what a node shows
        found._counted_from = 0.0
        return found

    def names(self) -> list[str]:
        return [name for name, _ in self.raised]


def look(watchkeeper: Watchkeeper, *moments: float) -> None:
    for now in moments:
        asyncio.run(watchkeeper.look(now))


def pair(store: StateStore) -> None:
    add_peer(store, Peer("peer-id", "prod-a", b"pem", "fingerprint", 0.0))


@pytest.fixture
def production(store: StateStore) -> FakeNode:
    return FakeNode(store, Mode.PRODUCTION)


@pytest.fixture
def failover(store: StateStore) -> FakeNode:
    return FakeNode(store, Mode.FAILOVER)


def test_a_target_that_is_behind_is_told_once_with_what_it_lacks_also_over_a_restart(production: FakeNode) -> None:
    sender, other = production.sender(lag=31.0), production.sender(domain="haproxy")
    look(production.watchkeeper(), 100.0, 101.0)
    assert production.raised == [
        (
            "target.behind",
            {
                "node": "n", "target": "dr-a", "domain": "nginx", "state": "unreachable", "reason": "it is down",
                "changes": 3, "bytes": 2048, "oldest_seconds": 41.0,
            },
        )
    ]  # fmt: skip  # variables in short lines
    assert [row[:3] for row in read_alarms(production.store)] == [("target.behind", "dr-a", "nginx")]
    again = production.watchkeeper()
    # After a start it counts from there, which is no end.
    sender.lag, sender.lag_is_whole = 0.1, False
    look(again, 1.0)
    sender.lag, sender.lag_is_whole = 20.0, True
    look(again, 2.0)
    assert production.names() == ["target.behind"]
    sender.lag = 0.0
    look(again, 3.0, 4.0)
    assert production.names() == ["target.behind", "target.caught_up"]
    assert read_alarms(production.store) == []
    assert other.told == []


def test_what_a_person_has_stopped_is_no_alarm_and_has_time_to_catch_up(production: FakeNode) -> None:
    watchkeeper, sender = production.watchkeeper(), production.sender(lag=3600.0, excused=True)
    look(watchkeeper, 100.0, 101.0)
    sender.excused = False
    look(watchkeeper, 130.0)
    assert production.raised == []
    look(watchkeeper, 132.0)
    assert production.names() == ["target.behind"]


def test_a_target_that_is_gone_takes_its_alarm_along(production: FakeNode) -> None:
    watchkeeper = production.watchkeeper()
    production.sender(lag=31.0)
    look(watchkeeper, 100.0)
    production.senders.clear()
    look(watchkeeper, 101.0)
    assert production.names() == ["target.behind"]
    assert read_alarms(production.store) == []


def test_clocks_that_differ_are_told_once_for_each_target(production: FakeNode) -> None:
    watchkeeper = production.watchkeeper()
    first, second = production.sender(skew=7.5), production.sender(domain="haproxy", skew=None)
    look(watchkeeper, 1.0, 2.0)
    second.skew = 7.6
    look(watchkeeper, 3.0)
    first.skew = second.skew = None
    look(watchkeeper, 4.0)
    assert production.raised == [("clock.skewed", {"node": "n", "peer": "dr-a", "seconds": 7.5})]
    second.skew = -0.5
    look(watchkeeper, 5.0)
    assert production.raised[1:] == [("clock.agreed", {"node": "n", "peer": "dr-a", "seconds": -0.5})]


def test_what_is_late_is_counted_for_the_heartbeats_and_what_is_quiet_recorded(production: FakeNode) -> None:
    watchkeeper = production.watchkeeper()
    late, quiet = production.sender(lag=2.0), production.sender(domain="haproxy")
    look(watchkeeper, 1.0, 2.0, 3.0)
    assert late.told == [3]
    assert quiet.told == []
    late.head_seq += 1
    look(watchkeeper, 1000.0)
    assert late.told == [3, 3]
    [progress] = read_progress(production.store, "dr-a")
    assert (progress.domain, progress.cursor, progress.last_success) == ("haproxy", CURSOR, 5.0)


def test_a_full_disk_loses_no_alarm(production: FakeNode) -> None:
    watchkeeper = production.watchkeeper()
    production.sender(lag=31.0)
    production.disk_is_full = True
    look(watchkeeper, 1.0, 2.0)
    assert (production.names(), read_alarms(production.store)) == (["target.behind"], [])
    production.disk_is_full = False
    look(watchkeeper, 3.0)
    assert production.names() == ["target.behind"]
    assert len(read_alarms(production.store)) == 1


def test_nobody_is_silent_who_is_not_paired(failover: FakeNode) -> None:
    watchkeeper = failover.watchkeeper()
    look(watchkeeper, 1000.0, 2000.0)
    assert failover.raised == []
    # Who is paired now is not late already.
    pair(failover.store)
    look(watchkeeper, 2001.0, 2030.0)
    assert failover.raised == []
    look(watchkeeper, 2031.0)
    assert failover.names() == ["peer.silent"]
    remove_peer(failover.store, "peer-id")
    look(watchkeeper, 2032.0)
    assert read_alarms(failover.store) == []
    assert failover.names() == ["peer.silent"]


def test_a_production_that_never_came_is_silent_and_heard_when_it_comes_also_after_a_restart(
    failover: FakeNode,
) -> None:
    pair(failover.store)
    look(failover.watchkeeper(), 29.0, 31.0, 32.0)
    assert failover.raised == [
        ("peer.silent", {"node": "n", "peer": "prod-a", "seconds": 31.0, "ever_heard": False, "changes": 0})
    ]
    again = failover.watchkeeper()
    look(again, 1.0, 40.0)
    failover.heard["nginx"] = Heard("peer-id", "prod-a", 40.5, 12, 3.0, 2)
    look(again, 41.0, 42.0)
    assert failover.names() == ["peer.silent", "peer.heard"]
    heard = failover.raised[1][1]
    assert (heard["peer"], heard["ever_heard"], heard["changes"]) == ("prod-a", True, 2)
    assert heard["seconds"] >= 30.0


def test_one_domain_that_is_heard_is_enough_and_the_latest_word_counts(failover: FakeNode) -> None:
    pair(failover.store)
    watchkeeper = failover.watchkeeper()
    failover.heard["nginx"] = Heard("peer-id", "prod-a", 10.0)
    failover.heard["haproxy"] = Heard("peer-id", "prod-a", 50.0)
    look(watchkeeper, 79.0)
    assert failover.raised == []
    look(watchkeeper, 81.0)
    assert failover.raised[0][1]["seconds"] == 31.0


def test_a_process_that_was_stopped_itself_counts_from_when_it_goes_on(failover: FakeNode) -> None:
    pair(failover.store)
    watchkeeper = failover.watchkeeper()
    failover.heard["nginx"] = Heard("peer-id", "prod-a", 10.0)
    watchkeeper._counted_from = 500.0
    look(watchkeeper, 500.0, 529.0)
    assert failover.raised == []
    look(watchkeeper, 531.0)
    assert failover.names() == ["peer.silent"]


def test_a_production_node_hears_nobody_and_misses_nobody(production: FakeNode) -> None:
    pair(production.store)
    look(production.watchkeeper(), 1000.0)
    assert production.raised == []
