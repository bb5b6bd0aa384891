"""A domain's services with commands that do as told: what is run when, recorded, and told."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.config import DomainSettings
from syncer.errors import ApplyError, CommandFailure, StateError
from syncer.model import EventValue, Patterns, ServiceLife, ServiceState
from syncer.services.command import CommandRunner
from syncer.services.commands import DomainCommands, Outcome
from syncer.services.service import Service
from syncer.state.services import read_service
from syncer.state.store import StateStore

ALL = ("start", "stop", "reload", "status")


class Machine(DomainCommands):
    """A domain's commands on a machine whose service comes up, fails and dies as told."""

    def __init__(self, *has: str, slow: int = 0) -> None:
        keys: dict[str, Any] = dict.fromkeys(has or ALL, ("true",))
        super().__init__(
            DomainSettings("web", Path("/tmp"), Patterns(), 0.0, 0.0, command_timeout=0.05, **keys), CommandRunner()
        )
        self.runs = False
        self.ran: list[str] = []
        self.told: list[tuple[str, int, int]] = []
        self.exits: dict[str, str] = {}
        self.stops_at = ""
        """The command during which the agent is asked to stop."""
        self.slow = slow
        """How many answers of `status` it takes to come up."""
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while the next start runs."""

    def run(self, action: str, generation: int, term: int) -> Outcome:
        self.ran.append(action)
        self.told.append((action, generation, term))
        if action == self.stops_at:
            raise ApplyError("the agent stops")
        ended = self.exits.get(action, "0")
        if action == "start":
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
        if action == "status" and "status" not in self.exits:
            ended = "0" if self.runs and not self.slow else "3"
            self.slow = max(0, self.slow - 1)
        elif ended == "0" and action in ("start", "stop"):
            self.runs = action == "start"
        return Outcome(ended == "0", CommandFailure(action, ended, 0.1, "" if ended == "0" else "no\nmore"))


class Inline:
    """A lane that does everything at once, on the thread that asks for it; without an agent, nothing."""

    def __init__(self, _: str, work: Callable[[], float | None]) -> None:
        self.work = work
        self.closed = False
        self.after: float | None = None
        self.pauses = 0
        self.working = False

    def wake(self) -> None:
        # What is asked for while it works is found by the work that runs.
        if self.closed or self.working:
            return
        self.working = True
        try:
            self.after = self.work()
        except ApplyError:
            self.closed = True
        finally:
            self.working = False

    def submit(self, task: Callable[[], Outcome]) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        try:
            future.set_result(task())
        except ApplyError as error:
            self.closed = True
            future.set_exception(error)
        self.wake()
        return future

    def pause(self, seconds: float) -> None:
        self.pauses += 1

    def close(self) -> None:
        self.closed = True


class Agent:
    """One life of the agent after the other, on one node.db and one machine."""

    def __init__(self, store: StateStore, machine: Machine, *, ask_every: float = 600.0) -> None:
        self.store, self.machine, self.boot = store, machine, "one"
        self.events: list[tuple[str, dict[str, EventValue]]] = []
        self.reloaded: list[int] = []
        self.ask_every = ask_every
        self.restart()

    def restart(self, boot: str = "") -> None:
        self.boot = boot or self.boot
        self.machine.stops_at = ""
        self.lane: Inline | None = None
        self.service = Service(
            "web", self.machine, self.store, self.record, boot=self.boot, ask_every=self.ask_every, lane=self._lane
        )
        self.service.watch()

    def _lane(self, name: str, work: Callable[[], float | None]) -> Inline:
        self.lane = Inline(name, work)
        return self.lane

    def record(self, name: str, variables: Mapping[str, EventValue]) -> None:
        self.events.append((name, dict(variables)))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def synchronize(self, generation: int, *, start: bool = True, changed: bool = True) -> None:
        reloaded = (lambda: self.reloaded.append(generation)) if changed else None
        self.service.attend(generation, 1, start=start, reloaded=reloaded)

    @property
    def state(self) -> ServiceState:
        return self.service.life.state

    def ran(self) -> list[str]:
        found, self.machine.ran = self.machine.ran, []
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with closing(StateStore.open(tmp_path / "state", create=True)) as found:
        yield found


def test_asked_started_and_seen_running_once(store: StateStore) -> None:
    agent = Agent(store, Machine(slow=3))
    assert (agent.ran(), agent.state) == (["status"], ServiceState.STOPPED)
    agent.synchronize(4)
    assert agent.ran() == ["status", "start", "status", "status"]
    assert (agent.state, agent.service.life.generation) == (ServiceState.RUNNING, 4)
    assert read_service(store, "web").state is ServiceState.RUNNING
    # What it was started with needs no reload; what comes later does.
    assert agent.reloaded == [4]
    agent.synchronize(5)
    assert (agent.ran(), agent.reloaded) == (["status", "reload"], [4, 5])
    agent.synchronize(6, changed=False)
    assert agent.ran() == []
    assert agent.names() == ["service.started"]


def test_what_changes_while_it_is_started_is_reloaded(store: StateStore) -> None:
    machine = Machine("start", "reload")
    agent = Agent(store, machine)
    machine.meanwhile = lambda: agent.synchronize(2)
    agent.synchronize(1)
    assert (agent.ran(), agent.reloaded) == (["start", "reload"], [2])


def test_a_start_that_production_takes_back_meanwhile_does_not_come(store: StateStore) -> None:
    machine = Machine()
    agent = Agent(store, machine)
    agent.ran()
    asked = machine.run

    def run(action: str, generation: int, term: int) -> Outcome:
        if action == "status":
            agent.service.attend(0, 1, start=False, reloaded=None)
        return asked(action, generation, term)

    machine.run = run  # type: ignore[method-assign]
    agent.synchronize(1, changed=False)
    assert agent.ran() == ["status"]


def test_a_start_that_cannot_be_recorded_is_not_begun_and_tried_again(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(store, Machine("start"))

    def fail(store: StateStore, domain: str, life: ServiceLife) -> None:
        raise StateError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("syncer.services.service.write_service", fail)
        with pytest.raises(StateError):
            agent.synchronize(1)
    assert (agent.ran(), agent.state) == ([], ServiceState.UNKNOWN)
    assert agent.lane is not None
    agent.lane.wake()
    assert (agent.ran(), agent.state) == (["start"], ServiceState.RUNNING)


def test_what_waits_keeps_its_generation_when_a_start_is_taken_back(store: StateStore) -> None:
    machine = Machine()
    machine.exits["status"] = "1"
    agent = Agent(store, machine)
    agent.ran()
    asked = machine.run

    def run(action: str, generation: int, term: int) -> Outcome:
        agent.service.attend(0, 9, start=False, reloaded=None)
        return asked(action, generation, term)

    machine.run = run  # type: ignore[method-assign]
    agent.synchronize(4)
    assert agent.ran() == ["status"]
    # Nobody knew whether they run; now it is known.
    machine.exits["status"] = "0"
    assert agent.lane is not None
    agent.lane.wake()
    assert machine.told[-1] == ("reload", 4, 1)


def test_a_start_that_status_does_not_confirm_has_failed(store: StateStore) -> None:
    agent = Agent(store, Machine(slow=10**9))
    agent.synchronize(1)
    assert agent.state is ServiceState.FAILED
    [(name, variables)] = agent.events
    assert (name, variables["action"], variables["exit"]) == ("service.failed", "start", "3")
    assert "does not say that they run" in str(variables["output"])
    assert agent.lane is not None
    assert agent.lane.pauses > 0
    # The reload is due until they run.
    agent.synchronize(2)
    assert "reload" not in agent.ran()


def test_a_start_that_the_agents_end_cut_off_is_told_and_not_begun_again(store: StateStore) -> None:
    machine = Machine("start")
    agent = Agent(store, machine)
    machine.stops_at = "start"
    agent.synchronize(1)
    assert read_service(store, "web").state is ServiceState.STARTING
    for _ in range(2):
        agent.restart()
        agent.synchronize(2)
    assert (agent.ran(), agent.state, agent.names()) == (["start"], ServiceState.FAILED, ["service.failed"])


def test_a_machine_that_was_started_again_gets_its_services_again(store: StateStore) -> None:
    agent = Agent(store, Machine("start", "reload"))
    agent.synchronize(1)
    agent.machine.runs = False
    agent.restart("two")
    assert agent.state is ServiceState.STOPPED
    agent.synchronize(1, changed=False)
    assert (agent.ran(), agent.state) == (["start", "start"], ServiceState.RUNNING)


def test_status_is_asked_now_and_then_and_a_death_is_told_once(store: StateStore) -> None:
    agent = Agent(store, Machine(), ask_every=0.0)
    agent.synchronize(1)
    assert agent.lane is not None
    assert agent.lane.after == 0.0
    agent.machine.runs = False
    for _ in range(3):
        agent.lane.wake()
    assert (agent.state, agent.names()) == (ServiceState.STOPPED, ["service.started", "service.stopped"])
    agent.machine.exits["status"] = "time limit"
    for _ in range(3):
        agent.lane.wake()
    assert (agent.state, agent.names()[2:]) == (ServiceState.FAILED, ["service.failed"])
    assert agent.ran().count("start") == 1


def test_a_reload_that_fails_is_told_and_shown_until_one_goes_well(store: StateStore) -> None:
    agent = Agent(store, Machine("reload"))
    agent.machine.exits["reload"] = "4"
    agent.synchronize(1)
    assert agent.service.reload_failure is not None
    assert agent.names() == ["service.failed"]
    agent.machine.exits.clear()
    agent.synchronize(2)
    assert agent.reloaded == [1, 2]
    assert not agent.service.reload_failure


def test_persons_stop_what_stays_stopped_and_hear_what_failed(store: StateStore) -> None:
    agent = Agent(store, Machine())
    agent.synchronize(1)
    assert agent.service.by_hand("stop", "alice").result().is_ok
    agent.synchronize(2)
    assert (agent.state, agent.ran().count("start")) == (ServiceState.STOPPED, 1)
    assert agent.events[-1] == ("service.stopped", {"domain": "web", "by": "alice"})
    assert agent.service.by_hand("start", "alice").result().is_ok
    assert agent.state is ServiceState.RUNNING
    agent.machine.exits["stop"] = "5"
    assert agent.service.by_hand("stop", "alice").result().report.exit == "5"
    agent.machine.exits = {"status": "0"}
    outcome = agent.service.by_hand("stop", "alice").result()
    assert not outcome.is_ok
    assert "still run" in outcome.report.output


class History:
    """What happens to one node, and what production and persons have said so far in this life of the machine."""

    def __init__(self, store: StateStore, *, has_status: bool) -> None:
        self.has_status = has_status
        self.machine = Machine(*(ALL if has_status else ALL[:3]))
        self.agent = Agent(store, self.machine)
        self.boots = self.number = self.starts = 0
        self.told = self.touched = False

    def synchronized(self, *, start: bool, changed: bool) -> None:
        self.number += 1
        self.told = start
        self.agent.synchronize(self.number, start=start, changed=changed)

    def reboot(self) -> None:
        self.boots, self.starts, self.touched, self.machine.runs = self.boots + 1, 0, False, False
        self.restart(f"boot {self.boots}")

    def restart(self, boot: str = "") -> None:
        self.told = False
        self.agent.restart(boot)

    def by_hand(self, action: str) -> None:
        self.touched = self.touched or action != "status"
        if action != "status" or self.has_status:
            self.agent.service.by_hand(action, "alice")

    def look(self, step: str) -> None:
        begun = self.agent.ran().count("start")
        if step == "start by hand":
            assert begun == 1
            return
        self.starts += begun
        assert not begun or self.told, "only where production says so"
        assert not begun or not self.touched, "not against what a person did"
        assert self.starts <= 1, "once in each life of the machine"


STEPS: dict[str, Callable[[History], None]] = {
    "wanted": lambda history: history.synchronized(start=True, changed=True),
    "not wanted": lambda history: history.synchronized(start=False, changed=True),
    "greeted": lambda history: history.synchronized(start=True, changed=False),
    "taken back": lambda history: history.synchronized(start=False, changed=False),
    "dies": lambda history: setattr(history.machine, "runs", False),
    "runs by itself": lambda history: setattr(history.machine, "runs", True),
    "agent restarts": lambda history: history.restart(),
    "machine restarts": lambda history: history.reboot(),
    "next start is cut off": lambda history: setattr(history.machine, "stops_at", "start"),
    "start fails": lambda history: history.machine.exits.update(start="1"),
    "start works": lambda history: history.machine.exits.clear(),
    "start by hand": lambda history: history.by_hand("start"),
    "stop by hand": lambda history: history.by_hand("stop"),
    "asked by hand": lambda history: history.by_hand("status"),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=25), st.booleans())
@settings(max_examples=60, deadline=None)
def test_guarantee_15_in_every_history(steps: list[str], has_status: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(StateStore.open(Path(folder), create=True)) as store:
        history = History(store, has_status=has_status)
        for step in steps:
            if history.agent.lane is not None and history.agent.lane.closed:
                history.restart()
            history.agent.ran()
            STEPS[step](history)
            history.look(step)
