"""One domain's check, which decides about transactions, and its services, which follow them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from syncer.apply.candidate import Candidate
from syncer.config import DomainSettings
from syncer.errors import ApplyError, CheckFailedError, CommandError, CommandFailure, Reason, ViewError
from syncer.model import RecordEvent, ServiceLife
from syncer.services.command import CommandRunner
from syncer.services.commands import DomainCommands, Outcome
from syncer.services.service import Service
from syncer.state.store import StateStore


class DomainServices:
    """Runs the commands that this node's own configuration names for one domain."""

    def __init__(
        self, node: str, settings: DomainSettings, runner: CommandRunner, record: RecordEvent, store: StateStore
    ) -> None:
        """Run them with `runner`, as `node`; failures are recorded as events."""
        self.has_check = bool(settings.check)
        self.has_reload = bool(settings.reload)
        self.check_failure: CommandFailure | None = None
        """How the latest check failed; None where it passed, or none was run."""
        self._node = node
        self._domain = settings.name
        self._commands = DomainCommands(settings, runner)
        self._runner = runner
        self._record = record
        self._service = Service(settings.name, self._commands, store, record)

    @property
    def reload_failure(self) -> CommandFailure | None:
        """How the latest reload failed; None where it went well, or none was run."""
        return self._service.reload_failure

    @property
    def life(self) -> ServiceLife | None:
        """How the services are, as was last known; None where nothing is configured that would tell."""
        return self._service.life if self._service.is_known else None

    def has(self, action: str) -> bool:
        """Tell whether there is a command for `action`, a key of the configuration."""
        return self._commands.has(action)

    def shown(self, action: str) -> str:
        """Return that command as a person would type it, without what looks like a secret."""
        return self._commands.shown(action)

    def check(self, generation: int, term: int, candidate: Candidate | None) -> None:
        """Run the check on a candidate, or on the live tree where that is None. Blocking.

        Raises CheckFailedError where it refuses or cannot be started, ViewError where the candidate cannot
        be shown, ApplyError with SHUTTING_DOWN where the agent stops meanwhile.
        """
        command = self._commands.command("check", generation, term)
        try:
            ended = self._runner.run(command, candidate)
        except ViewError:
            raise
        except CommandError as error:
            failure = CommandFailure(command.shown, "not started", 0.0, str(error))
            raise self._refused(failure, f"cannot be run: {error}") from error
        if ended.cancelled:
            raise ApplyError(
                f"the agent stops while the check of domain {self._domain} runs: it is tried again",
                Reason.SHUTTING_DOWN,
            )
        if not ended.is_ok:
            how = f"took longer than {command.seconds:g} s" if ended.timed_out else f"ended with {ended.exit}"
            cure = f"correct the configuration on production, or what the check needs on {self._node}"
            raise self._refused(ended.failure(command), f"{how}: {cure}")
        self.check_failure = None

    def attend(self, generation: int, term: int, *, start: bool, reloaded: Callable[[], None] | None) -> None:
        """Start and reload the services where that is due, beside what is applied; see Service.attend."""
        self._service.attend(generation, term, start=start, reloaded=reloaded)

    def watch(self) -> None:
        """Begin to ask the services how they are."""
        self._service.watch()

    def by_hand(self, action: str, person: str) -> Future[Outcome]:
        """Run one of the commands for a person; see Service.by_hand."""
        return self._service.by_hand(action, person)

    def close(self) -> None:
        """Wait for the command that runs; cancel the runner first."""
        self._service.close()

    def _refused(self, failure: CommandFailure, how: str) -> CheckFailedError:
        self.check_failure = failure
        self._record(
            "check.failed", {"node": self._node, "target": self._node, "domain": self._domain, **failure._asdict()}
        )
        return CheckFailedError(
            f"the check of domain {self._domain} ({failure.command}) {how}; {self._node} keeps what it had",
            failure,
        )
