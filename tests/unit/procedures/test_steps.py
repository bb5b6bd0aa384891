"""Every history of interruptions, replayed on a real journal, ends finished or undone; never in both."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncer.errors import RefusedError
from syncer.procedures.journal import ProcedureJournal
from syncer.procedures.messages import Action, End, Order
from syncer.procedures.sequence import end_flaw, order_flaw
from syncer.procedures.steps import (
    Aborted,
    Do,
    Facts,
    Finished,
    Journal,
    Outcome,
    Procedure,
    Role,
    StepRecord,
    StepSpec,
    StepState,
    Undo,
    Wait,
    is_past_return,
    next_move,
    steps_to_undo,
)
from syncer.state.store import StateStore

INCIDENTS = (
    "none",
    "crash before the action",
    "crash after the action",
    "failure",
    "failure for good",
    "unfulfilled",
    "cut",
    "abort",
)
LIMIT = 400


def procedure_of(steps: tuple[StepSpec, ...], role: Role = Role.LEAD) -> Procedure:
    return Procedure(uuid.uuid4().hex, "fake", role, str(uuid.uuid4()), "prod-a", {}, steps)


@st.composite
def plans(draw: st.DrawFn) -> tuple[StepSpec, ...]:
    sides = draw(st.lists(st.sampled_from(Role), min_size=1, max_size=6))
    at = draw(st.integers(-1, len(sides) - 1))
    return tuple(StepSpec(f"s{number}", "", side, point_of_no_return=number == at) for number, side in enumerate(sides))


@dataclass
class Replay:
    """One procedure of the lead, with what it does to the world; crashes are looks at the journal anew."""

    store: StateStore
    steps: tuple[StepSpec, ...]
    incidents: list[str]
    standing: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.procedure = procedure_of(self.steps)
        self.journal = ProcedureJournal(self.store, lambda _: self.steps)
        self.journal.open(self.procedure)

    def run(self) -> Outcome:
        for _ in range(LIMIT):
            if (outcome := self.move(self.incidents.pop(0) if self.incidents else "none")) is not None:
                return outcome
        raise AssertionError(f"it does not end: {self.moves}")

    def move(self, incident: str) -> Outcome | None:
        identity = self.procedure.id
        if incident == "abort":
            self.abort()
        known = self.journal.read(identity)
        assert known is not None
        move = next_move(known.procedure, known.journal, Facts(away="gone" if incident == "cut" else ""))
        self.moves.append(f"{move}")
        match move:
            case Do(spec, again):
                self.do(spec, incident, again=again)
            case Undo(spec):
                self.undo(spec, incident)
            case Wait(_, person):
                assert incident == "cut" or person, "nothing else holds it up"
                assert not person or self.journal.go_on(identity), "a person's word must help"
            case Finished():
                self.journal.close(identity, Outcome.FINISHED, {}, told=True)
                return Outcome.FINISHED
            case Aborted():
                self.journal.close(identity, Outcome.ABORTED, {}, told=True)
                return Outcome.ABORTED
        return None

    def abort(self) -> None:
        known = self.journal.read(self.procedure.id)
        assert known is not None
        if is_past_return(known.procedure, known.journal):
            with pytest.raises(RefusedError, match="point of no return"):
                self.journal.ask_abort(self.procedure.id, "aborted")
        else:
            self.journal.ask_abort(self.procedure.id, "aborted")

    def do(self, spec: StepSpec, incident: str, *, again: bool) -> None:
        assert not self.undone, "what is undone is never gone on with"
        identity = self.procedure.id
        if incident == "unfulfilled" and not again:
            self.journal.fail_step(identity, spec.name, incident, again=True, begun=False)
            return
        assert self.journal.begin_step(identity, spec.name)
        if incident == "crash before the action":
            return
        if spec.name not in self.standing:
            self.standing.append(spec.name)
        if incident == "crash after the action":
            return
        if incident.startswith("failure"):
            self.journal.fail_step(identity, spec.name, incident, again=incident == "failure", begun=True)
            return
        self.journal.finish_step(identity, spec.name, {})

    def undo(self, spec: StepSpec, incident: str) -> None:
        identity = self.procedure.id
        self.journal.begin_undo(identity, spec.name)
        if incident == "crash before the action":
            return
        if spec.name in self.standing:
            assert self.standing[-1] == spec.name, "the latest is undone first"
            self.standing.remove(spec.name)
        self.undone.append(spec.name)
        if incident == "crash after the action":
            return
        if incident.startswith("failure"):
            self.journal.fail_undo(identity, spec.name, incident, again=incident == "failure")
            return
        self.journal.finish_undo(identity, spec.name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateStore]:
    memory = Path("/dev/shm")
    folder = tmp_path_factory.mktemp("state", numbered=True)
    chosen = memory / f"syncer-steps-{uuid.uuid4().hex}" if memory.is_dir() else folder
    with StateStore.open(chosen, create=True) as store:
        yield store
    for file in chosen.iterdir():
        file.unlink()
    chosen.rmdir()


TWO = (StepSpec("s0", ""), StepSpec("s1", "", Role.SECOND, point_of_no_return=True))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(plans(), st.lists(st.sampled_from(INCIDENTS), max_size=25))
@example(TWO, ["none", "unfulfilled"])
@example(TWO, ["none", "crash before the action", "abort"])
@example((TWO[1]._replace(point_of_no_return=False),), ["failure for good", "cut"])
def test_guarantee_16_whatever_interrupts_it_ends_finished_or_undone(
    kept: StateStore, steps: tuple[StepSpec, ...], incidents: list[str]
) -> None:
    replay = Replay(kept, steps, list(incidents))
    outcome = replay.run()
    known = replay.journal.read(replay.procedure.id)
    assert known is not None
    if outcome is Outcome.FINISHED:
        assert replay.standing == [spec.name for spec in steps]
        assert replay.undone == []
    else:
        assert replay.standing == []
        assert not is_past_return(known.procedure, known.journal)
        assert not list(steps_to_undo(known.procedure, known.journal))
        assert known.journal.abort, "a report says why"


def test_every_single_interruption_of_a_short_procedure(kept: StateStore) -> None:
    steps = (StepSpec("s0", ""), StepSpec("s1", "", Role.SECOND, point_of_no_return=True), StepSpec("s2", ""))
    seen: Counter[tuple[str, str]] = Counter()
    for at in range(5):
        for incident in INCIDENTS[1:]:
            replay = Replay(kept, steps, ["none"] * at + [incident])
            outcome = replay.run()
            assert replay.standing == ([spec.name for spec in steps] if outcome is Outcome.FINISHED else [])
            seen[incident, outcome.value] += 1
    assert {outcome for _, outcome in seen} == {"finished", "aborted"}
    assert seen["abort", "aborted"] == 2, "before the first and before the second step"
    assert seen["failure", "aborted"] == 1, "from the point of no return on it is tried again"
    assert seen["unfulfilled", "aborted"] == 2, "what was never begun can be undone"


class TestSecond:
    """The second's journal, under orders in whatever sequence."""

    STEPS = (
        StepSpec("a", "", Role.SECOND),
        StepSpec("mine", ""),
        StepSpec("b", "", Role.SECOND),
        StepSpec("c", "", Role.SECOND, point_of_no_return=True),
        StepSpec("d", "", Role.SECOND),
    )

    @settings(max_examples=200)
    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(Action)), max_size=20))
    @example([("a", Action.DO), ("b", Action.DO), ("b", Action.UNDO), ("b", Action.DO)])
    @example([("a", Action.DO), ("b", Action.DO), ("c", Action.DO), ("c", Action.UNDO)])
    def test_only_what_comes_next_is_done_and_only_what_came_last_is_undone(
        self, orders: list[tuple[str, Action]]
    ) -> None:
        procedure = procedure_of(self.STEPS, Role.SECOND)
        records = {spec.name: StepRecord(spec.name) for spec in self.STEPS}
        standing: list[str] = []
        turned = False
        for step, action in orders:
            journal = Journal(tuple(records.values()))
            if order_flaw(procedure, journal, Order(procedure.id, step, action, {}, {})) is not None:
                continue
            if action is Action.DO and records[step].state is not StepState.DONE:
                assert not turned
                standing.append(step)
                records[step] = records[step]._replace(state=StepState.DONE, begun=True)
            elif action is Action.UNDO:
                turned = True
                if step in standing:
                    assert standing[-1] == step
                    standing.remove(step)
                records[step] = records[step]._replace(state=StepState.UNDONE)
                assert not records["c"].begun, "nothing is undone past the point of no return"
            elif action is Action.VERIFY:
                assert records[step].state is StepState.DONE
            assert standing == list("abcd")[: len(standing)]
        finished = End(procedure.id, Outcome.FINISHED, "", {}, {})
        flaw = end_flaw(procedure, Journal(tuple(records.values())), finished)
        assert (flaw is None) == (standing == list("abcd"))

    def test_the_leads_word_that_it_is_past_its_own_point_of_no_return_is_kept_to(self) -> None:
        steps = (StepSpec("a", "", Role.SECOND), StepSpec("mine", "", point_of_no_return=True))
        procedure = procedure_of(steps, Role.SECOND)
        journal = Journal((StepRecord("a", StepState.DONE, begun=True), StepRecord("mine")))
        undo = Order(procedure.id, "a", Action.UNDO, {}, {"mine": StepState.RUNNING})
        assert order_flaw(procedure, journal, undo) is not None
        assert order_flaw(procedure, journal, undo._replace(standing={"mine": StepState.PENDING})) is None


