"""`syncer service`: runs one of a domain's commands on this node, as syncer itself would."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.person import person
from syncer.cli.wording import seconds_in_words


@click.command("service")
@click.argument("action", metavar="ACTION", type=click.Choice(["start", "stop", "reload", "status", "check"]))
@click.argument("domain", metavar="DOMAIN")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, action: str, domain: str, yes: bool, as_json: bool) -> int:
    """Start, stop, reload or check the services of DOMAIN on this node, or ask their status.

    Exit code: 0 done, or running; 1 failed; 3 stopped (status only); 4 not started, since nobody agreed.
    """
    arguments: dict[str, Any] = {"action": action, "domain": domain, "by": person()}
    doubt = invocation.call("service", {**arguments, "dry_run": True})["doubt"] if action == "start" else ""
    if doubt:
        note(printable(doubt))
        confirm(f"Start the services of {domain} all the same?", yes=yes)
    result = invocation.call("service", {**arguments, "dry_run": False, "agreed": bool(doubt)})
    if as_json:
        print_json(result)
    else:
        _show(result)
    return int(result["exit_code"])


def _show(result: dict[str, Any]) -> None:
    if result["output"]:
        note("\n".join(printable(line) for line in result["output"].split("\n")))
    took = seconds_in_words(result["seconds"])
    words = {0: "done", 3: "stopped"}.get(result["exit_code"], "failed")
    if result["action"] == "status" and result["exit_code"] == 0:
        words = "running"
    say(
        printable(
            f"{result['domain']}: {result['action']}: {words} ({result['command']}: {_exit(result['exit'])}, in {took})"
        )
    )


def _exit(ended: str) -> str:
    return f"exit {ended}" if ended.isdigit() else ended
