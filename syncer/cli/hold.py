"""`syncer hold`: runs a command, and has all that it changes in a domain sent as one transaction."""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

import click

from syncer.cli.held_command import HeldCommand
from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable
from syncer.errors import ConfigurationError, StateError, SyncerError, UnreachableError

END_SECONDS = 30.0
"""How long the end of a hold is tried to be told: an agent may be restarting."""
AGAIN_SECONDS = 0.5


@click.command("hold")
@click.argument("domain", metavar="DOMAIN")
@click.argument("words", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@json_option
@pass_invocation
def command(invocation: Invocation, *, domain: str, words: tuple[str, ...], as_json: bool) -> int:
    """Run COMMAND, without a shell; all that changes in DOMAIN meanwhile becomes one transaction.

    It is sent when the command has ended with 0. When it fails, the domain stays held until `syncer resume`.
    The exit code is the command's, 128 and the signal's number where a signal ended it.
    """
    from syncer.state.processes import process_identity

    started = time.monotonic()
    shown = shlex.join(words)
    pid = os.getpid()
    with HeldCommand() as held:
        begun = invocation.call(
            "hold_begin",
            {"domain": domain, "pid": pid, "start_time": process_identity(pid), "command": shown},
        )
        hold = {"id": begun["id"], "domain": domain}
        if not begun["agent_running"]:
            note("no agent is running: the domain is held all the same, and sent when one has started")
        if held.interrupted:
            _end(invocation, hold, "")
            note("syncer: interrupted before the command was started; nothing was run, nothing is held")
            return 128 + held.interrupted
        environ = {"SYNCER_HOLD": ",".join(filter(None, [os.environ.get("SYNCER_HOLD"), begun["id"]]))}
        try:
            code = held.run(list(words), environ)
        except OSError as error:
            _end(invocation, hold, "")
            why = error.strerror or str(error)
            raise ConfigurationError(
                f"{words[0]} cannot be started ({why}); nothing was run, nothing is held"
            ) from error
        failure = "" if code == 0 else f"exit {code}" if code > 0 else f"ended by signal {-code}"
        ended = _end(invocation, hold, failure)
    exit_code = code if code >= 0 else 128 - code
    if failure:
        note(
            printable(
                f"syncer: {domain} stays held, since `{shown}` failed ({failure}): look at what it left, then "
                f"`syncer resume --domain {domain}`"
            )
        )
    elif ended["held"]:
        note(printable(f"syncer: {domain} is still held by others: see `syncer status`"))
    if as_json:
        took = time.monotonic() - started
        print_json({**hold, "command": shown, "held": ended["held"], "seconds": took, "exit_code": exit_code})
    return exit_code


def _end(invocation: Invocation, hold: dict[str, str], failure: str) -> dict[str, Any]:
    """Tell how it ended, again and again while an agent is restarting; raises what kept it from being told."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            return invocation.call("hold_end", {**hold, "failure": failure})
        except (UnreachableError, StateError) as error:
            if time.monotonic() >= deadline:
                raise SyncerError(
                    f"the end of the hold could not be told ({error}): {hold['domain']} stays held; see `syncer "
                    f"status`, then `syncer resume --domain {hold['domain']}`"
                ) from error
            time.sleep(AGAIN_SECONDS)
