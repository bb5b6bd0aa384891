"""`syncer promote --drill`: all of a promotion on copies; nothing is started, fenced, changed or sent."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from syncer.admin.progress import while_working
from syncer.apply.candidate import Candidate, Layer
from syncer.capture.ignore import Scope
from syncer.config import DomainSettings
from syncer.drill.homeward import captured, carry_home
from syncer.drill.place import drill_place, remove_tree
from syncer.drill.report import (
    COPY,
    STANDING,
    CheckShown,
    DomainShown,
    Step,
    exit_code_of,
    findings_of,
    outcome_of,
)
from syncer.drill.shadow import Copied, DrillEndedError, copy_tree
from syncer.errors import CommandError, CommandFailure, RefusedError, SyncerError, ViewError
from syncer.index.store import IndexStore
from syncer.model import Mode
from syncer.procedures.preconditions import DomainFacts, Facts, assess
from syncer.procedures.readiness import Purpose, document
from syncer.services.commands import DomainCommands
from syncer.state.copy import copy_database
from syncer.state.cursors import read_standing
from syncer.state.store import FILE_NAME, StateStore
from syncer.state.term import next_term

if TYPE_CHECKING:
    from syncer.node.agent import Node

Event = tuple[Literal["progress", "result"], dict[str, Any]]
Told = Callable[[str, str, int, int], None]
"""Takes domain, phase, how many paths and how many bytes are done."""
SKIPPED_LISTED = 100
SEARCH_SECONDS = 120.0
"""How long production's addresses are looked for at most."""


async def drill(node: Node, _: dict[str, Any]) -> AsyncGenerator[Event, None]:
    """Try a promotion, with progress; the result is as docs/json.md describes it.

    Raises RefusedError on a node that is not failover, and where another drill is under way.
    """
    mode, term = node.mode_and_term()
    if mode is not Mode.FAILOVER or node.failover is None:
        raise RefusedError(
            f"{node.settings.node.name} is in mode {mode.value}, and a drill is for the failover node that would take "
            "over: run it there"
        )
    began = time.monotonic()
    stopping = threading.Event()
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def told(domain: str, phase: str, done: int, size: int) -> None:
        body = {"target": "", "domain": domain, "phase": phase, "done": done, "total": 0, "bytes": size}
        # RACE: whoever asked may have gone, and the loop with it: the thread sees that by itself.
        if not stopping.is_set():
            loop.call_soon_threadsafe(events.put_nowait, ("progress", body))

    working = asyncio.create_task(_all(node, stopping, told))
    try:
        async with aclosing(while_working(working, events)) as said:
            async for event in said:
                yield event
    finally:
        stopping.set()
    facts, domains = working.result()
    findings = [*assess(facts, Purpose.DRILL), *findings_of(domains)]
    outcome = outcome_of(findings)
    yield (
        "result",
        {
            "node": node.settings.node.name,
            "mode": mode.value,
            "term": term.counter,
            "outcome": outcome,
            "readiness": document(Purpose.DRILL, findings),
            "domains": [domain.document() for domain in domains],
            "would": [step._asdict() for step in await asyncio.to_thread(steps_of, node, facts)],
            "seconds": time.monotonic() - began,
            "exit_code": exit_code_of(outcome),
        },
    )


async def _all(node: Node, stopping: threading.Event, told: Told) -> tuple[Facts, list[DomainShown]]:
    # Late: of the level above, as the node is.
    from syncer.node.readiness_side import facts_of

    told("", "preconditions", 0, 0)
    facts = await facts_of(node, Purpose.DRILL, search=SEARCH_SECONDS, check=False)
    domains = await asyncio.to_thread(_on_copies, node, facts, stopping, told)
    return _with_checks(facts, domains), domains


def _with_checks(facts: Facts, domains: list[DomainShown]) -> Facts:
    """Take what the checks said of the copies for what they say at all."""
    checks = {domain.name: domain.check for domain in domains if domain.check is not None}
    domains_then = tuple(_with_check(domain, checks.get(domain.name)) for domain in facts.domains)
    return facts._replace(domains=domains_then)


def _with_check(domain: DomainFacts, check: CheckShown | None) -> DomainFacts:
    if check is None:
        return domain
    report = check.report
    failure = "" if check.is_ok else f"{report.command}: {report.exit}: {report.output.partition(chr(10))[0]}"
    return domain._replace(check_ran=True, check_failure=failure)


def _on_copies(node: Node, facts: Facts, stopping: threading.Event, told: Told) -> list[DomainShown]:
    """Try one domain after the other, each in a place of its own; blocking."""
    received = {domain.name for domain in facts.domains if domain.is_received}
    shown = []
    with drill_place(node.settings.node.state) as place:
        for number, domain in enumerate(node.settings.domains):
            if domain.name not in received:
                continue
            folder = place / str(number)
            folder.mkdir(mode=0o700)
            try:
                shown.append(_DomainDrill(node, domain, folder, stopping, told).run())
            except DrillEndedError:
                raise
            except SyncerError as error:
                shown.append(DomainShown(domain.name, str(domain.path), str(error)))
            # Two copies of each domain would be there at once else.
            remove_tree(folder)
    return shown


