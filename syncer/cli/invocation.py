"""What one call of the command line was asked for, and how its command reaches the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.output import note
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    # Late, because pydantic comes with a file that is loaded: --help needs none.
    from syncer.config import Settings


NEEDS_THE_FILE = frozenset({"join", "substitute"})
"""Commands for which the file itself counts, so that none of its errors may stand."""
GOES_ON = "syncer: the configuration file has errors; the agent goes on with the one before: see `syncer config check`"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that stand before the command."""

    config: Path | None
    """As given with --config; None: $SYNCER_CONFIG, else the default place."""
    _told: set[str] = field(init=False, repr=False, compare=False, default_factory=set)
    """What was said already: a command that asks the agent twice says it once."""

    def settings(self) -> Settings:
        """Load the configuration. Raises ConfigurationError with every error of it."""
        from syncer.config import load

        return load(self.config)

    def call(
        self,
        command: str,
        arguments: dict[str, Any],
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Run a command on the node, by its agent or in this process. Raises what the command raises.

        Where the file has errors, the agent that goes on with the one before is asked; ConfigurationError without one.
        """
        import asyncio

        from syncer.admin.client import ask_agent, call
        from syncer.cli.logs import log_as_command

        log_as_command()
        try:
            settings = self.settings()
        except ConfigurationError:
            state = None if command in NEEDS_THE_FILE else self._state_of_running_agent()
            if state is None:
                raise
        else:
            return asyncio.run(call(settings, command, arguments, on_progress or _ignore))
        if GOES_ON not in self._told:
            self._told.add(GOES_ON)
            note(GOES_ON)
        return asyncio.run(ask_agent(state, command, arguments, on_progress))

    def ask_agent(self, command: str) -> dict[str, Any] | None:
        """Run a command on the agent of a file that has errors; None where none is found."""
        import asyncio

        from syncer.admin.client import ask_agent

        state = self._state_of_running_agent()
        return asyncio.run(ask_agent(state, command, {})) if state is not None else None

    def state(self) -> Path:
        """Return the state directory, also by a file with errors whose agent goes on with the one before.

        Raises ConfigurationError where the file has errors and no agent answers.
        """
        try:
            return self.settings().node.state
        except ConfigurationError:
            state = self._state_of_running_agent()
            if state is None:
                raise
            return state

    def _state_of_running_agent(self) -> Path | None:
        """Return where the agent of a file with errors keeps its state; None where none answers there."""
        from syncer.admin.client import agent_answers
        from syncer.config.loader import state_directory

        state = state_directory(self.config)
        return state if state is not None and agent_answers(state) else None


def _ignore(_: dict[str, Any]) -> None:
    """Progress of commands that are done at once is not shown."""


pass_invocation = click.make_pass_decorator(Invocation)


class Duration(click.ParamType[float]):
    """A length of time as the configuration writes it ("30s", "1h30m"), converted to seconds."""

    name = "duration"

    def convert(self, value: float | str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds; what is no duration is a usage error."""
        if not isinstance(value, str):
            return value
        from syncer.config import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


def json_option(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the option --json, as `as_json`."""
    decorated: Callable[..., int] = click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON (docs/json.md)."
    )(function)
    return decorated


def yes_option(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the option --yes."""
    decorated: Callable[..., int] = click.option(
        "--yes", is_flag=True, help="Do it without asking; needed where there is no terminal."
    )(function)
    return decorated
