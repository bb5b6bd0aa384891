"""What does not happen is told once, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.events.catalogue import checked
from syncer.node.lateness import Lag, Silence
from syncer.node.production import Exposure


class Recorder:
    def __init__(self) -> None:
        self.raised: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.raised.append((name, checked(name, {"node": "n", **variables})))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.raised]


def test_silence_is_told_after_its_time_and_its_end() -> None:
    record = Recorder()
    silence = Silence(30.0, 100.0, record)
    for now in (101.0, 130.0):
        silence.look("prod-a", None, now)
    assert record.names == []
    # Production never came.
    for now in (131.0, 150.0):
        silence.look("prod-a", None, now)
    assert record.raised == [("peer.silent", {"node": "n", "peer": "prod-a", "seconds": 31.0})]
    for now in (151.0, 160.0):
        silence.look("prod-a", now, now)
    assert record.raised[1:] == [("peer.heard", {"node": "n", "peer": "prod-a", "seconds": 51.0})]
    silence.look("prod-a", 160.0, 191.0)
    silence.look("prod-a", 191.5, 192.0)
    assert record.names == ["peer.silent", "peer.heard"] * 2


def test_the_first_word_after_a_start_is_told_since_somebody_may_know_of_a_silence() -> None:
    record = Recorder()
    silence = Silence(30.0, 100.0, record)
    for now in (101.0, 102.0, 103.0):
        silence.look("prod-a", now, now)
    assert record.names == ["peer.heard"]


def test_a_target_is_behind_until_it_has_everything() -> None:
    record = Recorder()
    lag = Lag("dr-a", "nginx", 30.0, record)
    for changes, seconds in ((0, 0.0), (3, 29.0), (3, 31.0), (4, 90.0), (1, 2.0), (0, 0.0), (0, 0.0)):
        lag.look(Exposure(changes, 10, seconds))
    lag.look(None)
    assert record.names == ["target.behind", "target.caught_up"]
    assert record.raised[0][1] == {
        "node": "n",
        "target": "dr-a",
        "domain": "nginx",
        "changes": 3,
        "bytes": 10,
        "seconds": 31.0,
    }
