"""`syncer approve`: lets a synchronization pass that would destroy what a target holds."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.render_synchronization import approval_lines
from syncer.cli.wording import counted


@click.command("approve")
@click.argument("target", metavar="TARGET")
@click.option("--domain", metavar="NAME", help="Only this domain.")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, target: str, domain: str | None, yes: bool, as_json: bool) -> int:
    """Let pass what waits for a person on TARGET: deletions and overwrites of files that others put there.

    The full synchronization then starts by itself.
    """
    arguments = {"target": target, "domain": domain}
    plan = invocation.call("approve", {**arguments, "plan_only": True})
    for line in approval_lines(plan["approved"]):
        note(line)
    confirm("Approve this?", yes=yes)
    # Only what was shown: a plan that has grown meanwhile waits for the next question.
    ids = [item["id"] for item in plan["approved"]]
    result = invocation.call("approve", {**arguments, "ids": ids})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for item in result["approved"]:
        what = f"{counted(item['deletions'], 'deletion')} and {counted(item['overwrites'], 'overwrite')}"
        say(f"{printable(item['target'])} {printable(item['domain'])}: approved {what}")
    return int(result["exit_code"])
