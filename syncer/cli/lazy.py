"""A click group whose commands are imported when they run, so that `syncer --help` stays fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import click


class Deferred(NamedTuple):
    """Where a command is defined, and the line that stands for it in the list of commands."""

    module: str
    """Holds the command as its attribute `command`."""
    summary: str


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary only, until one is asked for."""

    def __init__(
        self,
        name: str,
        deferred: dict[str, Deferred],
        *,
        callback: Callable[..., None],
        params: list[click.Parameter],
        doc: str,
    ) -> None:
        super().__init__(name, callback=callback, params=params, help=doc, no_args_is_help=True)
        self._deferred = deferred

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order in which a newcomer meets them."""
        return list(self._deferred)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None where there is none of this name."""
        found = self._deferred.get(cmd_name)
        if found is None:
            return None
        command = importlib.import_module(found.module).command
        assert isinstance(command, click.Command), f"{found.module}.command is no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.summary) for name, found in self._deferred.items()])