def test_what_cannot_go_on_says_what_it_waits_for() -> None:
    procedure = procedure_of((StepSpec("a", "", Role.SECOND), StepSpec("b", "")))
    fresh = Journal((StepRecord("a"), StepRecord("b")))
    assert next_move(procedure, fresh, Facts(away="gone")) == Wait("gone", person=False)
    assert next_move(procedure, fresh, Facts(pausing="full")) == Wait("full", person=False)
    done = Journal((StepRecord("a", StepState.DONE, begun=True), StepRecord("b")))
    assert next_move(procedure, done, Facts(away="gone")) == Do(procedure.steps[1], again=False)
    unknown = procedure._replace(steps=())
    waiting = next_move(unknown, fresh, Facts())
    assert isinstance(waiting, Wait)
    assert waiting.person


def test_a_forced_abort_leaves_the_seconds_steps_to_the_second() -> None:
    procedure = procedure_of((StepSpec("a", ""), StepSpec("b", "", Role.SECOND), StepSpec("c", "", Role.SECOND)))
    begun = tuple(StepRecord(name, StepState.DONE, begun=True) for name in "abc")
    journal = Journal(begun, abort="gone", forced=True)
    assert next_move(procedure, journal, Facts(away="gone")) == Undo(procedure.steps[0])
    alone = Journal((begun[0]._replace(state=StepState.UNDONE), *begun[1:]), abort="gone", forced=True)
    assert next_move(procedure, alone, Facts(away="gone")) == Aborted("gone")
