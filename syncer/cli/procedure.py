"""`syncer procedure`: shows the procedures of this node; aborts one, or has it go on."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.render_procedures import procedure_lines, report_lines
from syncer.cli.wording import moment_in_words
from syncer.errors import ConfigurationError

ACTIONS = ("abort", "resume")


@click.command("procedure")
@click.argument("words", metavar="[ID] [abort|resume]", nargs=-1)
@click.option("--force", is_flag=True, help="With abort: do not wait for the other node, which undoes its part later.")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, words: tuple[str, ...], force: bool, yes: bool, as_json: bool) -> int:
    """Show the latest procedures, or the report of the one with this ID (its first characters do).

    With abort everything that it has done is undone, which is possible until its point of no return; with resume
    what waits for a person is tried again. Without an ID that is the one that is under way. Exit code 4 where one
    waits for a person.
    """
    wanted, action = _understood(words)
    if force and action != "abort":
        raise ConfigurationError("--force belongs to `syncer procedure abort`")
    arguments: dict[str, Any] = {"id": wanted, "action": action, "force": force}
    if action == "abort":
        _ask(invocation, wanted, force=force, yes=yes)
    result = invocation.call("procedure", arguments)
    if as_json:
        print_json(result)
    elif "procedure" in result:
        for line in (*procedure_lines(result["procedure"]), *report_lines(result["procedure"])):
            say(printable(line))
    else:
        _list(result["procedures"])
    return int(result["exit_code"])


def _understood(words: tuple[str, ...]) -> tuple[str, str]:
    action = words[-1] if words and words[-1] in ACTIONS else ""
    rest = words[:-1] if action else words
    if len(rest) > 1:
        raise ConfigurationError("say it as `syncer procedure [ID] [abort|resume]`")
    return (rest[0] if rest else ""), action or "show"


def _ask(invocation: Invocation, wanted: str, *, force: bool, yes: bool) -> None:
    if yes:
        return
    latest = invocation.call("procedure", {"action": "show", "id": ""})["procedures"]
    for found in latest:
        if found["outcome"] == "open" and found["id"].startswith(wanted):
            for line in procedure_lines(found):
                note(printable(line))
    without = " without waiting for the other node" if force else ""
    confirm(f"Undo what was done, from the last step to the first{without}?", yes=yes)


def _list(procedures: list[dict[str, Any]]) -> None:
    if not procedures:
        say("there was no procedure yet")
    for found in procedures:
        if found["outcome"] == "open":
            for line in procedure_lines(found):
                say(printable(line))
            continue
        why = f": {found['reason']}" if found["reason"] else ""
        line = f"{found['id'][:8]} {found['kind']} with {found['peer']}, {found['outcome']} "
        say(printable(f"{line}{moment_in_words(found['ended'])}{why}"))
