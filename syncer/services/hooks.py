"""Runs the commands of [hooks] around a procedure: what each is told, and what its failure means."""

from __future__ import annotations

from typing import NamedTuple

from syncer.config.programs import HOOKS
from syncer.config.settings import HookSettings
from syncer.errors import ApplyError, CommandError, CommandFailure, HookError, Reason
from syncer.model import RecordEvent
from syncer.services.command import Command, CommandRunner
from syncer.services.commands import Outcome


class About(NamedTuple):
    """What a hook is told of the procedure, in its environment."""

    node: str
    peer: str
    term: int
    """The counter: before a promotion the one of now, after it the new one."""
    kind: str
    """Of the switch, the same in each hook of one procedure: `planned`, `forced` or `rejoin`."""
    procedure: str
    """Its id."""
    procedure_kind: str
    """By what command it was begun: `promote`, `reverse` or `rejoin`."""

    def variables(self, hook: str) -> dict[str, str]:
        """Return the environment of a hook, beside what all commands find."""
        found = {f"SYNCER_{key.upper()}": str(value).replace("\0", "") for key, value in self._asdict().items()}
        return {"SYNCER_HOOK": hook, **found}


class Hooks:
    """The hooks of this node's own configuration; a peer can neither name nor change one."""

    def __init__(self, settings: HookSettings, runner: CommandRunner, record: RecordEvent) -> None:
        """Run them with `runner`; failures are recorded as events."""
        self._settings = settings
        self._runner = runner
        self._record = record

    def has(self, hook: str) -> bool:
        """Tell whether a hook is configured."""
        return bool(self._words(hook))

    def command(self, hook: str, about: About) -> Command:
        """Return what would be run."""
        return Command(self._words(hook), about.variables(hook), self._settings.timeout)

    def run(self, hook: str, about: About) -> Outcome:
        """Run a hook to its end; where none is configured, all is well. Blocking.

        Raises HookError where one that comes before fails: the procedure must stop. One that comes after is told, and
        undoes nothing. Raises ApplyError with SHUTTING_DOWN where the agent stops meanwhile.
        """
        if not self.has(hook):
            return Outcome(True, CommandFailure())
        command = self.command(hook, about)
        outcome = self._outcome(hook, command)
        if not outcome.is_ok:
            what = {"hook": hook, "procedure": about.procedure, **outcome.report._asdict()}
            self._record("hook.failed", what)
            if stops(hook):
                raise HookError(
                    f"{outcome.sentence(hook)}: nothing was done; correct the command in [hooks], or what it checks",
                    outcome.report,
                )
        return outcome

    def _outcome(self, hook: str, command: Command) -> Outcome:
        try:
            # What it starts on purpose, such as a daemon that announces an address, stays.
            ended = self._runner.run(command, may_leave_others=True)
        except CommandError as error:
            return Outcome(False, CommandFailure(command.shown, "not started", 0.0, str(error)))
        if ended.cancelled:
            raise ApplyError(f"the agent stops while {hook} runs ({command.shown})", Reason.SHUTTING_DOWN)
        return Outcome(ended.is_ok, ended.failure(command))

    def _words(self, hook: str) -> tuple[str, ...]:
        assert hook in HOOKS, f"{hook} is no hook"
        words: tuple[str, ...] = getattr(self._settings, hook)
        return words


def stops(hook: str) -> bool:
    """Tell whether the failure of a hook stops the procedure."""
    return hook.startswith("before_")
