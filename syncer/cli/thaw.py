"""`syncer thaw`: ends a freeze, and starts the services that ran before it."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable, say
from syncer.cli.wording import counted, seconds_in_words


@click.command("thaw")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, domains: tuple[str, ...], as_json: bool) -> int:
    """End the freeze of this node: make the roots writable, and start the services that ran before.

    Exit code: 0 done, also where nothing was frozen; 1 a start has failed; 4 a procedure keeps it frozen.
    """
    result = invocation.call("thaw", {"domains": list(domains)})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for item in result["thawed"]:
        say(printable(_line(item)))
        for path in item["sample"]:
            note(printable(f"  {path}"))
    if not result["thawed"]:
        say("nothing was frozen")
    return int(result["exit_code"])


def _line(item: dict[str, Any]) -> str:
    changed = item["changed"]
    what = (
        "what has changed meanwhile is not known"
        if changed is None
        else f"{counted(changed, 'path')} changed meanwhile"
    )
    services = {"started": ", services started", "failed": ", but a start failed: see `syncer events`"}
    after = seconds_in_words(item["seconds"])
    return f"{item['domain']}: thawed after {after}, {what}{services.get(item['services'], '')}"
