"""`syncer diff`: what differs on failover, as the indexes know it."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, say
from syncer.cli.progress import progress_display
from syncer.cli.render_synchronization import lines_of


@click.command("diff")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, target: str | None, domains: tuple[str, ...], as_json: bool) -> int:
    """Show what a synchronization would change on TARGET, or on all targets; exit 3 where something differs.

    It compares with what each target has recorded as applied, without reading the files there.
    """
    with progress_display(as_json=as_json) as show:
        result = invocation.call("diff", {"target": target, "domains": list(domains)}, show)
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(line)
    return int(result["exit_code"])