class _DomainDrill:
    """One domain, in a folder of its own."""

    def __init__(self, node: Node, domain: DomainSettings, folder: Path, stopping: threading.Event, told: Told) -> None:
        assert node.failover is not None, "the caller has looked"
        self._node = node
        self._failover = node.failover
        self._domain = domain
        self._folder = folder
        self._stopping = stopping
        self._told = partial(told, domain.name)
        self._copy = folder / "tree"
        self._pinned = folder / "state"

    def run(self) -> DomainShown:
        began = time.monotonic()
        copied = self._failover.receiver.submit(self._domain.name, self._take_copy).result()
        found = {
            "files": copied.files,
            "bytes": copied.bytes,
            "one_state": copied.is_one_state,
            "skipped_count": len(copied.skipped),
            "skipped": list(copied.skipped[:SKIPPED_LISTED]),
            "seconds": time.monotonic() - began,
        }
        shown = DomainShown(self._domain.name, str(self._domain.path), copied=found)
        if self._domain.check:
            self._told("check", 0, 0)
            shown = shown._replace(check=self._checked())
        return self._home(shown)

    def _take_copy(self) -> Copied:
        """Copy the tree and what is known of it, of one moment: on the domain's worker, between two transactions."""
        copied = copy_tree(
            self._domain.path,
            self._copy,
            self._node.settings.node.state,
            partial(self._told, "copy"),
            self._stopping,
        )
        self._pinned.mkdir(mode=0o700)
        copy_database(self._node.store.path, self._pinned / FILE_NAME)
        return copied

    def _checked(self) -> CheckShown:
        standing = read_standing(self._node.store, self._domain.name)
        _, term = self._node.mode_and_term()
        generation = standing.generation if standing else 0
        commands = DomainCommands(self._domain, self._failover.runner)
        command = commands.command("check", generation, term.counter)
        try:
            ended = self._failover.runner.run(command, self._candidate())
        except ViewError as error:
            look = partial(commands.run, "check", generation, term.counter)
            outcome = self._failover.receiver.submit(self._domain.name, look).result()
            return CheckShown(STANDING, outcome.is_ok, outcome.report, str(error))
        except CommandError as error:
            return CheckShown(COPY, False, CommandFailure(command.shown, "not started", 0.0, str(error)))
        return CheckShown(COPY, ended.is_ok, ended.failure(command))

    def _candidate(self) -> Candidate:
        if os.geteuid() != 0:
            raise ViewError("the agent does not run as root")
        scratch = self._folder / "scratch"
        scratch.mkdir(mode=0o700)
        root, copy = os.path.realpath(self._domain.path), os.path.realpath(self._copy)
        here, there = os.stat(root), os.stat(copy)
        layer = Layer(b"", os.fsencode(copy), there.st_dev, there.st_ino, is_whole=True)
        return Candidate(os.fsencode(root), here.st_dev, here.st_ino, (layer,), os.fsencode(os.path.realpath(scratch)))

    def _home(self, shown: DomainShown) -> DomainShown:
        from syncer.node.outlooks import home_of, home_outlook
        from syncer.node.protected import protected_paths

        domain, settings = self._domain, self._node.settings
        began = time.monotonic()
        with StateStore.open(self._pinned) as store, IndexStore.open(self._folder / "index.db") as index:
            home = home_of(settings, store, domain)
            if home is None or home.why:
                # The preconditions say it.
                return shown
            scope = Scope(domain.patterns, protected_paths(settings, domain.path))
            contents = captured(domain.name, self._copy, scope, index)
            found = carry_home(
                domain.name,
                self._copy,
                self._folder / "home",
                index,
                contents,
                partial(home_outlook, store, domain, home.rules),
                partial(self._told, "home"),
                self._stopping,
            )
        told = {**asdict(found), "proved": found.proved, "seconds": time.monotonic() - began}
        return shown._replace(home=told, home_to=home.name)


def steps_of(node: Node, facts: Facts) -> list[Step]:
    """Return what a promotion of this node would do now, in its order; blocking."""
    hooks = node.settings.hooks
    other = facts.production
    steps = []
    if other is not None and other.answers:
        steps.append(Step(f"{other.name} runs its hook before_demote, freezes, and sends all that is left"))
    steps += _hook("before_promote", hooks.before_promote)
    if other is not None and other.answers:
        steps.append(Step(f"{other.name} gives production away"))
    steps.append(Step(f"{facts.node} becomes production under term {next_term(node.store).counter}"))
    assert node.failover is not None, "the caller has looked"
    for domain in node.settings.domains:
        services = node.failover.services[domain.name]
        steps += [
            Step(f"{what} the services", domain.name, services.shown(action))
            for action, what in (("start", "start"), ("status", "ask for"))
            if services.has(action)
        ]
    steps += _hook("after_promote", hooks.after_promote)
    if other is not None and other.answers:
        steps.append(Step(f"{other.name} becomes failover, and {facts.node} begins to send to it"))
    return steps


def _hook(name: str, words: tuple[str, ...]) -> list[Step]:
    from syncer.services.command import Command

    return [Step(f"run the hook {name}", "", Command(words, {}, 0.0).shown)] if words else []
