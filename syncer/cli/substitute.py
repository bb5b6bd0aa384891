"""`syncer substitute`: previews what the substitution rules make of files, and changes nothing."""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable, say
from syncer.cli.render_substitution import file_lines
from syncer.errors import ConfigurationError, RefusedError


@click.command("substitute")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option("--target", metavar="TARGET", help="Only for this target; else for each that receives the file.")
@click.option("--reverse", is_flag=True, help="The way home: what a file of failover is on production.")
@click.option("--diff", "shows_diff", is_flag=True, help="Show the difference as a unified diff.")
@click.option("--print", "prints", is_flag=True, help="Print the bytes that one file becomes, and nothing else.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    files: tuple[str, ...],
    target: str | None,
    reverse: bool,
    shows_diff: bool,
    prints: bool,
    as_json: bool,
) -> int:
    """Show what the substitution rules make of each FILE: what is replaced, by which rule, and whether it leads back.

    The rules are those of the configuration as it stands now. On failover, --reverse tells from what was applied.
    """
    if prints and (shows_diff or as_json or len(files) > 1):
        raise ConfigurationError("--print takes one FILE, and neither --diff nor --json")
    arguments = {
        # Here, not in the agent: a relative path is meant from where the operator stands.
        "paths": [os.path.abspath(file) for file in files],
        "target": target,
        "reverse": reverse,
        "diff": shows_diff,
        "contents": prints,
    }
    result = _result(invocation, arguments)
    if prints:
        return _print(result)
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    for item in result["files"]:
        for line in file_lines(item, shows_diff=shows_diff):
            say(line)
    return int(result["exit_code"])


def _result(invocation: Invocation, arguments: dict[str, Any]) -> dict[str, Any]:
    # Only a failover node knows what was applied there; whether this is one, its state tells, not its configuration.
    if arguments["reverse"] and arguments["target"] is None:
        result = invocation.call("substitute", arguments)
        if result["mode"] != "production":
            return result
    from syncer.admin.substitute import outward

    return outward(invocation.settings(), arguments)


def _print(result: dict[str, Any]) -> int:
    """Write the bytes; on a terminal as text that cannot steer it, and never what is binary."""
    files = result["files"]
    if len(files) > 1:
        names = ", ".join(" and ".join(item["targets"]) for item in files)
        raise ConfigurationError(f"the file becomes something else on each of {names}: choose one with --target")
    [item] = files
    if item["problem"]:
        note(printable(f"syncer: {item['path']} {item['problem']}"))
        return int(result["exit_code"])
    data = base64.b64decode(item["contents"])
    if not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    if not item["is_text"]:
        raise RefusedError("the file is binary, which would garble the terminal: redirect it to a file")
    from syncer.substitution.preview import decoded

    for line in decoded(data)[0].removesuffix("\n").split("\n"):
        say("\t".join(printable(part) for part in line.removesuffix("\r").split("\t")))
    return 0
