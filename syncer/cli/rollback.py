"""`syncer rollback`: goes back to an earlier state of a domain, after showing what that changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.person import person
from syncer.cli.wording import bytes_in_words, counted, seconds_in_words


@click.command("rollback")
@click.argument("domain", metavar="DOMAIN")
@click.argument("generation", metavar="GENERATION", type=int)
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit 3 where something would.")
@yes_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, domain: str, generation: int, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Bring DOMAIN back to how it was at GENERATION, on failover.

    Nothing undoes it: production sends nothing more to this domain until `syncer resume` there.
    """
    arguments = {"domain": domain, "generation": generation}
    plan = invocation.call("rollback", {**arguments, "dry_run": True})
    if dry_run or not plan["plan_total"]:
        return _show(plan, as_json=as_json)
    for line in _plan_lines(plan):
        note(line)
    note("afterwards production sends nothing to it until `syncer resume TARGET` there, which compares everything")
    confirm(f"Go back to generation {generation}?", yes=yes)
    # Only what was shown: where something has arrived meanwhile, it is refused.
    result = invocation.call("rollback", {**arguments, "dry_run": False, "from": plan["from"], "by": person()})
    return _show(result, as_json=as_json)


def _show(result: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    if result["outcome"] == "planned":
        for line in _plan_lines(result):
            say(line)
    elif result["outcome"] == "equal":
        say(printable(f"{result['domain']} is as it was at generation {result['to']}: nothing to do"))
    else:
        took = seconds_in_words(result["seconds"])
        what = counted(result["plan_total"], "path")
        say(
            printable(
                f"{result['domain']} is back at generation {result['to']}: {what} changed, in {took}; "
                f"`syncer rollback {result['domain']} {result['from']}` undoes it"
            )
        )
    for problem in result["problems"]:
        note(printable(f"problem: {problem['path']}: {problem['reason']}"))
    return int(result["exit_code"])


def _plan_lines(result: dict[str, Any]) -> Iterator[str]:
    what = counted(result["plan_total"], "path")
    yield printable(f"{result['domain']}: going back from generation {result['from']} to {result['to']} changes {what}")
    for item in result["plan"]:
        size = f" ({bytes_in_words(item['size'])})" if item["kind"] == "file" and item["action"] != "delete" else ""
        yield f"  {item['action']:<8} {item['kind']:<9} {printable(item['path'])}{size}"
    if result["plan_total"] > len(result["plan"]):
        yield f"  and {counted(result['plan_total'] - len(result['plan']), 'more path')}"
