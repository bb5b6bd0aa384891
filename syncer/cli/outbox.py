"""`syncer outbox`: which actions of triggers wait, or were given up."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, print_json, printable, say
from syncer.cli.wording import counted, moment_in_words
from syncer.errors import ConfigurationError


@click.command("outbox")
@click.option("--retry", is_flag=True, help="Try the actions now, also those that were given up.")
@click.option("--drop", is_flag=True, help="Forget the actions: they are not done.")
@click.option("--all", "everything", is_flag=True, help="With --retry or --drop: all of them.")
@click.option("--given-up", is_flag=True, help="With --retry or --drop: those that were given up.")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    retry: bool,
    drop: bool,
    everything: bool,
    given_up: bool,
    ids: tuple[int, ...],
    yes: bool,
    as_json: bool,
) -> int:
    """Show which actions wait and which were given up (exit 3); with --retry or --drop, do that to those with an ID."""
    if not retry and not drop:
        if ids or everything or given_up:
            raise ConfigurationError("what is to be done with them? Give --retry or --drop")
        return _show(invocation.call("outbox", {}), as_json=as_json)
    if retry and drop:
        raise ConfigurationError("--retry and --drop are two things: give one of them")
    if [bool(ids), everything, given_up].count(True) != 1:
        raise ConfigurationError("give the numbers of the actions (`syncer outbox` lists them), --all, or --given-up")
    if drop:
        what = "all actions" if everything else "the actions that were given up" if given_up else _some(ids)
        confirm(f"Forget {what}? They will not be done.", yes=yes)
    change = {"change": "retry" if retry else "drop", "ids": list(ids), "all": everything, "given_up": given_up}
    result = invocation.call("outbox_change", change)
    if as_json:
        print_json(result)
    else:
        say(f"{counted(result['changed'], 'action')} {'to be tried now' if retry else 'forgotten'}")
    return int(result["exit_code"])


def _some(ids: tuple[int, ...]) -> str:
    return counted(len(ids), "action")


def _show(result: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    if not result["waiting"] and not result["given_up"] and not result["lost"]:
        say("nothing waits, and nothing was given up")
    for row in result["waiting"]:
        say(printable(f"{_line(row)}; next try {moment_in_words(row['next_try'])}"))
    for row in result["given_up"]:
        say(printable(f"{_line(row)}; given up {moment_in_words(row['given_up'])}"))
    if result["lost"]:
        say(f"{counted(result['lost'], 'action')} never kept, since too many waited")
    return int(result["exit_code"])


def _line(row: dict[str, Any]) -> str:
    tried = f", tried {counted(row['attempts'], 'time')}" if row["attempts"] else ""
    answer = f": {row['answer']}" if row["answer"] else ""
    since = moment_in_words(row["since"])
    return f"{row['id']} {row['trigger']}, {row['action']} to {row['receiver']}, since {since}{tried}{answer}"
