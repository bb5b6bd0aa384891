"""`syncer status`: what failing over now would lose, and how every target and domain stands."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable
from syncer.errors import ConfigurationError, SyncerError

REFRESH_SECONDS = 1.0


@click.command("status")
@click.option("--watch", is_flag=True, help="Refresh each second until Ctrl-C.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, watch: bool, as_json: bool) -> int:
    """Show what failing over now would lose, and the state of every target and domain.

    Exit code: 0 all is there, or has been on its way for less than behind_after; 3 behind, or frozen, or a reload of
    the configuration was refused; 4 suspended; 5 unreachable, or no agent runs; on failover 5 where production is
    silent.
    """
    if watch:
        return _watch(invocation, as_json=as_json)
    status = _status(invocation, as_json=as_json)
    if as_json:
        print_json(status)
    else:
        from syncer.cli.console import console
        from syncer.cli.render_status import render_status

        console().print(render_status(status))
    return int(status["exit_code"])


def _status(invocation: Invocation, *, as_json: bool) -> dict[str, Any]:
    """Return the status, also of an agent whose file has errors by now: it goes on with what it has read."""
    try:
        invocation.settings()
    except ConfigurationError as error:
        status = invocation.ask_agent("status")
        if status is None:
            raise
        # What the agent has refused stands in the text that is printed next.
        known = () if as_json else status["configuration"]["error"].splitlines()
        for line in error.errors:
            if line not in known:
                note(f"warning: {printable(line)}")
        return status
    return invocation.call("status", {})


def _watch(invocation: Invocation, *, as_json: bool) -> int:
    try:
        if as_json or not sys.stdout.isatty():
            _watch_lines(invocation, as_json=as_json)
        else:
            _watch_screen(invocation)
    except KeyboardInterrupt:
        return 0
    return 0


def _watch_lines(invocation: Invocation, *, as_json: bool) -> None:
    from syncer.cli.console import console
    from syncer.cli.render_status import render_status

    while True:
        status = _status(invocation, as_json=as_json)
        if as_json:
            print_json(status, one_line=True)
        else:
            console().print(render_status(status), "")
            sys.stdout.flush()
        time.sleep(REFRESH_SECONDS)


def _watch_screen(invocation: Invocation) -> None:
    from rich.live import Live
    from rich.text import Text

    from syncer.cli.console import console
    from syncer.cli.render_status import render_status

    with Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(render_status(_status(invocation, as_json=False)), refresh=True)
            except SyncerError as error:
                # An agent that is restarted comes back; until then its last status must not look true.
                live.update(Text(f"syncer: {error}", style="bold red"), refresh=True)
            time.sleep(REFRESH_SECONDS)
