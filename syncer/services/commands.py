"""Runs one domain's configured commands: what each is told, and what is told of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from syncer.config import DomainSettings
from syncer.config.programs import ACTIONS
from syncer.errors import ApplyError, CommandError, CommandFailure, Reason
from syncer.services.command import Command, CommandRunner

LEAVES_OTHERS = frozenset({"start", "reload", "stop", "freeze"})
"""Actions whose command may leave processes behind on purpose: a daemon is one."""


class Outcome(NamedTuple):
    """How a command ended."""

    is_ok: bool
    report: CommandFailure
    """What was run, its exit, seconds and output, whether it failed or not."""

    def sentence(self, action: str) -> str:
        """Say in one line how it failed; "" where it did not."""
        if self.is_ok:
            return ""
        first = self.report.output.partition("\n")[0]
        return f"{action} failed ({self.report.command}: {self.report.exit}){': ' if first else ''}{first}"


class DomainCommands:
    """The commands that this node's own configuration names for one domain."""

    def __init__(self, settings: DomainSettings, runner: CommandRunner) -> None:
        """Run them with `runner`."""
        self._settings = settings
        self._runner = runner
        self._words: dict[str, tuple[str, ...]] = {action: getattr(settings, action) for action in ACTIONS}

    @property
    def seconds(self) -> float:
        """How long each may take."""
        return self._settings.command_timeout

    def has(self, action: str) -> bool:
        """Tell whether the configuration names one."""
        return bool(self._words.get(action))

    def command(self, action: str, generation: int, term: int) -> Command:
        """Return what is to be run."""
        variables = {
            "SYNCER_DOMAIN": self._settings.name,
            "SYNCER_ACTION": action,
            "SYNCER_GENERATION": str(generation),
            "SYNCER_TERM": str(term),
            "SYNCER_ROOT": os.path.realpath(self._settings.path),
        }
        return Command(self._words[action], variables, self._settings.command_timeout)

    def shown(self, action: str) -> str:
        """Return the command as a person would type it, without what looks like a secret."""
        return self.command(action, 0, 0).shown

    def run(self, action: str, generation: int, term: int) -> Outcome:
        """Run one on what stands, to its end. Blocking. Raises ApplyError with SHUTTING_DOWN where the agent stops."""
        command = self.command(action, generation, term)
        try:
            ended = self._runner.run(command, may_leave_others=action in LEAVES_OTHERS)
        except CommandError as error:
            return Outcome(False, CommandFailure(command.shown, "not started", 0.0, str(error)))
        if ended.cancelled:
            raise ApplyError(f"the agent stops while {command.shown} runs", Reason.SHUTTING_DOWN)
        return Outcome(ended.is_ok, ended.failure(command))
