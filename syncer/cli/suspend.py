"""`syncer suspend`: sends nothing to a target until it is resumed, or for a while."""

from __future__ import annotations

import click

from syncer.cli.invocation import Duration, Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say


@click.command("suspend")
@click.argument("target", metavar="TARGET")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@click.option("--for", "seconds", type=Duration(), metavar="1h", help="Go on by itself after this time.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for who looks at the status.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    target: str,
    domains: tuple[str, ...],
    seconds: float | None,
    reason: str,
    as_json: bool,
) -> int:
    """Send nothing to TARGET until `syncer resume`; nothing is lost, and all others go on."""
    arguments = {"target": target, "domains": list(domains), "seconds": seconds, "reason": reason}
    result = invocation.call("suspend", arguments)
    if as_json:
        print_json(result)
    for item in [] if as_json else result["suspended"]:
        say(printable(f"{item['target']} {item['domain']}: {item['reason']}"))
    return int(result["exit_code"])
