"""`syncer invite`: the line that pairs a production node with this failover server."""

from __future__ import annotations

import click

from syncer.cli.invocation import Duration, Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, say
from syncer.cli.wording import moment_in_words

TTL_SECONDS = 3600.0


@click.command("invite")
@click.option("--ttl", type=Duration(), default=TTL_SECONDS, metavar="1h", help="How long the token is good; else 1h.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, ttl: float, as_json: bool) -> int:
    """Print the line to run on production, with a token that is worth one join. Run it on failover."""
    result = invocation.call("invite", {"ttl_seconds": ttl})
    if as_json:
        print_json(result)
        return int(result.get("exit_code", 0))
    note(f"run this on production before {moment_in_words(result['expires_at'])}; it works once:")
    say(result["join_line"])
    if not result["agent_running"]:
        note("no agent is running here, so nobody would answer: start it first, with `syncer agent`")
    return int(result.get("exit_code", 0))
