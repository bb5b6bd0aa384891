"""`syncer diff`: what differs on failover, as the indexes know it."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.progress import progress_display
from syncer.cli.render_substitution import rendering_lines
from syncer.cli.render_synchronization import lines_of


@click.command("diff")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@click.option("--rendered", is_flag=True, help="Also show what substitution changes in the files.")
@click.option("--most", type=click.IntRange(1, 10_000), default=20, metavar="N", help="Files to show; else 20.")
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, target: str | None, domains: tuple[str, ...], rendered: bool, most: int, as_json: bool
) -> int:
    """Show what a synchronization would change on TARGET, or on all targets; exit 3 where something differs.

    It compares with what each target has recorded as applied, without reading the files there. With --rendered it
    reads production's files.
    """
    arguments: dict[str, Any] = {"target": target, "domains": list(domains)}
    if rendered:
        arguments |= {"rendered": True, "most": most}
    with progress_display(as_json=as_json) as show:
        result = invocation.call("diff", arguments, show)
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(line)
        if rendered:
            for item in result["targets"]:
                say(printable(f"{item['name']}, as substitution renders it:"))
                for line in rendering_lines(item["rendered"]):
                    say(line)
    return int(result["exit_code"])
