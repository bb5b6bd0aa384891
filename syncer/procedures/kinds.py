"""What a kind of procedure is made of: its steps in order, and for each what does, proves and undoes it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from syncer.errors import InvariantError
from syncer.procedures.steps import Procedure, Role, StepSpec

AGREE = StepSpec("agree", "Ask the other node whether it takes part")
"""The first step of every procedure that the other node has a part in."""

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

Tell = Callable[[str, int, int], None]
"""Tells how far a step is: in words, and so much of so much (0: not known). May be called at any rate."""


class Run(NamedTuple):
    """What a step is given."""

    procedure: Procedure
    parameters: Mapping[str, Any]
    """Of the order where the lead ordered the step, else of the procedure. On the second they are a peer's word."""
    results: Mapping[str, Mapping[str, Any]]
    """Of the steps that are done, as far as this node knows them, by their names."""
    tell: Tell


class Step(Protocol):
    """What one step does on the node that it is on.

    Whatever raises SyncerError has failed with that sentence. Any await may be cancelled: by an abort, or because the
    agent stops. What was begun and interrupted is done again or undone, so all but `require` must bear to be
    repeated. UnreachableError means that the peer is waited for; StepFailedError says whether trying again helps.
    """

    async def require(self, run: Run) -> None:
        """Make sure that the step can be done, and change nothing: a failure here is one of a step never begun."""

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Do it, and return its result (up to 1 MiB as JSON) once it is durable."""

    async def verify(self, run: Run) -> None:
        """Make sure that what was done stands; raises where it does not."""

    async def undo(self, run: Run) -> Mapping[str, Any] | None:
        """Bring back what was before `do`, however far that had come; what was never done is undone already.

        May return {"note": SENTENCE} on the lead, where not all is as before: it is told with why it was undone.
        """


class Plain:
    """A step that needs no more than `do`: others inherit from it what they leave out."""

    async def require(self, run: Run) -> None:
        """Require nothing."""

    async def do(self, run: Run) -> Mapping[str, Any]:
        """Do nothing."""
        return {}

    async def verify(self, run: Run) -> None:
        """Take the word of `do`."""

    async def undo(self, run: Run) -> Mapping[str, Any] | None:
        """Leave nothing behind to undo."""
        return None


def _as_the_procedure(run: Run) -> Mapping[str, Any]:
    return run.parameters


async def _accept(_: Procedure) -> None:
    """Take part in everything."""


class Kind(NamedTuple):
    """One kind of procedure."""

    name: str
    steps: tuple[StepSpec, ...]
    actions: Mapping[str, Step]
    """For each step by its name; those that are on the other node are not asked."""
    go_on: str = "syncer procedure {id} resume"
    """The command by which a person has it go on where it waits for one."""
    abort: str = "syncer procedure {id} abort"
    orders: Mapping[str, Callable[[Run], Mapping[str, Any]]] = {}
    """On the lead: what a step of the second is ordered with (up to 64 KiB); by default the procedure's parameters."""
    accept: Callable[[Procedure], Awaitable[None]] = _accept
    """On the second: raises RefusedError where it takes no part."""
    report: Callable[[Procedure, Mapping[str, Mapping[str, Any]]], Mapping[str, Any]] = lambda procedure, results: {}
    """On the lead, once it has ended: what is kept of it on both nodes (up to 1 MiB)."""

    @property
    def involves_second(self) -> bool:
        """Tell whether the other node has a part in it."""
        return any(spec.on is Role.SECOND for spec in self.steps)

    @property
    def all_steps(self) -> tuple[StepSpec, ...]:
        """Return the steps with the agreement that comes before them where the other node has a part."""
        return (AGREE, *self.steps) if self.involves_second else self.steps

    def ordered(self, run: Run, step: str) -> Mapping[str, Any]:
        """Return the parameters of an order."""
        return self.orders.get(step, _as_the_procedure)(run)


class Kinds:
    """The kinds of procedure that this node knows."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._kinds: dict[str, Kind] = {}
        for kind in kinds:
            self.register(kind)

    def register(self, kind: Kind) -> None:
        """Make a kind known. InvariantError where it cannot be one."""
        names = [spec.name for spec in kind.steps]
        flaws = [
            (kind.name in self._kinds, "it is known already"),
            (not names, "it has no steps"),
            (len(set(names)) != len(names) or AGREE.name in names, "two steps have the same name"),
            (not all(map(_NAME.fullmatch, [kind.name, *names])), "a name is none"),
            (sum(spec.point_of_no_return for spec in kind.steps) > 1, "it has two points of no return"),
            (set(names) != kind.actions.keys() or not kind.orders.keys() <= set(names), "steps and actions differ"),
        ]
        for is_wrong, why in flaws:
            if is_wrong:
                raise InvariantError(f"{kind.name!a} is no kind of procedure: {why}; a fault in syncer")
        self._kinds[kind.name] = kind

    def find(self, name: str) -> Kind | None:
        """Return a kind, or None where this version knows no such."""
        return self._kinds.get(name)

    def steps_of(self, name: str) -> tuple[StepSpec, ...]:
        """Return the steps of a kind; none where this version does not know it."""
        kind = self._kinds.get(name)
        return () if kind is None else kind.all_steps
