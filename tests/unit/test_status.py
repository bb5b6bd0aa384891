"""The exit code of a status: the gravest of all targets and domains counts."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from syncer.model import Mode
from syncer.status.exit_code import exit_code, gravest


def stream(**how: Any) -> dict[str, Any]:
    """Return a domain of a target, which streams and lacks nothing unless told otherwise."""
    counts = {"changes_behind": 0, "oldest_seconds": 0.0, "problems": [], "drift": 0}
    return {"state": "streaming", "service": None, **counts, **how}


SUSPENDED = stream(state="suspended")
UNREACHABLE = stream(state="unreachable")
LATE = stream(changes_behind=2, oldest_seconds=31.0)
FRESH = stream(changes_behind=2, oldest_seconds=29.0)
UNKNOWN = stream(changes_behind=None, oldest_seconds=None)


def code(*targets: list[dict[str, Any]], domains: tuple[dict[str, Any], ...] = (), automatic: bool = True) -> int:
    return _code(targets=[_target(found, automatic) for found in targets], domains=list(domains))


def _code(**parts: Any) -> int:
    """Return the exit code of a running production node where all is well but these parts."""
    status = {
        "agent": "running",
        "mode": Mode.PRODUCTION.value,
        "configuration": {"error": ""},
        "actions": {"waiting": 0, "given_up": 0, "lost": 0},
        "targets": [_target([stream()], automatic=True)],
        "domains": [],
        "production": None,
    }
    return exit_code({**status, **parts}, peer_timeout=30.0, behind_after=30.0)


def _target(domains: list[dict[str, Any]], automatic: bool, skew: float | None = None) -> dict[str, Any]:
    return {"automatic": automatic, "clock_skew_seconds": skew, "domains": domains}


def test_the_gravest_counts_in_whatever_order() -> None:
    for order in permutations([0, 3, 1, 5, 4]):
        assert gravest(list(order)) == 4
    assert [gravest(codes) for codes in ([0, 3, 1, 5], [0, 3, 1], [3, 0], [0], [])] == [5, 1, 3, 0, 0]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([[stream()]], 0),
        ([[FRESH]], 0),
        ([[LATE]], 3),
        ([[UNKNOWN]], 3),
        ([[stream(problems=[{}])]], 3),
        ([[stream(drift=1)]], 3),
        ([[stream(), UNREACHABLE]], 5),
        ([[UNREACHABLE, SUSPENDED]], 4),
        ([[stream()], [LATE]], 3),
        ([[LATE], [UNREACHABLE], [stream()]], 5),
        ([[UNREACHABLE], [SUSPENDED]], 4),
    ],
)
def test_each_state_has_its_code_and_several_targets_the_gravest(
    targets: list[list[dict[str, Any]]], expected: int
) -> None:
    assert code(*targets) == expected


def test_a_target_that_is_synchronized_by_hand_is_behind_as_soon_as_anything_is_missing() -> None:
    assert code([FRESH], automatic=False) == 3
    assert code([stream()], automatic=False) == 0


def test_what_production_itself_lacks_counts_though_every_target_is_level() -> None:
    assert code([stream()], domains=({"state": "unavailable", "problems": []},)) == 4
    assert code([stream()], domains=({"state": "watching", "problems": [{}]},)) == 3
    assert code([stream()], domains=({"state": "degraded", "problems": []},)) == 3


def test_a_fenced_node_is_never_green() -> None:
    assert _code(mode=Mode.FENCED.value) == 4
    assert _code(mode=Mode.FENCED.value, agent="stopped") == 5


@pytest.mark.parametrize(("skew", "expected"), [(None, 0), (4.9, 0), (-3600.0, 3), (5.1, 3)])
def test_a_clock_that_differs_is_not_green_on_either_node(skew: float | None, expected: int) -> None:
    assert _code(targets=[_target([stream()], True, skew)]) == expected
    heard: dict[str, Any] = {"seconds_since_heard": 1.0, "clock_skew_seconds": skew, "domains": []}
    assert _code(mode=Mode.FAILOVER.value, targets=[], production=heard) == expected


@pytest.mark.parametrize(
    ("silence", "domain", "expected"),
    [
        (1.0, {}, 0),
        (30.5, {}, 5),
        (None, {}, 5),
        (1.0, {"oldest_seconds": 31.0}, 3),
        (1.0, {"cursor_seq": None}, 3),
    ],
)
def test_on_failover_silence_is_gravest(silence: float | None, domain: dict[str, Any], expected: int) -> None:
    told = {"oldest_seconds": 0.0, "cursor_seq": 7, **domain}
    heard = {"seconds_since_heard": silence, "clock_skew_seconds": 0.1, "domains": [told]}
    production = None if silence is None else heard
    here: dict[str, Any] = {"state": "receiving", "problems": [], "check": None, "reload": None, "service": None}
    here["drift"] = {"count": 0}
    failover = {"mode": Mode.FAILOVER.value, "targets": [], "domains": [here], "production": production}
    assert _code(**failover) == expected
    assert _code(**failover, agent="stopped") == 5


@pytest.mark.parametrize("mode", [Mode.PRODUCTION, Mode.FAILOVER])
def test_what_a_person_was_to_hear_and_did_not_is_not_green(mode: Mode) -> None:
    heard: dict[str, Any] = {"seconds_since_heard": 1.0, "clock_skew_seconds": None, "domains": []}
    for waiting, given_up, lost, expected in ((0, 0, 0, 0), (3, 0, 0, 0), (0, 1, 0, 3), (0, 0, 1, 3)):
        actions = {"waiting": waiting, "given_up": given_up, "lost": lost}
        assert _code(mode=mode.value, actions=actions, production=heard) == expected
    assert _code(mode=mode.value, configuration={"error": "no"}, production=heard) == 3
    assert _code(agent="stopped", actions={"waiting": 0, "given_up": 1, "lost": 0}) == 5


def test_a_production_without_targets_protects_nothing() -> None:
    assert _code(targets=[]) == 3
