"""Freezing decides: replayed from every state in which a crash can leave it, it comes to what is wanted."""

from __future__ import annotations

from itertools import product

import pytest

from syncer.model import Head
from syncer.procedures.freezing import Sees, Step, alarms_due, cut_off, next_step, over
from syncer.state.freezes import OPERATOR, Claim, Cover, Frozen

HEAD = Head("index", "run", 7)
COVER = Cover(b"/etc/web", "now", 0)


def claim(by: str = OPERATOR, *, read_only: bool = False, domain: str = "web") -> Claim:
    return Claim(domain, by, 1000.0, 1600.0, "why", read_only)


def sees(**how: bool) -> Sees:
    facts = {"has_freeze": True, "has_start": True, "is_covered": False, "is_production": True, **how}
    return Sees("now", **facts)


def frozen(**how: object) -> Frozen:
    return Frozen("web", 1000.0, was_running=True)._replace(**how)  # type: ignore[arg-type]  # fields of a NamedTuple


class Machine:
    """A domain that does what it is told, one step at a time, and can be asked whether it is as wanted."""

    def __init__(self, item: Frozen | None, now: Sees) -> None:
        self.item, self.now, self.done = item, now, list[Step]()

    def settle(self, *wanted: Claim) -> list[Step]:
        for _ in range(20):
            step = next_step(wanted, self.item, self.now)
            if step is Step.NOTHING:
                return self.done
            self.done.append(step)
            self._do(step)
        raise AssertionError(f"it never ends: {self.done}")

    def _do(self, step: Step) -> None:
        item = self.item
        if step is Step.NOTE:
            self.item = frozen()
            return
        assert item is not None
        match step:
            case Step.STOP:
                self.item = item._replace(stopped_in="now", is_stopped=True)
            case Step.COVER | Step.UNCOVER:
                self.item, self.now = item._replace(cover=COVER), self.now._replace(is_covered=step is Step.COVER)
            case Step.MARK:
                self.item = item._replace(head=HEAD)
            case Step.START:
                self.item = item._replace(was_running=False)
            case Step.FORGET:
                self.item = None


def test_the_order_of_a_freeze_and_of_its_end() -> None:
    machine = Machine(None, sees())
    assert machine.settle(claim(read_only=True)) == [Step.NOTE, Step.STOP, Step.COVER, Step.MARK]
    machine.done.clear()
    assert machine.settle() == [Step.UNCOVER, Step.START, Step.FORGET]
    plain = Machine(None, sees(has_freeze=False))
    assert plain.settle(claim()) == [Step.NOTE, Step.MARK]
    plain.done.clear()
    # Who stopped nothing starts nothing.
    assert plain.settle() == [Step.FORGET]


ITEMS = [
    None,
    *(
        frozen(stopped_in=stopped, is_stopped=ended, cover=cover, head=head, was_running=ran)
        for stopped, ended, cover, head, ran in product(
            ("", "now", "before"), (True, False), (None, COVER), (None, HEAD), (True, False)
        )
    ),
]


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("production", [False, True])
def test_from_every_state_that_a_crash_leaves(item: Frozen | None, covered: bool, production: bool) -> None:
    covered = covered and item is not None and item.cover is not None
    now = sees(is_covered=covered, is_production=production)
    wants = Machine(item, now)
    if production:
        wants.settle(claim(read_only=True))
        assert wants.item is not None
        assert (wants.now.is_covered, wants.item.stopped_in, wants.item.head) == (True, "now", HEAD)
    ends = Machine(item, now)
    ends.settle()
    assert (ends.item, ends.now.is_covered) == (None, False)
    started = item is not None and item.was_running and item.stopped_in == "now" and production
    assert ends.done.count(Step.START) == started


def test_after_a_reboot_services_are_stopped_again_and_the_root_covered_again() -> None:
    machine = Machine(frozen(stopped_in="before", is_stopped=True, cover=COVER, head=HEAD), sees())
    # The head stays: what the machine's start-up has changed is told.
    assert machine.settle(claim(read_only=True)) == [Step.STOP, Step.COVER]


def test_a_root_is_covered_as_long_as_anybody_wants_it() -> None:
    machine = Machine(frozen(stopped_in="now", is_stopped=True, cover=COVER, head=HEAD), sees(is_covered=True))
    assert machine.settle(claim("p1"), claim(read_only=True)) == []
    assert machine.settle(claim("p1")) == [Step.UNCOVER]


def test_time_ends_all_but_what_an_open_procedure_keeps() -> None:
    claims = [claim(), claim("p1"), claim("p2")]
    assert over(claims, 1599.9, lambda _: False) == []
    assert over(claims, 1600.0, lambda procedure: procedure == "p1") == [claims[0], claims[2]]
    # No procedure can have the operator's name.
    assert over([claim()], 1600.0, lambda _: True) == [claim()]


def test_what_was_cut_off_is_undone_unless_its_procedure_goes_on() -> None:
    claims = [claim(), claim("p1"), claim(domain="done")]
    left = [frozen(), frozen(domain="done", head=HEAD)]
    assert cut_off(claims, left, lambda _: True) == [claims[0]]
    assert cut_off(claims, left, lambda _: False) == claims[:2]


def test_a_forgotten_freeze_is_told_at_half_of_its_time_and_then_once_each_time() -> None:
    told = [alarms_due(claim(), 1000.0 + seconds) for seconds in (0, 299, 300, 899, 900, 1500)]
    assert told == [0, 0, 1, 1, 2, 3]
    assert alarms_due(claim(), 500.0) == 0
