"""`syncer drift`: what was edited on failover, and who wins over it."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.render_drift import drift_lines, drift_sentence


@click.command("drift")
@click.argument("domain", metavar="[DOMAIN]", required=False)
@json_option
@pass_invocation
def command(invocation: Invocation, *, domain: str | None, as_json: bool) -> int:
    """Show each path that was edited on this failover node, what happened to it, and who wins; exit 3 where any was.

    With the agent running it is what its watch has noticed; without, everything is compared now.
    """
    result = invocation.call("drift", {"domain": domain})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for found in result["domains"]:
        reason = f" ({found['reason']})" if found["reason"] else ""
        say(printable(drift_sentence(found["name"], found) + reason))
        for line in drift_lines(found):
            say(f"  {line}")
    return int(result["exit_code"])
