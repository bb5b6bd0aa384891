"""Planned and forced promotions of two whole nodes: to the end, undone from every step, and cut anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from syncer.errors import StepFailedError
from syncer.model import Term
from syncer.node.agent import Node
from syncer.node.kinds import PROMOTE, PROMOTE_FORCED
from syncer.procedures.journal import Known
from syncer.procedures.kinds import Run, Step
from syncer.procedures.steps import Outcome, Role
from syncer.procedures.switching import PLANNED
from syncer.replicate.fencing import Rank
from syncer.state.handover import read_handover
from syncer.state.peers import Peer, peers
from syncer.status import node_status
from tests.sampling import sampled
from tests.unit.node.running import F, P, Place, Two, X, contents, run, two, until

__all__ = ["two"]


def the_peer(node: Node) -> Peer:
    [peer] = peers(node.store)
    return peer


def known(node: Node, procedure: str) -> Known:
    found = node.procedures.journal.read(procedure)
    assert found is not None
    return found


def is_over(node: Node, procedure: str) -> bool:
    found = node.procedures.journal.read(procedure)
    return found is not None and found.journal.outcome is not Outcome.OPEN


async def begin(lead: Node, kind: str = PROMOTE, **parameters: Any) -> str:
    return (await lead.procedures.begin(kind, the_peer(lead), parameters)).id


async def ended(lead: Node, second: Node | None, procedure: str) -> Known:
    """Return the procedure of the lead once both know that it is over."""
    await until(lambda: is_over(lead, procedure), f"it is over: {shown(lead)}")
    if second is not None:
        await until(lambda: is_over(second, procedure), "the other knows")
    return known(lead, procedure)


def shown(node: Node) -> str:
    return str([(item["waits_for"], item["reason"]) for item in node_status(node)["procedures"]])


def at_rest(two: Two, count: int = 3) -> Callable[[], object]:
    for number in range(count):
        (two.a.root / f"file{number}").write_text(str(number))
    return lambda: len(contents(two.b.root)) == count


def log_of(place: Place) -> list[str]:
    """Return what the commands and hooks of a place have written."""
    found = place.folder / "log"
    lines = found.read_text().split("\n")[:-1] if found.exists() else []
    # A check runs with every transaction, too.
    return [line for line in lines if line != "check"]


def with_services(place: Place, *targets: Place, start: str = "", node: str = "") -> None:
    """Configure services that are a file, and hooks; each command writes a line of a log."""
    service, log = place.folder / "service", place.folder / "log"

    def command(name: str, line: str) -> str:
        return f'{name} = ["/bin/sh", "-c", "echo {name} $SYNCER_HOOK >> {log}; {line}"]\n'.replace(" $SYNCER_HOOK", "")

    domain = command("start", start or f"touch {service}") + command("stop", f"rm -f {service}")
    domain += f'status = ["/bin/sh", "-c", "test -e {service} || exit 3"]\n'
    domain += command("freeze", f"rm -f {service}") + command("check", "true")
    hooks = "".join(
        command(hook, "true") for hook in ("before_promote", "after_promote", "before_demote", "after_demote")
    )
    place.write(*targets, node=node, domain=domain + f"[hooks]\n{hooks}")


def test_a_planned_promotion_hands_the_role_over_and_nothing_is_lost(two: Two) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            procedure = await begin(b)
            # A change until the very end arrives as well.
            (two.a.root / "late").write_text("late")
            done = await ended(b, a, procedure)
            assert done.journal.outcome is Outcome.FINISHED, done.journal.abort
            term = Term(2, two.b.node_id)
            assert (a.modes.rank(), b.modes.rank()) == (Rank(F, term), Rank(P, term))
            assert contents(two.b.root) == contents(two.a.root)
            assert (two.b.folder / "service").exists()
            assert not (two.a.folder / "service").exists()
            assert log_of(two.a) == ["before_demote", "freeze", "stop", "after_demote"]
            assert log_of(two.b) == ["before_promote", "start", "after_promote"]
            # Nothing to be alarmed about: it gave the role away itself.
            assert two.a.raised(a, "fenced", "split_brain") == []
            assert [told["term"] for _, told in two.b.raised(b, "promoted")] == [2]
            assert read_handover(a.store) is None
            # The stream goes the other way at once.
            (two.b.root / "homeward").write_text("x")
            await until(lambda: contents(two.a.root) == contents(two.b.root), "a change goes to the old production")
        async with two.a.running() as a:
            assert a.mode is F
            assert two.a.raised(a, "fenced") == []

    run(work())


class Spoilt:
    """A real step that fails behind its action, or is held there."""

    def __init__(self, step: Step, error: StepFailedError | None = None) -> None:
        self.done = asyncio.Event()
        self._step, self._error = step, error

    async def require(self, run: Run) -> None:
        await self._step.require(run)

    async def do(self, run: Run) -> Any:
        result = await self._step.do(run)
        self.done.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        return result

    async def verify(self, run: Run) -> None:
        await self._step.verify(run)

    async def undo(self, run: Run) -> None:
        await self._step.undo(run)


def spoil(
    lead: Node, second: Node, name: str, error: StepFailedError | None = None
) -> tuple[Spoilt, Callable[[], None]]:
    """Spoil a step on the node that it is on; returns it, and what repairs it."""
    spec = next(spec for spec in PLANNED if spec.name == name)
    kind = (second if spec.on is Role.SECOND else lead).kinds.find(PROMOTE)
    assert kind is not None
    actions: Any = kind.actions
    real = actions[name]
    actions[name] = spoilt = Spoilt(real, error)
    return spoilt, lambda: actions.update({name: real})


async def is_as_before(two: Two, a: Node, b: Node) -> None:
    """Make sure that nothing of a promotion is left: modes, freezes, services, and the stream."""
    assert (a.mode, b.mode) == (P, F)
    assert read_handover(a.store) is None
    assert a.freezes is not None
    assert (a.freezes.domains.claims, a.freezes.domains.items) == ((), ())
    assert (two.a.folder / "service").exists()
    assert not (two.b.folder / "service").exists()
    (two.a.root / "afterwards").write_text("x")
    await until(lambda: contents(two.b.root) == contents(two.a.root), "changes flow as before")
    assert two.a.raised(a, "fenced", "split_brain") == two.b.raised(b, "fenced", "split_brain") == []


@pytest.mark.parametrize(
    ("name", "how"),
    sampled(
        product([spec.name for spec in PLANNED], ["fails", "is aborted"]),
        ("serve", "fails"),
        ("take_over", "is aborted"),
    ),
)
def test_a_promotion_is_undone_from_every_step_and_succeeds_afterwards(two: Two, name: str, how: str) -> None:
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()

    async def work() -> None:
        rest = at_rest(two)
        async with two.a.running() as a, two.b.running() as b:
            await until(rest, "the changes arrived")
            error = StepFailedError("it is spoilt", again=False) if how == "fails" else None
            spoilt, repair = spoil(b, a, name, error)
            procedure = await begin(b)
            if error is None:
                await spoilt.done.wait()
                await b.procedures.abort(procedure)
            undone = await ended(b, a, procedure)
            assert undone.journal.outcome is Outcome.ABORTED
            await is_as_before(two, a, b)
            has_handed_over = [spec.name for spec in PLANNED].index(name) >= 6
            # A term of its own, above the one that it had handed over to.
            counter = 3 if has_handed_over else 1
            assert a.modes.rank().term == Term(counter, two.a.node_id)
            repair()
            done = await ended(b, a, await begin(b))
            assert done.journal.outcome is Outcome.FINISHED, done.journal.abort
            assert (a.mode, b.mode) == (F, P)
            # No term is taken twice, not even one that was only chosen.
            chosen = [spec.name for spec in PLANNED].index(name) >= 5
            assert b.modes.rank().term.counter == (4 if has_handed_over else 3 if chosen else 2)

    run(work())


def test_a_forced_promotion_asks_nobody_and_the_dead_production_is_fenced_when_it_returns(two: Two) -> None:
    with_services(two.b, two.a)

    async def work() -> None:
        rest = at_rest(two)
        async with two.b.running() as b:
            async with two.a.running():
                await until(rest, "the changes arrived")
            procedure = await begin(b, PROMOTE_FORCED)
            done = await ended(b, None, procedure)
            assert done.journal.outcome is Outcome.FINISHED, done.journal.abort
            assert b.modes.rank() == Rank(P, Term(2, two.b.node_id))
            assert log_of(two.b) == ["before_promote", "start", "after_promote"]
            async with two.a.running() as a:
                await until(lambda: a.mode is X, "the old production is fenced")
                await until(lambda: two.a.raised(a, "fenced"), "and says so")

    run(work())
