"""One domain's check and reload: what they are told, and what is told of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from syncer.apply.candidate import Candidate
from syncer.config import DomainSettings
from syncer.errors import ApplyError, CheckFailedError, CommandError, CommandFailure, Reason, ViewError
from syncer.model import EventValue, RecordEvent
from syncer.services.command import Command, CommandRunner
from syncer.services.reload import Reloader

log = logging.getLogger(__name__)


class DomainServices:
    """Runs the commands that this node's own configuration names for one domain."""

    def __init__(self, node: str, settings: DomainSettings, runner: CommandRunner, record: RecordEvent) -> None:
        """Run them with `runner`, as `node`; failures are recorded as events."""
        self.has_check = bool(settings.check)
        self.has_reload = bool(settings.reload)
        self.check_failure: CommandFailure | None = None
        """How the latest check failed; None where it passed, or none was run."""
        self._node = node
        self._settings = settings
        self._runner = runner
        self._record = record
        self._reloader = Reloader(f"reload-{settings.name}", self._reload) if settings.reload else None

    @property
    def reload_failure(self) -> CommandFailure | None:
        """How the latest reload failed; None where it went well, or none was run."""
        return self._reloader.failure if self._reloader else None

    def check(self, generation: int, term: int, candidate: Candidate | None) -> None:
        """Run the check on a candidate, or on the live tree where that is None. Blocking.

        Raises CheckFailedError where it refuses or cannot be started, ViewError where the candidate cannot
        be shown, ApplyError with SHUTTING_DOWN where the agent stops meanwhile.
        """
        command = self._command(self._settings.check, generation, term)
        try:
            ended = self._runner.run(command, candidate)
        except ViewError:
            raise
        except CommandError as error:
            failure = CommandFailure(command.shown, "not started", 0.0, str(error))
            raise self._refused(failure, f"cannot be run: {error}") from error
        if ended.cancelled:
            raise ApplyError(
                f"the agent stops while the check of domain {self._settings.name} runs: it is tried again",
                Reason.SHUTTING_DOWN,
            )
        if not ended.is_ok:
            how = f"took longer than {command.seconds:g} s" if ended.timed_out else f"ended with {ended.exit}"
            raise self._refused(ended.failure(command), f"{how}: correct the configuration on production")
        self.check_failure = None

    def reload_soon(self, generation: int, term: int, done: Callable[[], None]) -> None:
        """Have the services reloaded on a thread of their own; `done` is called there once they were."""
        if self._reloader is not None:
            self._reloader.request(generation, term, done)

    def close(self) -> None:
        """Wait for the reload that runs; cancel the runner first."""
        if self._reloader is not None:
            self._reloader.close()

    def _refused(self, failure: CommandFailure, how: str) -> CheckFailedError:
        self.check_failure = failure
        self._record("check.failed", {"target": self._node, **self._variables(failure)})
        return CheckFailedError(
            f"the check of domain {self._settings.name} ({failure.command}) {how}; {self._node} keeps what it had",
            failure,
        )

    def _reload(self, generation: int, term: int) -> CommandFailure | None:
        """Run the reload; returns how it failed, or None. Raises ApplyError where the agent stops meanwhile."""
        command = self._command(self._settings.reload, generation, term)
        try:
            ended = self._runner.run(command, may_leave_others=True)
        except CommandError as error:
            failure = CommandFailure(command.shown, "not started", 0.0, str(error))
        else:
            if ended.cancelled:
                raise ApplyError(f"the agent stops while {command.shown} runs: it is run at the next start")
            if ended.is_ok:
                return None
            failure = ended.failure(command)
        log.warning("domain %s: %s failed (%s)", self._settings.name, failure.command, failure.exit)
        self._record("service.failed", self._variables(failure))
        return failure

    def _variables(self, failure: CommandFailure) -> dict[str, EventValue]:
        return {"node": self._node, "domain": self._settings.name, **failure._asdict()}

    def _command(self, words: Sequence[str], generation: int, term: int) -> Command:
        variables = {
            "SYNCER_DOMAIN": self._settings.name,
            "SYNCER_GENERATION": str(generation),
            "SYNCER_TERM": str(term),
            "SYNCER_ROOT": os.path.realpath(self._settings.path),
        }
        return Command(words, variables, self._settings.command_timeout)
