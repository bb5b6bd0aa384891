"""`syncer rejoin`: an old production becomes failover of the node that serves; its own changes go to its history."""

from __future__ import annotations

import click

from syncer.cli.following import followed, say_result
from syncer.cli.home_plan import compared, say_lines
from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm


@click.command("rejoin")
@click.option("--keep-services", is_flag=True, help="Do not stop the domains' services on this node.")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, keep_services: bool, yes: bool, as_json: bool) -> int:
    """Make this node, which was production and has been replaced, failover of the node that serves.

    Shows what each side changed since the last state that both had in common, and asks. What was changed here and
    never sent is overwritten, and kept in the history of this node. Interrupted, it goes on by itself: `syncer
    procedure`.
    """
    from syncer.cli.render_home import plan_lines

    _, plan = compared(invocation, {"command": "rejoin"}, as_json=as_json)
    if plan is not None and not as_json:
        say_lines(plan_lines(plan))
    confirm("Make this node failover, with the state of the node that serves?", yes=yes)
    arguments = {"keep_services": keep_services}
    return say_result(followed(invocation, "rejoin", arguments, as_json=as_json), as_json=as_json)
