"""`syncer verify`: reads every byte on both sides again, says what differs, and repairs it where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.progress import progress_display
from syncer.cli.wording import bytes_in_words, counted, seconds_in_words


@click.command("verify")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@click.option("--repair", is_flag=True, help="Make TARGET as production's disk is now, after showing what that means.")
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    target: str | None,
    domains: tuple[str, ...],
    repair: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Read every byte again on this node and on TARGET, or on all targets; exit 3 where something differs.

    It finds what no watch and no comparison of times can: bytes that changed on a disk by themselves, and edits
    that hide. Without --repair nothing is changed.
    """
    arguments = {"target": target, "domains": list(domains)}
    result = _run(invocation, "verify", arguments, as_json=as_json)
    found = [domain for chosen in result["targets"] for domain in chosen["domains"] if domain["findings_total"]]
    if repair and found:
        for line in lines_of(result):
            note(line)
        note("production's disk is the truth: what it holds now is sent, and failover is made exactly that")
        confirm("Repair this?", yes=yes)
        result = _run(invocation, "verify_repair", arguments, as_json=as_json)
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(line)
    return int(result["exit_code"])


def _run(invocation: Invocation, what: str, arguments: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    with progress_display(as_json=as_json) as show:
        return invocation.call(what, arguments, show)


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each target and domain, and one for each finding."""
    for target in result["targets"]:
        for domain in target["domains"]:
            yield printable(f"{target['name']} {domain['name']}: {_outcome(domain)}")
            for item in domain["findings"]:
                yield printable(f"  {item['what']:<10} on {item['side']:<10} {item['path']}")
            more = domain["findings_total"] - len(domain["findings"])
            if more:
                yield f"  and {counted(more, 'more path')}"


def _outcome(domain: dict[str, Any]) -> str:
    read = f"{counted(domain['paths'], 'path')} and {bytes_in_words(domain['bytes'])} read"
    read += f" in {seconds_in_words(domain['seconds'])}"
    match domain["outcome"]:
        case "equal":
            return f"every byte is as it was recorded ({read})"
        case "differs":
            return f"{counted(domain['findings_total'], 'path')} not as recorded ({read})"
        case "repaired":
            return f"{counted(domain['findings_total'], 'path')} repaired ({read})"
        case outcome:
            return f"{outcome}: {domain['error']}"
