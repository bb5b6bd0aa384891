"""`syncer history`: which states of a domain can be gone back to, and what each change displaced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.wording import bytes_in_words, counted, moment_in_words
from syncer.errors import ConfigurationError


@click.command("history")
@click.argument("domain", metavar="[DOMAIN]", required=False)
@click.argument("generation", metavar="[GENERATION]", type=int, required=False)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FOLDER", help="Write what GENERATION displaced to a new folder."
)
@click.option("--release", is_flag=True, help="Let the limits apply to GENERATION, which was protected.")
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    domain: str | None,
    generation: int | None,
    save: Path | None,
    release: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Show the generations of DOMAIN, or of all domains; with GENERATION, each path that it displaced.

    What an old production had changed and never sent, when it came home, is protected: it does not fall to the limits.
    """
    if save is not None or release:
        if generation is None or (save is not None and release):
            raise ConfigurationError("name DOMAIN and GENERATION, and one of --save and --release")
        arguments = {"domain": domain, "generation": generation}
        if save is not None:
            return _saved(invocation, arguments, save, as_json=as_json)
        return _released(invocation, arguments, yes=yes, as_json=as_json)
    result = invocation.call("history", {"domain": domain, "generation": generation})
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    lines = _lines_of(result) if generation is None else _path_lines(result)
    for line in lines:
        say(line)
    return int(result["exit_code"])


def _lines_of(result: dict[str, Any]) -> Iterator[str]:
    for domain in result["domains"]:
        held, limit = bytes_in_words(domain["kept_bytes"]), bytes_in_words(domain["limit_bytes"])
        yield printable(f"{domain['name']}: at generation {domain['generation']}, {held} of {limit} kept")
        if domain["over_size"]:
            yield "  more than history.size: the newest generation is kept however large it is"
        back = domain["rolled_back"]
        if back is not None:
            when = moment_in_words(back["at"])
            yield printable(f"  rolled back to {back['to']} by {back['by']} at {when}; resume it on production")
        for item in domain["generations"]:
            yield _generation_line(item)
        oldest = domain["oldest_reachable"]
        if oldest is None:
            yield "  nothing to go back to"
        else:
            yield f"  can go back to {oldest} up to {domain['generation'] - 1}"


def _generation_line(item: dict[str, Any]) -> str:
    size = bytes_in_words(item["kept_bytes"])
    line = (
        f"  {item['number']:>6}  {moment_in_words(item['at'])}  {item['kind']:<8}  "
        f"{counted(item['changes'], 'change')} from {item['source']} (term {item['term']['counter']}, "
        f"seq {item['seq']}), displaced {size}"
    )
    notes = [f"incomplete: {item['incomplete']}"] if item["incomplete"] else []
    notes += [] if item["complete"] else ["becoming visible"]
    notes += [f"needed by {reason}" for reason in item["pins"]]
    notes += [f"protected: {item['protected']}"] if item["protected"] else []
    return printable("; ".join([line, *notes]))


def _saved(invocation: Invocation, arguments: dict[str, Any], folder: Path, *, as_json: bool) -> int:
    from syncer.cli.history_save import Folder

    result = invocation.call("history_save", arguments, Folder(folder).take)
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    say(printable(f"{counted(result['paths'], 'path')} saved in {folder}"))
    for path in result["missing"]:
        note(printable(f"not kept, and not saved: {path}"))
    return int(result["exit_code"])


def _released(invocation: Invocation, arguments: dict[str, Any], *, yes: bool, as_json: bool) -> int:
    where = f"{arguments['domain']} {arguments['generation']}"
    confirm(printable(f"Let the history forget what generation {where} displaced, when its limits say so?"), yes=yes)
    result = invocation.call("history_release", arguments)
    if as_json:
        print_json(result)
    else:
        say(printable(f"generation {where} is not protected any more"))
    return int(result["exit_code"])


def _path_lines(result: dict[str, Any]) -> Iterator[str]:
    for item in result["paths"]:
        before = item["before"]
        if before is None:
            what = "was not there"
        else:
            size = f", {bytes_in_words(before['size'])}" if before["kind"] == "file" else ""
            link = f" → {before['link_target']}" if before["link_target"] else ""
            what = f"was a {before['kind']}{link}, {before['mode']} {before['owner']}:{before['group']}{size}"
        edited = ", edited here" if item["edited"] else ""
        problem = f"; not kept: {item['problem']}" if item["problem"] else ""
        yield printable(f"  {item['path']} {what}{edited}{problem}")
    if result["paths_total"] > len(result["paths"]):
        yield f"  and {counted(result['paths_total'] - len(result['paths']), 'more path')}"
