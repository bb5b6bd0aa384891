"""A promotion of two whole nodes, one of which dies: behind any commit of its journal, or between effect and commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import RefusedError
from syncer.model import Mode
from syncer.node.agent import Node
from syncer.procedures.kinds import Run, Step
from syncer.procedures.steps import Outcome, Role
from syncer.procedures.switching import PLANNED
from syncer.state.term import read_term
from tests.sampling import sampled
from tests.unit.node.running import F, P, Place, Two, contents, run, until
from tests.unit.node.test_promotion import at_rest, begin, ended, is_over, with_services


class KilledError(BaseException):
    """The process of a node ended at this very moment."""


class Watch:
    """Looks at both nodes whenever either has changed its mode, durably."""

    def __init__(self, two: Two) -> None:
        self.productions: list[tuple[str, int]] = []
        """Which node was production under which term, in that order."""
        self._two = two

    def over(self, node: Node, place: Place) -> None:
        node.modes.changed.append(lambda: self._look(place))
        self._look(place)

    def _look(self, place: Place) -> None:
        modes = {}
        for each in (self._two.a, self._two.b):
            with contextlib.closing(sqlite3.connect(f"file:{each.state / 'node.db'}?mode=ro", uri=True)) as reader:
                modes[each.name] = reader.execute("SELECT mode, term_counter FROM node").fetchone()
        found = [(name, term) for name, (mode, term) in modes.items() if mode == Mode.PRODUCTION.value]
        assert len(found) <= 1, f"two productions: {found}"
        for item in found:
            if item not in self.productions:
                self.productions.append(item)

    def no_term_twice(self) -> bool:
        terms = [term for _, term in self.productions]
        return len(set(terms)) == len(terms)


class Killing:
    """Ends a node behind a commit of its journal, or as a step of it has had its effect."""

    def __init__(self, node: Node, at: int, step: str) -> None:
        self.killed = asyncio.Event()
        self.where = ""
        self._loop = asyncio.get_running_loop()
        self._left = at
        journal: Any = node.procedures.journal
        journal._wrote = self._wrote
        if step:
            kind = node.kinds.find("promote")
            assert kind is not None
            actions: Any = kind.actions
            actions[step] = Dying(actions[step], self._die)

    def _wrote(self, what: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._die(f"behind {what}")
        elif self.where:
            raise KilledError(what)

    def _die(self, where: str) -> None:
        self.where = where
        self._loop.call_soon_threadsafe(self.killed.set)
        raise KilledError(where)


class Dying:
    """A real step, behind whose effect the process ends."""

    def __init__(self, step: Step, die: Callable[[str], None]) -> None:
        self._step, self._die = step, die

    async def require(self, run: Run) -> None:
        await self._step.require(run)

    async def do(self, run: Run) -> Any:
        await self._step.do(run)
        self._die(f"after {type(self._step).__name__}, before its commit")

    async def verify(self, run: Run) -> None:
        await self._step.verify(run)

    async def undo(self, run: Run) -> None:
        await self._step.undo(run)


@contextlib.asynccontextmanager
async def mortal(place: Place, at: int, step: str) -> AsyncIterator[tuple[Node, Killing]]:
    """Run a node that is killed."""
    try:
        async with place.running() as node:
            yield node, Killing(node, at, step)
    except KilledError:
        return
    except BaseExceptionGroup as group:
        if group.subgroup(KilledError) is None:
            raise


async def interrupted(folder: Path, victim: str, at: int, step: str, *, abort: bool) -> tuple[str, str] | None:
    """Kill one node; returns where and how the promotion ended, None where it was over before."""
    two = Two(folder)
    with_services(two.a, two.b)
    with_services(two.b, two.a)
    (two.a.folder / "service").touch()
    watch = Watch(two)
    mortals, others = (two.b, two.a) if victim == "lead" else (two.a, two.b)
    rest = at_rest(two)
    async with others.running() as other:
        watch.over(other, others)
        procedure = ""
        async with mortal(mortals, at, step) as (node, killing):
            watch.over(node, mortals)
            await until(rest, "the changes arrived")
            lead = node if victim == "lead" else other
            with contextlib.suppress(KilledError):
                procedure = await begin(lead)
            await until(lambda: killing.killed.is_set() or (procedure and is_over(lead, procedure)), "it is killed")
            if not killing.killed.is_set():
                return None
        async with mortals.running() as node:
            watch.over(node, mortals)
            lead, second = (node, other) if victim == "lead" else (other, node)
            procedure = procedure or lead.procedures.journal.latest()[0].procedure.id
            if abort and not is_over(lead, procedure):
                # Past its point of no return it is finished all the same.
                with contextlib.suppress(RefusedError):
                    await lead.procedures.abort(procedure)
            done = await ended(lead, None, procedure)
            # It may have been undone before the other was asked.
            await until(
                lambda: second.procedures.journal.read(procedure) is None or is_over(second, procedure),
                "the other knows",
            )
            await check_the_end(two, second, lead, done.journal.outcome)
            assert watch.no_term_twice(), watch.productions
            return killing.where, f"{done.journal.outcome.value} {done.journal.abort}".rstrip()


async def check_the_end(two: Two, a: Node, b: Node, outcome: Outcome) -> None:
    """Make sure that it is wholly done or wholly undone: modes, freeze, services and streams."""
    done = outcome is Outcome.FINISHED
    assert (a.mode, b.mode) == ((F, P) if done else (P, F))
    assert a.freezes is not None
    await until(lambda: not a.freezes.domains.items, "nothing is frozen")  # type: ignore[union-attr]  # prepared
    serving, idle = (two.b, two.a) if done else (two.a, two.b)
    assert (serving.folder / "service").exists()
    assert not (idle.folder / "service").exists()
    if done:
        assert contents(two.a.root) == contents(two.b.root)
        assert read_term(a.store) == read_term(b.store)
    else:
        (two.a.root / "afterwards").write_text("x")
        await until(lambda: contents(two.b.root) == contents(two.a.root), "changes flow as before")


def killed_behind(folder: Path, victim: str, first: int, step: int, *, abort: bool) -> Iterator[tuple[int, str, str]]:
    """Kill a node behind its commits, from the `first` in steps; yields where, and how it ended."""
    for at in range(first, 1000, step):
        ends: list[tuple[str, str] | None] = []

        async def work(at: int = at, ends: list[Any] = ends) -> None:
            ends.append(await interrupted(folder / str(at), victim, at, "", abort=abort))

        run(work())
        if ends[0] is None:
            return
        yield at, *ends[0]


def proven(table: list[tuple[int, str, str]], *, abort: bool) -> None:
    """Make sure that each of them ended whole, and as it could."""
    ends = {outcome.partition(" ")[0] for _, _, outcome in table}
    assert ends <= ({"finished", "aborted"} if abort else {"finished"}), table


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "first", "abort"), [("second", 8, True)])
def test_guarantee_2_a_node_killed_behind_a_commit_leaves_never_two_productions(
    tmp_path: Path, victim: str, first: int, abort: bool
) -> None:
    table = list(killed_behind(tmp_path, victim, first, 12, abort=abort))
    assert table
    proven(table, abort=abort)


@pytest.mark.soak
@pytest.mark.parametrize("victim", ["lead", "second"])
@pytest.mark.parametrize("abort", [False, True], ids=["going on", "aborted after it"])
def test_guarantee_2_a_node_killed_behind_any_commit_leaves_never_two_productions(
    tmp_path: Path, victim: str, abort: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    table = list(killed_behind(tmp_path, victim, 1, 1, abort=abort))
    with capsys.disabled():
        sys.stdout.write(f"\n{victim} is killed in a promotion, {'aborted after it' if abort else 'going on'}:\n")
        sys.stdout.writelines(f"  {number:2} {where:28} {outcome}\n" for number, where, outcome in table)
    assert len(table) >= 14
    proven(table, abort=abort)


@pytest.mark.parametrize(
    ("name", "abort"),
    sampled(product([spec.name for spec in PLANNED], [False, True]), ("hand_over", True), ("take_over", False)),
)
def test_a_node_killed_between_the_effect_of_a_step_and_its_commit_does_or_undoes_it_again(
    tmp_path: Path, name: str, abort: bool
) -> None:
    spec = next(spec for spec in PLANNED if spec.name == name)

    async def work() -> None:
        victim = "second" if spec.on is Role.SECOND else "lead"
        end = await interrupted(tmp_path, victim, 0, name, abort=abort)
        assert end is not None
        assert end[1].partition(" ")[0] == ("aborted" if abort else "finished"), end

    run(work())
