"""`syncer snapshot`: makes failover an exact copy now, asking where it would destroy what is there."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, is_interactive, note, print_json, say
from syncer.cli.progress import progress_display
from syncer.cli.render_leftovers import standing_sentence
from syncer.cli.render_synchronization import approval_lines, lines_of, waiting_approvals


@click.command("snapshot")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit 3 where something would.")
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    target: str | None,
    domains: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Make failover an exact copy now: of TARGET, or of all targets.

    It asks only where it would delete more than max_delete, or delete or overwrite files of a tree for the first time.
    """
    arguments = {"target": target, "domains": list(domains), "dry_run": dry_run}
    result = _run(invocation, arguments, as_json=as_json)
    waiting = [] if dry_run else waiting_approvals(result)
    if waiting and (yes or (is_interactive() and not as_json)):
        for line in approval_lines(waiting):
            note(line)
        confirm("Do this?", yes=yes)
        result = _run(invocation, {**arguments, "approvals": _ids(invocation, waiting)}, as_json=as_json)
        waiting = waiting_approvals(result)
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for line in lines_of(result):
        say(line)
    for item in result["targets"]:
        standing = standing_sentence(item["name"], item.get("leftovers"))
        if standing:
            say(standing)
    for line in approval_lines(waiting):
        note(line)
    if waiting:
        note("nothing of this was done: look at it, then run it again with --yes, or `syncer approve TARGET`")
    return int(result["exit_code"])


def _run(invocation: Invocation, arguments: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    with progress_display(as_json=as_json) as show:
        return invocation.call("snapshot", arguments, show)


def _ids(invocation: Invocation, waiting: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Tell a running agent, whose own stream waits for it too; returns what the next attempt may destroy."""
    from syncer.admin.client import agent_answers

    chosen = [{key: item[key] for key in ("target", "domain", "id")} for item in waiting]
    if agent_answers(invocation.state()):
        for item in chosen:
            invocation.call("approve", item)
    return chosen
