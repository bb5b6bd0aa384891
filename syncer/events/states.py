"""Which events begin a state that lasts, and which end it: the table behind `after` and recovery notices (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from syncer.model import EventValue

Variables = Mapping[str, EventValue]


_NOTHING: Variables = MappingProxyType({})


class Ending(NamedTuple):
    """An event that ends a state; with `having`, only where its variables have these values."""

    event: str
    having: Variables = _NOTHING


class State(NamedTuple):
    """A state that an event begins."""

    subject: tuple[str, ...]
    """The variables that tell one state of this kind from another; the ending events have them, too."""
    ends: tuple[Ending, ...]
    having: Variables = _NOTHING
    """What the beginning event's variables must have."""
    is_told_again: bool = False
    """After a start of the agent it is told again where it lasts; its end is not, where no agent saw it."""
    over_with: tuple[str, ...] = ()
    """Events of this node after which no such state lasts, whatever it is about: another mode ends them all."""
    measured: str = ""
    """The variable in which the event that ends it says for how many seconds it lasted: more than was known when it
    was told, since it had begun before."""


_ARRIVED = Ending("sync", {"success": True})
_STREAM = ("target", "domain")
_SENDS_NO_MORE = "demoted", "fenced"

STATES: Mapping[str, State] = {
    "sync": State(_STREAM, (_ARRIVED,), {"success": False}, over_with=_SENDS_NO_MORE),
    # Whoever is sent to again is not suspended: the agent may have been restarted in between.
    "target.suspended": State(_STREAM, (Ending("target.resumed"), _ARRIVED), over_with=_SENDS_NO_MORE),
    "target.behind": State(
        _STREAM,
        (Ending("target.caught_up"), Ending("sync", {"success": True, "changes": 0})),
        over_with=_SENDS_NO_MORE,
    ),
    "brake.engaged": State(_STREAM, (Ending("target.resumed"), _ARRIVED), over_with=_SENDS_NO_MORE),
    "check.failed": State(_STREAM, (_ARRIVED,), over_with=_SENDS_NO_MORE),
    "problem": State((*_STREAM, "path"), (Ending("problem.cleared"),), is_told_again=True, over_with=("demoted",)),
    "watch.degraded": State(("domain",), (Ending("watch.restored"),), is_told_again=True, over_with=("demoted",)),
    "frozen": State(("domain",), (Ending("thawed"),)),
    "config.refused": State((), (Ending("config.reloaded"),)),
    "peer.silent": State((), (Ending("peer.heard"),), over_with=("promoted",), measured="seconds"),
    "fenced": State((), (Ending("demoted"), Ending("promoted"))),
    "clock.skewed": State(("peer",), (Ending("clock.agreed"),)),
}


def begun(event: str, variables: Variables) -> str | None:
    """Return the subject of the state that this event begins or goes on with, None where it begins none."""
    state = STATES.get(event)
    if state is None or not _has(variables, state.having):
        return None
    return _subject(state, variables)


def ended(event: str, variables: Variables) -> Iterator[tuple[str, str]]:
    """Yield the states that this event ends: the event that began them, and their subject."""
    for name, state in STATES.items():
        if any(event == ending.event and _has(variables, ending.having) for ending in state.ends):
            yield name, _subject(state, variables)


def is_over_with(begun_by: str, event: str) -> bool:
    """Tell whether an event ends every state that another event has begun."""
    return event in STATES[begun_by].over_with if begun_by in STATES else False


def measured(event: str, variables: Variables, end: Variables) -> tuple[float | None, Variables]:
    """Return how long a state lasted, as the event that ended it says, and the variables of its beginning with that.

    None: that event does not say it.
    """
    state = STATES.get(event)
    seconds = end.get(state.measured) if state is not None else None
    if state is None or not isinstance(seconds, float):
        return None, variables
    return seconds, {**variables, state.measured: seconds}


def endings(event: str) -> str:
    """Return the events that end what `event` begins, in words; "" where it begins nothing that lasts."""
    state = STATES.get(event)
    return " or ".join(dict.fromkeys([*(ending.event for ending in state.ends), *state.over_with])) if state else ""


def subject_in_words(subject: str) -> str:
    """Return a subject as people read it; "this node" where nothing tells it from others."""
    return ", ".join(part for part in json.loads(subject) if part) or "this node"


def _has(variables: Variables, values: Variables) -> bool:
    return all(variables.get(key) == value for key, value in values.items())


def _subject(state: State, variables: Variables) -> str:
    return json.dumps([str(variables.get(key, "")) for key in state.subject])
