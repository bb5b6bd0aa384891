"""Which paths became problems and which are none any more, as events: what was raised is what is cleared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from syncer.model import EventValue, Problem, RecordEvent, shown

NAMED_AT_ONCE = 20
"""Problems of one place that stand as events by name; what there is beside them shares one event."""
REST = ""
"""The path of that shared event: no problem's path, since the root itself is shown as a dot."""


@dataclass
class Place:
    """What has been raised of one place and not cleared."""

    raised: dict[str, str] = field(default_factory=dict)
    """The reason by path, with REST where there are more."""
    untold: set[str] = field(default_factory=set)
    """Those of them that were raised before the start, and not again since."""
    rest: frozenset[str] | None = None
    """The paths that share REST; None: not known since the start."""
    counted: int = 0
    """How many of them were told last."""


class StandingProblems:
    """What has been raised of every place and not cleared; each place is used by one thread at a time."""

    def __init__(self, told: Iterable[Mapping[str, EventValue]] = ()) -> None:
        """Begin with problems that were told before the start: the variables of their events."""
        self._places: dict[tuple[str, str], Place] = {}
        for variables in told:
            place = self.of(str(variables["target"]), str(variables["domain"]))
            path = str(variables["path"])
            place.raised[path] = str(variables["reason"])
            place.untold.add(path)

    def of(self, target: str, domain: str) -> Place:
        """Return one place; an empty `target` is production's own disk. For any thread."""
        return self._places.setdefault((target, domain), Place())


class ProblemChanges:
    """Compares the problems of one place with what was raised of it; used by one thread.

    A problem that comes gets a name where fewer than NAMED_AT_ONCE have one, and keeps it while it is a problem. What
    is in the rest stays there: that a named one ended makes no news of what is known.
    """

    def __init__(self, target: str, domain: str, record: RecordEvent, standing: StandingProblems | None = None) -> None:
        """Raise through `record`; an empty `target` is production's own disk."""
        self._where = {"target": target, "domain": domain}
        self._record = record
        self._place = (standing or StandingProblems()).of(target, domain)
        self._known: tuple[tuple[Problem, ...], bool] | None = None

    def now(self, problems: Sequence[Problem], *, whole: bool = True) -> None:
        """Raise what came and what went; where `problems` are not the `whole`, what lacks may still be one."""
        look = tuple(problems), whole
        if look == self._known:
            return
        self._known = look
        found = {shown(problem.path): problem.reason for problem in look[0]}
        place = self._place
        if whole:
            for path in sorted(place.raised.keys() - found.keys() - {REST}):
                self._clear(path)
        for path in sorted(found.keys() & place.raised.keys()):
            if path in place.untold or found[path] != place.raised[path]:
                self._raise(path, found[path])
        for path in self._to_name(found):
            self._raise(path, found[path])
        rest = frozenset(found.keys() - place.raised.keys())
        place.rest = rest if whole else rest | (place.rest or frozenset())
        self._sum_up(len(rest), whole=whole)

    def _to_name(self, found: Collection[str]) -> list[str]:
        place = self._place
        if place.rest is None and REST in place.raised:
            # Nobody knows which paths were in the rest before the start: none of them is news.
            return []
        new = set(found) - place.raised.keys() - (place.rest or frozenset())
        free = NAMED_AT_ONCE - len(place.raised.keys() - {REST})
        return sorted(new)[: max(0, free)]

    def _sum_up(self, count: int, *, whole: bool) -> None:
        place = self._place
        if not count:
            if whole and REST in place.raised:
                self._clear(REST)
        # While it grows it is told again at twice the number: the number is of use, and a storm makes few events.
        elif REST not in place.raised or REST in place.untold or count >= 2 * place.counted:
            place.counted = count
            self._raise(REST, f"and {count:,} more {'path' if count == 1 else 'paths'}: see `syncer status`")

    def _raise(self, path: str, reason: str) -> None:
        self._place.raised[path] = reason
        self._place.untold.discard(path)
        self._record("problem", {**self._where, "path": path, "reason": reason})

    def _clear(self, path: str) -> None:
        reason = self._place.raised.pop(path)
        self._place.untold.discard(path)
        self._record("problem.cleared", {**self._where, "path": path, "reason": reason})
