"""When a trigger speaks: a pure state machine, with events in, notices out, and the clock passed in.

An event that matches counts: at once, or, with `after`, once the state that it begins has lasted so long. What
counts is told in one alarm, at most one in each `throttle`; what comes in between is held, and told as one when the
throttle ends, so the last state of a storm is never lost. The end of a state whose alarm went out while it lasted is
told in a recovery notice: at once where nothing that was told lasts any more, else at the latest after another
`throttle`, and at most one in each `throttle`. So a trigger never makes more than two notices in that time. What is
held of a state whose end is told goes into that notice: no alarm of it follows its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from syncer.events.memory import Held, Lasting, Memory, Variables
from syncer.events.notice import ALARM, RECOVERY, SUBJECTS_LISTED, Notice
from syncer.events.states import STATES, begun, ended, is_over_with, measured, subject_in_words

MOST_STATES = 1000
"""States that one trigger follows at once; what comes beyond them counts, but its end is not told."""


DOUBT_SECONDS = 3600.0
"""What was told to last before a start, and is not told again in this time, is over: the first scan was long ago."""


class Rule(NamedTuple):
    """One trigger as the state machine sees it; times in seconds."""

    name: str
    event: str
    holds: Callable[[Variables], bool]
    """Tells whether an event of this name matches; must not raise."""
    throttle: float
    after: float
    notify_recovery: bool


class Happened(NamedTuple):
    """One event."""

    at: float
    name: str
    variables: Variables


def start(rule: Rule, memory: Memory, now: float) -> bool:
    """The agent starts: doubt what may have ended while none ran; tells whether that changed anything."""
    state = STATES.get(rule.event)
    if state is None or not state.is_told_again or not memory.lasting:
        return False
    for subject, lasting in memory.lasting.items():
        memory.lasting[subject] = lasting._replace(doubted=now + DOUBT_SECONDS)
    return True


def take(rule: Rule, memory: Memory, event: Happened, now: float) -> bool:
    """Fold one event in at `now`; tells whether it changed anything."""
    changed = False
    if event.name == rule.event and rule.holds(event.variables):
        subject = begun(event.name, event.variables)
        if subject is None or (subject not in memory.lasting and len(memory.lasting) >= MOST_STATES):
            at = min(event.at, now)
            memory.held = _with(memory.held, Held(1, at, event.variables, () if subject is None else (subject,), at))
        else:
            _go_on(rule, memory, subject, event, now)
        changed = True
    for name, subject in ended(event.name, event.variables):
        if name == rule.event and subject in memory.lasting:
            _end(rule, memory, subject, now, event.variables)
            changed = True
    if is_over_with(rule.event, event.name):
        changed = changed or bool(memory.lasting)
        for subject in list(memory.lasting):
            _end(rule, memory, subject, now, event.variables)
    return changed


def speak(rule: Rule, memory: Memory, node: str, now: float) -> list[Notice]:
    """Return the notices that are due at `now`; call it after the events of a batch, and when `due` says."""
    _not_from_the_future(memory, now)
    for subject, state in list(memory.lasting.items()):
        if state.doubted and now >= state.doubted:
            _end(rule, memory, subject, now, {})
        elif not state.ripe and now >= state.since + rule.after:
            memory.lasting[subject] = state._replace(ripe=True, held=state.times, held_since=state.since)
    said = []
    if _is_holding(memory) and now >= _alarm_due(rule, memory, now):
        said.append(_alarm(rule, memory, node, now))
        memory.held = None
        memory.alarmed = now
        for subject, state in memory.lasting.items():
            if state.ripe and (state.held or not state.told):
                memory.lasting[subject] = state._replace(told=True, held=0)
    if memory.ended and now >= _recovery_due(rule, memory):
        said.append(_recovery(rule, memory, node, now))
        memory.ended.clear()
        memory.recovered = now
    return said


def due(rule: Rule, memory: Memory, now: float) -> float | None:
    """Return when `speak` has something to do without another event; None where it never has."""
    times = [state.since + rule.after for state in memory.lasting.values() if not state.ripe]
    times += [state.doubted for state in memory.lasting.values() if state.doubted]
    if _is_holding(memory):
        times.append(_alarm_due(rule, memory, now))
    if memory.ended:
        times.append(_recovery_due(rule, memory))
    return min(times, default=None)


def _go_on(rule: Rule, memory: Memory, subject: str, event: Happened, now: float) -> None:
    """A state begins, or is said to last."""
    state = memory.lasting.get(subject)
    if state is not None and state.doubted:
        # Told again after a start: it has never ended, and who was told of it, or will be, need not hear of it twice.
        memory.lasting[subject] = state._replace(variables=event.variables, doubted=0.0)
        return
    if state is None:
        # Whose end has not been told yet has never ended for who reads the notices.
        back = memory.ended.pop(subject, None)
        since = min(event.at, now)
        state = (
            back._replace(ended=0.0, lasted=0.0) if back else Lasting(since, 0, event.variables, ripe=rule.after <= 0)
        )
    at = min(event.at, now)
    state = state._replace(times=state.times + 1, variables=event.variables, latest=at)
    if state.ripe:
        state = state._replace(held=state.held + 1, held_since=min(state.held_since, at) if state.held else at)
    memory.lasting[subject] = state


def _end(rule: Rule, memory: Memory, subject: str, now: float, end: Variables) -> None:
    """A state ends, by an event with the variables `end`; without any: it is no longer believed in."""
    state = memory.lasting.pop(subject)
    if state.told and rule.notify_recovery:
        lasted, variables = measured(rule.event, state.variables, end)
        over = state._replace(ended=now, doubted=0.0, variables=variables)
        memory.ended[subject] = over._replace(lasted=max(0.0, now - state.since) if lasted is None else lasted)
    elif state.held:
        memory.held = _with(memory.held, _held_of(subject, state))


def _held_of(subject: str, state: Lasting) -> Held:
    return Held(state.held, state.held_since, state.variables, (subject,), state.latest)


def _with(held: Held | None, more: Held) -> Held:
    """Return both as one."""
    if held is None:
        return more
    latest = held if held.latest > more.latest else more
    subjects = tuple(dict.fromkeys((*held.subjects, *more.subjects)))[:SUBJECTS_LISTED]
    return Held(held.times + more.times, min(held.since, more.since), latest.variables, subjects, latest.latest)


def _is_holding(memory: Memory) -> bool:
    return memory.held is not None or any(state.held for state in memory.lasting.values())


def _alarm_due(rule: Rule, memory: Memory, now: float) -> float:
    return now if memory.alarmed is None else memory.alarmed + rule.throttle


def _recovery_due(rule: Rule, memory: Memory) -> float:
    earliest = float("-inf") if memory.recovered is None else memory.recovered + rule.throttle
    if not any(state.told for state in memory.lasting.values()):
        return earliest
    return max(earliest, min(state.ended for state in memory.ended.values()) + rule.throttle)


def _alarm(rule: Rule, memory: Memory, node: str, now: float) -> Notice:
    held = memory.held
    for subject, state in memory.lasting.items():
        if state.held:
            held = _with(held, _held_of(subject, state))
    assert held is not None, "there is something to tell"
    lasting = any(state.ripe for state in memory.lasting.values())
    words = tuple(subject_in_words(subject) for subject in held.subjects)
    return Notice(ALARM, rule.name, rule.event, node, now, held.since, held.times, lasting, words, held.variables)


def _recovery(rule: Rule, memory: Memory, node: str, now: float) -> Notice:
    states = memory.ended
    since = min(state.since for state in states.values())
    count = sum(state.times for state in states.values())
    latest = max(states.values(), key=lambda state: state.ended)
    lasting = any(state.told for state in memory.lasting.values())
    words = tuple(subject_in_words(subject) for subject in list(states)[:SUBJECTS_LISTED])
    return Notice(
        *(RECOVERY, rule.name, rule.event, node, now, since, count, lasting, words, latest.variables, latest.lasted)
    )


def _not_from_the_future(memory: Memory, now: float) -> None:
    """A clock that was set back must not silence a trigger until it has caught up."""
    if memory.alarmed is not None:
        memory.alarmed = min(memory.alarmed, now)
    if memory.recovered is not None:
        memory.recovered = min(memory.recovered, now)
    for states in (memory.lasting, memory.ended):
        late: Mapping[str, Lasting] = {
            subject: state for subject, state in states.items() if max(state.since, state.ended) > now
        }
        for subject, state in late.items():
            states[subject] = state._replace(since=min(state.since, now), ended=min(state.ended, now))
