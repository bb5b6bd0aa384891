"""`syncer trigger`: what the triggers are and whether they work."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.wording import counted, moment_in_words, seconds_in_words


@click.group("trigger")
def command() -> None:
    """Show the triggers, or have one do its actions as a test."""


@command.command("list")
@json_option
@pass_invocation
def list_triggers(invocation: Invocation, *, as_json: bool) -> int:
    """Show each trigger: what it is for, what it does, and how it stands; exit 3 where an action was given up."""
    result = invocation.call("trigger_list", {})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    if not result["triggers"]:
        say("no trigger is configured: add a table [[triggers]], see docs/events.md")
    for trigger in result["triggers"]:
        for line in _lines(trigger):
            say(printable(line))
    return int(result["exit_code"])


@command.command("test")
@click.argument("name", metavar="NAME")
@json_option
@pass_invocation
def test(invocation: Invocation, *, name: str, as_json: bool) -> int:
    """Do every action of trigger NAME now, marked as a test, and say what was answered; exit 1 where one failed."""
    result = invocation.call("trigger_test", {"name": name})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for action in result["actions"]:
        how = "done" if action["done"] else "failed"
        say(printable(f"{action['action']} {action['receiver']}: {how}: {action['answer']}"))
    return int(result["exit_code"])


def _lines(trigger: dict[str, Any]) -> list[str]:
    when = f" when {trigger['when']}" if trigger["when"] else ""
    lines = [f"{trigger['name']}: on {trigger['event']}{when}; {_state(trigger)}"]
    limits = [f"at most once in {seconds_in_words(trigger['throttle_seconds'])}"] if trigger["throttle_seconds"] else []
    if trigger["after_seconds"]:
        limits.append(f"after {seconds_in_words(trigger['after_seconds'])}")
    if limits:
        lines.append(f"  {', '.join(limits)}")
    for state in trigger["lasting"]:
        told = "" if state["told"] else ", not told yet"
        lines.append(f"  lasts since {moment_in_words(state['since'])}: {state['subject']}{told}")
    hidden = trigger["lasting_count"] - len(trigger["lasting"])
    if hidden:
        lines.append(f"  and {counted(hidden, 'more state')}")
    return lines + [_action(action) for action in trigger["actions"]]


def _state(trigger: dict[str, Any]) -> str:
    if trigger["state"] == "throttled":
        held = f", {counted(trigger['held'], 'event')} held back" if trigger["held"] else ""
        return f"throttled until {moment_in_words(trigger['throttled_until'])}{held}"
    return "armed"


def _action(action: dict[str, Any]) -> str:
    parts = [f"  {action['action']} {action['receiver']}: last done {moment_in_words(action['last_done'])}"]
    if action["waiting"]:
        parts.append(f"{action['waiting']} waiting")
    if action["given_up"]:
        parts.append(f"{action['given_up']} given up")
    if action["last_error"]:
        parts.append(action["last_error"])
    return "; ".join(parts)
