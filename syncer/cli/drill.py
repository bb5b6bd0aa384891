"""`syncer promote --drill`: shows what a promotion would meet, of a drill that the node does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncer.cli.invocation import Invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.progress import progress_display
from syncer.cli.render_readiness import readiness_lines
from syncer.cli.wording import bytes_in_words, counted, seconds_in_words


def drill(invocation: Invocation, *, as_json: bool) -> int:
    """Do a drill on this node and print its report; returns its exit code. Raises what the node raises."""
    with progress_display(as_json=as_json) as show:
        result = invocation.call("drill", {}, show)
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result):
            say(printable(line))
    return int(result["exit_code"])


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield the report as people read it."""
    yield from readiness_lines(result["readiness"])
    for domain in result["domains"]:
        yield from _domain_lines(domain)
    yield "a promotion would now:"
    for number, step in enumerate(result["would"], 1):
        where = f" of {step['domain']}" if step["domain"] else ""
        command = f": {step['command']}" if step["command"] else ""
        yield f"  {number}. {step['what']}{where}{command}"
    yield f"drill: {result['node']} is {result['outcome']} ({seconds_in_words(result['seconds'])}); nothing was changed"


def _domain_lines(domain: dict[str, Any]) -> Iterator[str]:
    if domain["error"]:
        return
    copy, check, home = domain["copy"], domain["check"], domain["home"]
    took = seconds_in_words(copy["seconds"])
    yield f"{domain['name']}: {counted(copy['files'], 'file')}, {bytes_in_words(copy['bytes'])}, copied in {took}"
    if check is not None:
        how = "passed" if check["passed"] else f"refused ({check['exit']})"
        where = "on the copy" if check["looked_at"] == "copy" else "on what stands"
        yield f"  check: `{check['command']}` {how} {where} in {seconds_in_words(check['seconds'])}"
    if home is not None:
        proved = f"{counted(home['proved'], 'file')} proved to come home byte for byte"
        rest = (
            f"{home['edited']:,} edited here, {home['left_out']:,} wait for a person, {home['unproven']:,} do not fit"
        )
        yield f"  way home to {home['to']}: {proved}, {rest}, in {seconds_in_words(home['seconds'])}"
        for item in (*home["unproven_paths"], *home["left_out_paths"]):
            yield f"    {item['path']}: {item['reason']}"
