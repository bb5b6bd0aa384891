"""The state machine of triggers: throttle, after, recovery; whatever happens, what was told becomes what is true."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.events.memory import Lasting, Memory
from syncer.events.notice import ALARM, RECOVERY, SUBJECTS_LISTED, Notice
from syncer.events.states import STATES, begun, ended, subject_in_words
from syncer.events.triggers import DOUBT_SECONDS, MOST_STATES, Happened, Rule, due, speak, start, take

YES: Callable[..., bool] = lambda _: True  # noqa: E731  # a condition


def rule(**changes: Any) -> Rule:
    return Rule("t", "sync", lambda variables: not variables["success"], 60.0, 0.0, True)._replace(**changes)


def sync(success: bool, target: str = "a", domain: str = "d") -> dict[str, Any]:
    return {"success": success, "target": target, "domain": domain}


class Trigger:
    """A trigger with a clock of its own, which is restarted whenever a test likes."""

    def __init__(self, found: Rule) -> None:
        self.rule = found
        self.memory = Memory()
        self.now = 1000.0
        self.said: list[Notice] = []

    def happen(self, *events: dict[str, Any], name: str = "sync") -> list[Notice]:
        for variables in events:
            take(self.rule, self.memory, Happened(self.now, name, variables), self.now)
        return self.speak()

    def speak(self) -> list[Notice]:
        found = speak(self.rule, self.memory, "n", self.now)
        self.said += found
        return found

    def advance(self, seconds: float) -> None:
        """Let time pass as the agent does: it wakes whenever something is due."""
        end = self.now + seconds
        while (at := due(self.rule, self.memory, self.now)) is not None and at <= end:
            self.now = max(self.now, at)
            before = len(self.said)
            self.speak()
            assert len(self.said) > before or due(self.rule, self.memory, self.now) != at, "it is due for ever"
        self.now = end

    def restart(self) -> None:
        lasting = {key: Lasting.loaded(state.dumped()) for key, state in self.memory.lasting.items()}
        over = {key: Lasting.loaded(state.dumped()) for key, state in self.memory.ended.items()}
        again = Memory.loaded(self.memory.dumped(), lasting, over)
        assert again == self.memory
        self.memory = again

    def of(self, kind: str) -> list[Notice]:
        return [notice for notice in self.said if notice.kind == kind]


def test_the_first_failure_is_told_at_once_and_its_end_too() -> None:
    trigger = Trigger(rule())
    [alarm] = trigger.happen(sync(False))
    assert (alarm.kind, alarm.times, alarm.subjects, alarm.lasting) == (ALARM, 1, ("a, d",), True)
    trigger.advance(10)
    [recovery] = trigger.happen(sync(True))
    assert (recovery.kind, recovery.subjects, recovery.lasting, recovery.since) == (RECOVERY, ("a, d",), False, 1000.0)
    # Of the event that began it: a template made for that one fits.
    assert recovery.variables == sync(False)
    assert trigger.happen(sync(True)) == []


def test_ten_thousand_failures_are_no_more_than_the_throttle_allows_and_none_is_forgotten() -> None:
    trigger = Trigger(rule())
    for _ in range(10_000):
        trigger.happen(sync(False))
        trigger.advance(0.36)
    trigger.advance(60)
    assert len(trigger.of(ALARM)) == 1 + 3600 // 60
    assert sum(alarm.times for alarm in trigger.said) == 10_000
    trigger.happen(sync(True))
    assert len(trigger.of(RECOVERY)) == 1


def test_the_last_state_of_a_storm_is_told_when_the_throttle_ends() -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False))
    trigger.happen(sync(True))
    trigger.advance(1)
    assert trigger.happen(sync(False)) == []
    trigger.advance(59)
    assert [(notice.times, notice.lasting) for notice in trigger.of(ALARM)] == [(1, True), (1, True)]
    # What begins and ends in between is told as over, and has no recovery of its own.
    trigger.happen(sync(True))
    trigger.advance(1)
    trigger.happen(sync(False))
    trigger.happen(sync(True))
    trigger.advance(500)
    assert [notice.lasting for notice in trigger.of(ALARM)] == [True, True, False]
    assert len(trigger.of(RECOVERY)) == 2


def test_what_is_held_of_a_state_goes_into_the_notice_of_its_end() -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False))
    trigger.happen(sync(False))
    trigger.happen(sync(False, "b"))
    trigger.advance(1)
    trigger.happen(sync(True))
    assert [(notice.kind, notice.times) for notice in trigger.said] == [(ALARM, 1), (RECOVERY, 2)]
    trigger.advance(59)
    # Of what lasts, and was not told yet, the alarm comes; nothing of what is over.
    assert [(n.kind, n.times, n.subjects, n.lasting) for n in trigger.said[2:]] == [(ALARM, 1, ("b, d",), True)]
    trigger.happen(sync(False, "b"))
    trigger.happen(sync(True, "b"))
    # It comes back before its end was told: then what was held counts on.
    trigger.happen(sync(False, "b"))
    trigger.advance(600)
    assert [(n.kind, n.times) for n in trigger.said[3:]] == [(ALARM, 2)]


def test_without_notices_of_the_end_what_is_held_says_that_it_is_over() -> None:
    trigger = Trigger(rule(notify_recovery=False))
    for success in (False, False, True):
        trigger.happen(sync(success))
    trigger.advance(600)
    assert [(n.times, n.lasting, n.is_over) for n in trigger.said] == [(1, True, False), (1, False, True)]
    assert trigger.said[1].values({})["cure"] == ""
    stateless = Trigger(rule(event="service.failed", holds=lambda _: True))
    stateless.happen({"domain": "d"}, name="service.failed")
    assert [notice.is_over for notice in stateless.said] == [False]


def test_what_happens_at_one_moment_is_one_notice() -> None:
    trigger = Trigger(rule())
    [alarm] = trigger.happen(*(sync(False, domain=str(number)) for number in range(30)))
    assert (alarm.times, len(alarm.subjects)) == (30, SUBJECTS_LISTED)
    [recovery] = trigger.happen(*(sync(True, domain=str(number)) for number in range(30)))
    assert (recovery.kind, recovery.times) == (RECOVERY, 30)


def test_a_recovery_of_one_of_two_waits_for_the_other_at_most_a_throttle() -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False, "a"), sync(False, "b"))
    assert trigger.happen(sync(True, "a")) == []
    trigger.advance(59)
    assert trigger.of(RECOVERY) == []
    trigger.advance(1)
    [recovery] = trigger.of(RECOVERY)
    assert (recovery.subjects, recovery.lasting) == (("a, d",), True)
    # Back before its end was told: then there is nothing to tell.
    trigger.happen(sync(True, "b"), sync(False, "b"))
    trigger.advance(500)
    assert len(trigger.of(RECOVERY)) == 1


def test_an_end_says_how_long_it_lasted() -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False))
    trigger.advance(41)
    trigger.restart()
    [recovery] = trigger.happen(sync(True))
    assert recovery.lasted == 41.0
    # A silence had begun before it was called one; how long it was, its end says.
    silence = Trigger(rule(event="peer.silent", holds=YES))
    [alarm] = silence.happen({"peer": "p", "seconds": 5.0}, name="peer.silent")
    silence.advance(39)
    [recovery] = silence.happen({"peer": "p", "seconds": 44.0}, name="peer.heard")
    assert (alarm.lasted, alarm.variables["seconds"]) == (0.0, 5.0)
    assert (recovery.lasted, recovery.variables["seconds"], recovery.variables["peer"]) == (44.0, 44.0, "p")


def test_after_tells_only_what_lasts() -> None:
    trigger = Trigger(rule(after=300.0))
    trigger.happen(sync(False))
    trigger.advance(299)
    trigger.happen(sync(False))
    trigger.happen(sync(True))
    trigger.advance(1000)
    assert trigger.said == []
    trigger.happen(sync(False))
    trigger.restart()
    trigger.advance(300)
    [alarm] = trigger.said
    assert (alarm.since, alarm.at - alarm.since) == (trigger.now - 300, 300.0)


def test_without_recovery_and_for_events_that_end_nothing() -> None:
    trigger = Trigger(rule(notify_recovery=False))
    trigger.happen(sync(False))
    trigger.happen(sync(True))
    assert [notice.kind for notice in trigger.said] == [ALARM]
    successes = Trigger(rule(holds=lambda variables: variables["success"]))
    assert [notice.subjects for notice in successes.happen(sync(True))] == [()]
    other = Trigger(rule(event="service.failed", holds=YES))
    assert len(other.happen({"domain": "d"}, name="service.failed")) == 1
    assert other.happen(sync(False)) == []


def test_more_states_than_are_followed_count_all_the_same() -> None:
    trigger = Trigger(rule())
    [alarm] = trigger.happen(*(sync(False, domain=str(number)) for number in range(MOST_STATES + 5)))
    assert (alarm.times, len(trigger.memory.lasting)) == (MOST_STATES + 5, MOST_STATES)


def test_a_clock_that_was_set_back_silences_nothing_for_longer_than_the_throttle() -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False))
    trigger.now -= 86400.0
    trigger.happen(sync(False))
    trigger.advance(60)
    assert len(trigger.of(ALARM)) == 2
    trigger.happen(sync(True))
    assert len(trigger.of(RECOVERY)) == 1


def test_what_is_not_told_again_after_a_start_is_over() -> None:
    trigger = Trigger(rule(event="problem", holds=YES))
    one, two = ({"target": "", "domain": "d", "path": path, "reason": "x"} for path in "ab")
    trigger.happen(one, two, name="problem")
    trigger.restart()
    assert start(trigger.rule, trigger.memory, trigger.now)
    trigger.advance(60)
    trigger.happen(two, name="problem")
    trigger.advance(DOUBT_SECONDS)
    [recovery] = trigger.of(RECOVERY)
    assert (recovery.subjects, list(trigger.memory.lasting)) == (("d, a",), [begun("problem", two)])
    # Told again it is the same state: it is counted once, and nobody hears of it twice.
    assert (recovery.times, [state.times for state in trigger.memory.lasting.values()]) == (1, [1])
    assert [alarm.times for alarm in trigger.of(ALARM)] == [2]
    # Of an outage the end is told after a start, so nothing of it is doubted.
    outage = Trigger(rule())
    outage.happen(sync(False))
    assert not start(outage.rule, outage.memory, outage.now)


def test_what_begins_ends_somewhere_and_only_what_has_the_same_subject() -> None:
    stream = {"target": "a", "domain": "d", "path": "p", "peer": "x"}
    for name, state in STATES.items():
        subject = begun(name, {**stream, **state.having})
        assert subject is not None
        for ending in state.ends:
            assert (name, subject) in list(ended(ending.event, {**stream, **ending.having}))
            if not state.subject:
                continue
            other = dict.fromkeys(stream, "other")
            assert (name, subject) not in list(ended(ending.event, {**other, **ending.having}))
    assert begun("sync", sync(True)) is None
    assert begun("service.failed", stream) is None
    assert subject_in_words('["", ""]') == "this node"


@pytest.mark.parametrize("event", ["demoted", "fenced"])
def test_a_node_that_sends_no_more_has_no_target_that_fails(event: str) -> None:
    trigger = Trigger(rule())
    trigger.happen(sync(False, domain="one"), sync(False, domain="two"))
    assert [alarm.times for alarm in trigger.of(ALARM)] == [2]
    trigger.happen({"node": "prod-a", "before": "production"}, name=event)
    assert not trigger.memory.lasting
    [recovery] = trigger.of(RECOVERY)
    assert len(recovery.subjects) == 2


STEPS = st.one_of(
    st.tuples(st.just("event"), st.booleans(), st.sampled_from("abc")),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 7.0, 59.0, 60.0, 61.0, 300.0])),
    st.tuples(st.just("restart")),
)


@given(st.lists(STEPS, max_size=60), st.sampled_from([0.0, 60.0]), st.sampled_from([0.0, 5.0, 90.0]))
def test_whatever_happens_the_throttle_holds_and_what_was_told_becomes_true(
    steps: list[tuple[Any, ...]], throttle: float, after: float
) -> None:
    trigger = Trigger(rule(throttle=throttle, after=after))
    failing: set[str] = set()
    believed: set[str] = set()
    counted = 0
    told = 0
    over: set[str] = set()

    def read() -> None:
        """Believe what the notices say."""
        nonlocal told
        for notice in trigger.said[told:]:
            if notice.kind == RECOVERY:
                ends = {subject.partition(",")[0] for subject in notice.subjects}
                assert ends <= believed, "an end is told only of what had been told, and only once"
                believed.difference_update(ends)
                over.update(ends)
            else:
                assert not over & {subject.partition(",")[0] for subject in notice.subjects}, "nothing follows an end"
                believed.update(s.partition(",")[0] for s in notice.subjects if s.partition(",")[0] in failing)
        told = len(trigger.said)

    for step in steps:
        if step[0] == "event":
            _, success, target = step
            (failing.discard if success else failing.add)(target)
            counted += not success
            over -= set() if success else {target}
            trigger.happen(sync(success, target))
        elif step[0] == "wait":
            trigger.advance(step[1])
        else:
            trigger.restart()
        read()
    trigger.advance(10 * (throttle + after) + 1)
    read()
    assert believed == failing
    assert due(trigger.rule, trigger.memory, trigger.now) is None
    alarms = trigger.of(ALARM)
    assert sum(alarm.times for alarm in alarms) <= counted
    if not after:
        # Each event counts in an alarm, or in the notice of the end; what was told before the end is in both.
        ends = trigger.of(RECOVERY)
        assert sum(alarm.times for alarm in alarms) + sum(end.times for end in ends) >= counted
    for kind in (ALARM, RECOVERY):
        times = [notice.at for notice in trigger.of(kind)]
        assert all(later >= earlier + throttle for earlier, later in pairwise(times))
