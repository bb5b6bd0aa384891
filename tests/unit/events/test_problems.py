"""Problems as events: what triggers believe to be one is one, however many there are, also over restarts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.events.journal import EventJournal
from syncer.events.matching import Matcher, memories_of, problems_told
from syncer.events.memory import Memory
from syncer.events.notice import ALARM, RECOVERY, Notice
from syncer.events.problems import NAMED_AT_ONCE, REST, ProblemChanges, StandingProblems
from syncer.events.states import begun
from syncer.events.triggers import DOUBT_SECONDS, Happened, Rule, start, take
from syncer.model import Problem
from syncer.state.store import StateStore

RULE = Rule("t", "problem", lambda _: True, 0.0, 0.0, True)


def problems(numbers: Sequence[int] | set[int], reason: str = "is a FIFO") -> list[Problem]:
    return [Problem("d", b"p/p%d" % number, reason) for number in sorted(numbers)]


class Seen:
    """A trigger that reads what is raised, and an agent that is restarted whenever a test likes."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.now = 1000.0
        self.events = 0
        self.changes = ProblemChanges("", "d", self)

    def __call__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.events += 1
        if name == "problem":
            again = begun(name, variables) in self.memory.lasting
            assert again or variables["path"] not in self.paths()
        else:
            assert variables["path"] in self.paths(), "only what was raised is cleared"
        take(RULE, self.memory, Happened(self.now, name, variables), self.now)

    def restart(self) -> None:
        self.now += 10.0
        told = [state.variables for state in self.memory.lasting.values()]
        self.changes = ProblemChanges("", "d", self, StandingProblems(told))
        start(RULE, self.memory, self.now)

    def paths(self) -> set[str]:
        return {str(state.variables["path"]) for state in self.memory.lasting.values()}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["now", "now", "now", "restart", "part"]),
        st.one_of(
            st.sets(st.integers(0, 99), max_size=100),
            st.integers(0, 100).map(lambda most: set(range(most))),
            st.integers(0, 100).map(lambda least: set(range(least, 100))),
        ),
        st.sampled_from(["is a FIFO", "is a socket"]),
    ),
    max_size=30,
)


@given(STEPS)
def test_what_triggers_see_is_the_named_problems_and_the_rest_if_there_is_more(
    steps: list[tuple[str, set[int], str]],
) -> None:
    seen = Seen()
    for step, numbers, reason in steps:
        found = problems(numbers, reason)
        if step == "restart":
            seen.restart()
            # Capture knows a part of it first.
            seen.changes.now(found[: len(found) // 2], whole=False)
        if step == "part":
            before = seen.paths()
            seen.changes.now(found, whole=False)
            assert before <= seen.paths()
        seen.changes.now(found)
        paths = {problem.path.decode() for problem in found}
        named = seen.paths() - {REST}
        assert named <= paths
        assert len(named) <= NAMED_AT_ONCE
        assert (REST in seen.paths()) == bool(paths - named)
        assert not any(state.doubted for state in seen.memory.lasting.values())
    seen.changes.now(())
    assert seen.paths() == set()


def test_three_hundred_in_small_batches_leave_nothing_behind() -> None:
    seen = Seen()
    for most in range(0, 301, 7):
        seen.changes.now(problems(set(range(most))))
    assert len(seen.paths()) == NAMED_AT_ONCE + 1
    # The rest is told at twice the number, not with every batch.
    assert seen.events < NAMED_AT_ONCE + 10
    for least in range(0, 301, 11):
        seen.changes.now(problems(set(range(least, 300))))
    seen.changes.now(())
    assert seen.paths() == set()
    assert seen.events < 2 * NAMED_AT_ONCE + 12
    seen.changes.now(problems({117}))
    assert [state.since for state in seen.memory.lasting.values()] == [seen.now]


def test_the_names_and_the_rest_stay_over_a_restart_and_count_once() -> None:
    seen = Seen()
    # The first twenty that came are not the first twenty in order.
    seen.changes.now(problems(set(range(50, 70))))
    seen.changes.now(problems(set(range(100))))
    before = {subject: state.times for subject, state in seen.memory.lasting.items()}
    seen.restart()
    seen.changes.now(problems(set(range(100))))
    assert {subject: state.times for subject, state in seen.memory.lasting.items()} == before
    seen.restart()
    seen.changes.now(problems({1, 2, 50}))
    assert seen.paths() == {"p/p50", REST}
    seen.changes.now(problems({50}))
    assert seen.paths() == {"p/p50"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with StateStore.open(tmp_path, create=True) as found:
        yield found


@pytest.mark.parametrize("seen_before", [True, False], ids=["seen", "unseen"])
def test_one_problem_is_told_once_over_a_crash_and_its_end_too(store: StateStore, seen_before: bool) -> None:
    """The agent is killed before or after its triggers have read the event; the next one tells it again."""
    journal = EventJournal(store, "n")
    notices: list[Notice] = []

    def agent(now: float) -> tuple[Matcher, ProblemChanges]:
        changes = ProblemChanges("", "d", raise_event, StandingProblems(problems_told(store, journal)))
        matcher = Matcher(store, journal, [RULE], "n")
        matcher.start(now)
        return matcher, changes

    def raise_event(name: str, variables: Mapping[str, Any]) -> None:
        with store.transaction():
            journal.raise_within(name, variables)

    matcher, changes = agent(1000.0)
    matcher.match(1000.0, notices.extend)
    changes.now(problems({1, 2}))
    if seen_before:
        matcher.match(1001.0, notices.extend)
    matcher, changes = agent(1010.0)
    changes.now(problems({1}))
    matcher.match(1011.0, notices.extend)
    matcher.match(1011.0 + DOUBT_SECONDS, notices.extend)
    [(_, memory)] = memories_of(store).values()
    assert [(state.times, state.doubted) for state in memory.lasting.values()] == [(1, 0.0)]
    assert [notice.times for notice in notices if notice.kind == ALARM] == [2]
    assert len([notice for notice in notices if notice.kind == RECOVERY]) == int(seen_before)
    changes.now(())
    matcher.match(5000.0 + DOUBT_SECONDS, notices.extend)
    assert notices[-1].kind == RECOVERY
    assert problems_told(store, journal) == []
