"""One domain's services: started once, reloaded on change, asked how they are; all beside what is applied."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from syncer.errors import CommandFailure
from syncer.model import EventValue, RecordEvent, ServiceLife, ServiceState
from syncer.services import lifecycle
from syncer.services.commands import DomainCommands, Outcome
from syncer.services.lane import ServiceLane
from syncer.services.lifecycle import Has, Step, Wish
from syncer.state.cursors import read_standing
from syncer.state.processes import boot_id
from syncer.state.services import read_service, write_service
from syncer.state.store import StateStore
from syncer.state.term import read_term

log = logging.getLogger(__name__)

ASK_EVERY = 60.0
"""Seconds between two runs of `status` while nothing happens."""
ASK_AGAIN = 0.5
"""Seconds between two runs of `status` until what was started runs, or what was stopped has."""


class Lane(Protocol):
    """What runs a domain's commands, one at a time."""

    def wake(self) -> None:
        """Have the work done soon."""

    def submit(self, task: Callable[[], Outcome]) -> Future[Outcome]:
        """Do a person's task between two pieces of work."""

    def pause(self, seconds: float) -> None:
        """Wait; ApplyError where the agent stops meanwhile."""

    def close(self) -> None:
        """Take no more requests, and wait for what runs."""


class Service:
    """What runs a domain's `start`, `stop`, `reload` and `status`, one at a time."""

    def __init__(
        self,
        domain: str,
        commands: DomainCommands,
        store: StateStore,
        record: RecordEvent,
        *,
        boot: str = "",
        ask_every: float = ASK_EVERY,
        lane: Callable[[str, Callable[[], float | None]], Lane] = ServiceLane,
    ) -> None:
        """Take what node.db remembers; `boot` names this life of the machine, "": as the kernel does.

        They are asked how they are every `ask_every` seconds while nothing happens. `lane` makes what runs it all.
        """
        self.reload_failure: CommandFailure | None = None
        """How the latest reload failed; None where it went well, or none was run."""
        self._domain = domain
        self._commands = commands
        self._store = store
        self._record = record
        self._has = Has(commands.has("start"), commands.has("status"))
        self.is_known = self._has.start or self._has.status or commands.has("stop")
        """Whether anything is configured that lets syncer know how they are."""
        self._recorded = read_service(store, domain)
        self._life = lifecycle.remembered(self._recorded, boot or _this_boot(), time.time())
        self._wish = Wish()
        self._reloaded: Callable[[], None] | None = None
        self._changing = threading.Lock()
        self._watches = False
        self._asked_at = float("-inf")
        self._ask_every = ask_every
        self._lane = lane(f"service-{domain}", self._work)

    @property
    def life(self) -> ServiceLife:
        """How they are, as was last known; for any thread."""
        return self._life

    def watch(self) -> None:
        """Begin to ask how they are, now and then; what the last agent left open is told."""
        if not self.is_known:
            return
        if self._life.detail == lifecycle.CUT_OFF and self._recorded.state is ServiceState.STARTING:
            cut_off = CommandFailure(self._commands.shown("start"), "ended because the agent stopped", 0.0, "")
            self._record("service.failed", self._variables("start", cut_off))
        self._watches = True
        self._lane.wake()

    def attend(self, generation: int, term: int, *, start: bool, reloaded: Callable[[], None] | None) -> None:
        """A synchronization is acknowledged: start them where that is due, and reload them; returns at once.

        `start`: they are meant to run here. `reloaded`: what they read has changed; called on the lane's
        thread once they have taken note of it. The latest call stands for all that wait, and withdraws a
        start that is not wanted any more.
        """
        with self._changing:
            wish = Wish(generation, term, start, reload=self._wish.reload or reloaded is not None)
            if not start and reloaded is None:
                # Nothing new stands: what waits is told what it was to be told.
                wish = self._wish._replace(start=False)
            had_start = lifecycle.may_start(self._life, self._wish, self._has)
            starts = lifecycle.may_start(self._life, wish, self._has)
            if not (starts or had_start or reloaded is not None):
                return
            self._wish = wish
            self._reloaded = reloaded or self._reloaded
        if starts or reloaded is not None:
            self._lane.wake()

    def by_hand(self, action: str, person: str) -> Future[Outcome]:
        """Run one of the commands for a person, after what runs now; the future fails where the agent stops."""
        return self._lane.submit(lambda: self._do(action, person))

    def close(self) -> None:
        """Wait for the command that runs; cancel the runner first."""
        self._lane.close()

    def _work(self) -> float | None:
        fresh = False
        if self._watches:
            # What the last agent, or the last life of the machine, left behind.
            self._keep(self._life)
        if self._watches and self._has.status and time.monotonic() >= self._asked_at + self._ask_every:
            self._ask(*self._now())
            fresh = True
        while True:
            wish = self._wish
            step = lifecycle.next_step(self._life, wish, self._has, fresh=fresh)
            if step is Step.NOTHING:
                break
            if step is Step.ASK:
                self._ask(wish.generation, wish.term)
                fresh = True
            elif step is Step.START:
                self._start(wish.generation, wish.term, "synchronization")
                self._fulfilled(wish)
            elif step is Step.RELOAD:
                self._reload(wish.generation, wish.term)
                self._fulfilled(wish)
            else:
                self._fulfilled(wish)
        if not (self._watches and self._has.status):
            return None
        return max(0.0, self._asked_at + self._ask_every - time.monotonic())

    def _fulfilled(self, wish: Wish) -> None:
        with self._changing:
            # RACE: what was asked for meanwhile may not have been seen by what was run.
            if self._wish is not wish:
                return
            self._wish = wish._replace(reload=False, start=False)
            reloaded, self._reloaded = self._reloaded, None
        if reloaded is not None:
            reloaded()

    def _do(self, action: str, person: str) -> Outcome:
        generation, term = self._now()
        match action:
            case "start":
                return self._start(generation, term, person)
            case "stop":
                return self._stop(generation, term, person)
            case "reload":
                return self._reload(generation, term)
            case "status":
                return self._ask(generation, term)
        return self._commands.run(action, generation, term)

    def _start(self, generation: int, term: int, person: str) -> Outcome:
        begun = lifecycle.starting(self._life, generation, time.time())
        # CRASH: recorded before it begins, so that a start that was cut off is not begun again by the next agent.
        # Where that cannot be recorded, nothing is begun, and it is tried again.
        write_service(self._store, self._domain, begun)
        self._recorded = self._life = begun
        outcome = self._commands.run("start", generation, term)
        self._keep(lifecycle.started(self._life, outcome.sentence("start"), self._has, time.time()))
        if outcome.is_ok and self._has.status:
            outcome = self._until(ServiceState.RUNNING, generation, term, outcome)
            if self._life.state is not ServiceState.RUNNING:
                self._keep(lifecycle.given_up(self._life, time.time()))
        if not outcome.is_ok:
            self._failed("start", outcome)
            return outcome
        log.info("the services of domain %s were started", self._domain)
        variables: dict[str, EventValue] = {"domain": self._domain, "by": person, "seconds": outcome.report.seconds}
        self._record("service.started", variables)
        return outcome

    def _stop(self, generation: int, term: int, person: str) -> Outcome:
        outcome = self._commands.run("stop", generation, term)
        self._keep(lifecycle.stopped(self._life, outcome.sentence("stop"), time.time()))
        if outcome.is_ok and self._has.status:
            outcome = self._until(ServiceState.STOPPED, generation, term, outcome)
        if not outcome.is_ok:
            self._failed("stop", outcome)
        else:
            self._record("service.stopped", {"domain": self._domain, "by": person})
        return outcome

    def _until(self, wanted: ServiceState, generation: int, term: int, outcome: Outcome) -> Outcome:
        """Ask until `status` confirms what was done, for as long as a command may take; return what it comes to."""
        deadline = time.monotonic() + self._commands.seconds
        while True:
            report = self._commands.run("status", generation, term)
            self._asked_at = time.monotonic()
            is_there = report.report.exit == (
                lifecycle.RUNS if wanted is ServiceState.RUNNING else lifecycle.IS_STOPPED
            )
            if is_there or time.monotonic() >= deadline:
                break
            self._lane.pause(ASK_AGAIN)
        self._keep(lifecycle.asked(self._life, report.report.exit, report.sentence("status"), time.time()))
        if is_there:
            return outcome
        why = lifecycle.NOT_SEEN_RUNNING if wanted is ServiceState.RUNNING else lifecycle.STILL_RUNNING
        said = report.report
        return Outcome(False, said._replace(output=f"{why} (exit {said.exit})\n{said.output}".rstrip("\n")))

    def _reload(self, generation: int, term: int) -> Outcome:
        outcome = self._commands.run("reload", generation, term)
        self.reload_failure = None if outcome.is_ok else outcome.report
        if not outcome.is_ok:
            self._failed("reload", outcome)
        return outcome

    def _ask(self, generation: int, term: int) -> Outcome:
        before = self._life.state
        outcome = self._commands.run("status", generation, term)
        self._asked_at = time.monotonic()
        self._keep(lifecycle.asked(self._life, outcome.report.exit, outcome.sentence("status"), time.time()))
        if before is ServiceState.RUNNING and self._life.state is ServiceState.STOPPED:
            log.warning("the services of domain %s have stopped by themselves", self._domain)
            self._record("service.stopped", {"domain": self._domain, "by": "itself"})
        elif before is not ServiceState.FAILED and self._life.state is ServiceState.FAILED:
            self._failed("status", outcome)
        return outcome

    def _keep(self, life: ServiceLife) -> None:
        """Make it known, and durable where something is new: that `status` said the same again is worth no flush."""
        recorded, self._life = self._recorded, life
        if life._replace(checked_at=None) != recorded._replace(checked_at=None):
            write_service(self._store, self._domain, life)
            self._recorded = life

    def _failed(self, action: str, outcome: Outcome) -> None:
        report = outcome.report
        log.warning("domain %s: %s failed (%s: %s)", self._domain, action, report.command, report.exit)
        self._record("service.failed", self._variables(action, report))

    def _variables(self, action: str, report: CommandFailure) -> dict[str, EventValue]:
        return {"domain": self._domain, "action": action, **report._asdict()}

    def _now(self) -> tuple[int, int]:
        """Return generation and term (its counter) of what stands."""
        standing = read_standing(self._store, self._domain)
        return (standing.generation if standing else 0), read_term(self._store).counter


def _this_boot() -> str:
    try:
        return boot_id()
    except OSError as error:
        # Better not started again after a reboot than started twice without one.
        log.warning("whether the machine was started again cannot be told (%s): mount /proc", error)
        return "not known"
