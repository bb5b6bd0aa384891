"""`syncer freeze`: this production node takes no more changes, until it is thawed."""

from __future__ import annotations

import click

from syncer.cli.invocation import Duration, Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.wording import moment_in_words


@click.command("freeze")
@click.argument("reason", metavar="[REASON]", default="")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@click.option("--for", "seconds", type=Duration(), metavar="30m", help="End by itself after this; else freeze_max.")
@click.option("--read-only", is_flag=True, help="Make the roots read-only meanwhile (as root, Linux 5.12 or newer).")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    reason: str,
    domains: tuple[str, ...],
    seconds: float | None,
    read_only: bool,
    as_json: bool,
) -> int:
    """Take no more changes on this production node: run the domains' `freeze` commands, and tell what changes.

    What was captured goes on arriving. Freezes all of the domains, or none. `syncer thaw` ends it.
    """
    arguments = {"reason": reason, "domains": list(domains), "seconds": seconds, "read_only": read_only}
    result = invocation.call("freeze", arguments)
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for item in result["frozen"]:
        facts = [f"`{item['command']}` was run" if item["command"] else "no `freeze` command is configured"]
        facts += ["its root is read-only"] if item["read_only"] else []
        if item["command"]:
            facts.append("a thaw starts its services again" if item["starts_again"] else "a thaw starts nothing")
        until = moment_in_words(item["until"])
        say(printable(f"{item['domain']}: frozen until {until} at the latest ({', '.join(facts)})"))
    say("`syncer wait` returns once everything has arrived; `syncer thaw` ends the freeze")
    return int(result["exit_code"])
