"""`syncer target forget`: drops a target that is gone for good."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.wording import counted


@click.group("target")
def command() -> None:
    """Forget a target that is gone."""


@command.command("forget")
@click.argument("name", metavar="NAME")
@yes_option
@json_option
@pass_invocation
def forget(invocation: Invocation, *, name: str, yes: bool, as_json: bool) -> int:
    """Drop what this node knows of target NAME, and its certificate; to use it again, join again."""
    plan = invocation.call("target_forget", {"name": name, "dry_run": True})
    note(
        printable(f"{name}: its certificate and its progress in {counted(plan['progress_rows'], 'domain')} ")
        + "would be forgotten; to use it again it must be joined again"
    )
    confirm("Forget it?", yes=yes)
    result = invocation.call("target_forget", {"name": name, "dry_run": False})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    kept = "" if result["peer_removed"] else "; its certificate stays, another target is the same node"
    say(printable(f"{name} is forgotten{kept}"))
    note("remove its [[failover]] table from the configuration, too")
    return int(result["exit_code"])
