"""`syncer explain`: whether and why a path is synchronized, and where it is on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.render_substitution import left_alone_in_words, unended_in_words
from syncer.cli.wording import bytes_in_words, counted


@click.command("explain")
@click.argument("path", metavar="PATH")
@json_option
@pass_invocation
def command(invocation: Invocation, *, path: str, as_json: bool) -> int:
    """Say whether and why PATH is synchronized, and how far it is on its way to each target."""
    # Here, not in the agent: a relative path is meant from where the operator stands.
    result = invocation.call("explain", {"path": os.path.abspath(path)})
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(line)
    return int(result["exit_code"])


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield the explanation line by line."""
    verdict = "is synchronized" if result["synchronized"] else "is not synchronized"
    where = f", in domain {result['domain']}" if result["domain"] else ""
    yield printable(f"{result['path']} {verdict}{where}: {result['reason']}")
    if result["problem"]:
        yield printable(f"problem: {result['problem']}")
    entry = result["entry"]
    if entry:
        size = f", {bytes_in_words(entry['size'])}" if entry["kind"] == "file" else ""
        link = f" → {entry['link_target']}" if entry.get("link_target") else ""
        yield printable(f"known as {entry['kind']}{link}, {entry['mode']} {entry['owner']}:{entry['group']}{size}")
        if result["origin"]:
            undo = "; an undo record leads back" if result["origin"]["undo_record"] else ""
            size = bytes_in_words(result["origin"]["size"])
            yield f"rendered by production's substitution rules from other bytes ({size} there){undo}"
    elif result["synchronized"]:
        yield "nothing is known of it: there is nothing at this path, or it has not been scanned yet"
    if result["last_change_seq"] is not None:
        yield f"last change: seq {result['last_change_seq']}"
    for target in result["targets"]:
        at = "" if target["cursor_seq"] is None else f" (target at seq {target['cursor_seq']})"
        reason = f": {target['reason']}" if target.get("reason") else ""
        yield printable(f"{target['name']}: {target['state']}{at}{reason}")
        if target["rendering"] is not None:
            yield printable(f"  {_rendering(target['name'], target['rendering'])}")


def _rendering(target: str, found: dict[str, Any]) -> str:
    if found["left_alone"].startswith("not sent: "):
        return f"{target} does not get it: {found['left_alone'].removeprefix('not sent: ')}"
    if found["left_alone"]:
        return f"left alone for {target}, because {left_alone_in_words(found)}"
    if not found["replacements"]:
        said = f"nothing in it is replaced for {target}"
    else:
        count = counted(found["replacements"], "replacement")
        said = f"rendered for {target} by {counted(len(found['rules']), 'rule')} ({count})"
    return said + ("; an undo record leads back" if found["undo_record"] else "") + unended_in_words(found)
