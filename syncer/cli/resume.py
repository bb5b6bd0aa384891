"""`syncer resume`: goes on after a suspension, after a failed hold, and after a rollback on failover."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.progress import progress_display
from syncer.cli.render_synchronization import lines_of
from syncer.errors import ConfigurationError


@click.command("resume")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, target: str | None, domains: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Go on sending to TARGET, or to all targets of the domains that are named.

    It ends suspensions, and holds whose command failed: those for all targets. What was rolled back on failover
    is compared fully and made as it is on production again, after showing the plan. It asks only for that.
    """
    if target is None and not domains:
        raise ConfigurationError("say what to resume: a TARGET, or a domain of all targets with --domain")
    arguments: dict[str, Any] = {"target": target, "domains": list(domains)}
    with progress_display(as_json=as_json) as show:
        plan = invocation.call("resume", {**arguments, "plan_only": True}, show)
    confirmed = bool(plan["rolled_back"])
    if confirmed:
        note("this was rolled back on failover, and would be made as it is on production again:")
        for line in lines_of({"targets": plan["rolled_back"]}):
            note(line)
        confirm("Do this?", yes=yes)
    with progress_display(as_json=as_json) as show:
        result = invocation.call("resume", {**arguments, "confirmed": confirmed}, show)
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for line in _lines(result):
        say(printable(line))
    for line in lines_of({"targets": result["rolled_back"]}):
        say(line)
    return int(result["exit_code"])


_RESUMED = {
    "": "resumed",
    "arrived": "resumed: it arrives again",
    "pending": "resumed; the first attempt follows (see `syncer status`)",
    "failed": "tried again, and failed again: ",
}
"""What came of a resumption within the time that one waits for it."""


def _lines(result: dict[str, Any]) -> list[str]:
    lines = []
    for item in result["resumed"]:
        place = item["target"] + (f" {item['domain']}" if item["domain"] else "")
        lines.append(f"{place}: {_RESUMED[item['first_attempt']]}{item['error']}")
    lines += [f"{item['domain']}: no longer held by `{item['command']}` ({item['detail']})" for item in result["holds"]]
    if not lines and not result["rolled_back"]:
        lines.append("nothing was suspended, held or rolled back")
    lines += [f"{item['target']} {item['domain']} is still suspended: {item['reason']}" for item in result["still"]]
    return lines
