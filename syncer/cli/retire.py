"""`syncer retire`: has the identity of a node that is gone for good refused everywhere."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.wording import counted


@click.command("retire")
@click.argument("node", metavar="NODE")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, node: str, yes: bool, as_json: bool) -> int:
    """Have the identity of NODE (a name, or a node id) refused for good, on every node.

    For a machine that is lost, or that nobody trusts any more; works on the production node. There is no way back: a
    machine that is to serve again is set up anew and paired, under the same name where that is wanted.
    """
    plan = invocation.call("retire", {"name": node, "dry_run": True})
    for line in _lines(plan):
        note(printable(line))
    confirm("Retire it for good?", yes=yes)
    # The id: another node may have come by that name meanwhile.
    result = invocation.call("retire", {"name": plan["node_id"], "dry_run": False})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    say(printable(f"{result['name']} (node {result['node_id']}) is retired"))
    if result["told"]:
        say(printable(f"told, each as soon as it can be reached: {', '.join(result['told'])}"))
    for name in result["configured"]:
        note(printable(f"remove the [[failover]] table {name} from the configuration, or join a new node by it"))
    return int(result["exit_code"])


def _lines(plan: dict[str, Any]) -> list[str]:
    """Return what will be, a line each."""
    name = plan["name"]
    lines = [f"{name} (node {plan['node_id']}, certificate sha256 {plan['fingerprint']}) would be retired for good:"]
    lines.append("  its certificate and its term are refused from now on, here and on every node that hears of it")
    if plan["targets"]:
        lines.append(f"  it is no target any more: {', '.join(plan['targets'])}, with all progress")
    if plan["domains_from_it"]:
        lines.append(f"  nothing goes home to it any more: {', '.join(plan['domains_from_it'])}")
    if plan["procedures"]:
        lines.append(f"  {counted(len(plan['procedures']), 'open procedure')} with it would be given up, not undone")
    if plan["told"]:
        lines.append(f"  these nodes are told, also those that are away: {', '.join(plan['told'])}")
    return lines
