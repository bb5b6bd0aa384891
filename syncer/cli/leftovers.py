"""`syncer leftovers`: where production's addresses still stand on failover, and why."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, say
from syncer.cli.progress import progress_display
from syncer.cli.render_leftovers import lines_of


@click.command("leftovers")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="A",
    help="Look for this address, network or name, too; repeatable.",
)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, target: str | None, addresses: tuple[str, ...], domains: tuple[str, ...], as_json: bool
) -> int:
    """Say where production's addresses still stand on TARGET, or on all targets, and why; exit 3 where any does.

    Looked for is what the rules replace, what this production node is reached by, and what --address names. On
    failover its own disk is searched, with all that is not synchronized.
    """
    if addresses:
        # Late: it compiles patterns. Before anything else: nothing is worth waiting for where it is refused.
        from syncer.leftovers.needles import Needles

        Needles((), (), addresses)
    with progress_display(as_json=as_json) as show:
        arguments = {"target": target, "addresses": list(addresses), "domains": list(domains)}
        result = invocation.call("leftovers", arguments, show)
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(line)
    return int(result["exit_code"])
