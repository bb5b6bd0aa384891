"""`syncer state`: a node's own state into one file, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable, say
from syncer.cli.wording import bytes_in_words, moment_in_words

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("state")
def command() -> None:
    """Back up this node's own state, or restore it."""


@command.command("backup")
@click.argument("file", metavar="FILE", type=_FILE)
@json_option
@pass_invocation
def backup(invocation: Invocation, *, file: Path, as_json: bool) -> int:
    """Write identity, pairings, term, base and history of this node to the new FILE; the agent may run.

    FILE holds the node's private key: whoever has it can speak as this node.
    """
    from syncer.backup.archive import write_backup

    settings = invocation.settings()
    manifest = write_backup(settings.node.state, settings.node.name, file.absolute())
    size = file.stat().st_size
    result = {
        "file": str(file),
        "bytes": size,
        "node": manifest.node,
        "node_id": manifest.node_id,
        "made_at": manifest.made_at,
        "mode": manifest.mode,
        "exit_code": 0,
    }
    if as_json:
        print_json(result)
    else:
        say(printable(f"{file}: the state of {manifest.node}, {bytes_in_words(size)}; keep it secret"))
    return 0


@command.command("restore")
@click.argument("file", metavar="FILE", type=_FILE)
@click.option(
    "--as",
    "word",
    type=click.Choice(["production", "failover"]),
    help="Vouch for what this node is, where its own state was lost; else it starts fenced.",
)
@yes_option
@json_option
@pass_invocation
def restore(invocation: Invocation, *, file: Path, word: str | None, yes: bool, as_json: bool) -> int:
    """Put the state of FILE in the place of this node's own, which is set aside; only while no agent runs.

    Mode and term stay those of the state that stands here. Where that is lost the node starts fenced: another one may
    have been promoted since the backup.
    """
    from syncer.backup.restore import restoring
    from syncer.model import Mode

    settings = invocation.settings()
    chosen = None if word is None else Mode(word)
    with restoring(settings.node.state, settings.node.name, settings.node.mode, file.absolute(), chosen) as held:
        plan = held.plan
        for line in _plan_lines(plan, settings.node.state):
            note(printable(line))
        confirm("Restore it?", yes=yes)
        aside = held.carry_out()
    result: dict[str, Any] = {
        "file": str(file),
        "node": plan.manifest.node,
        "node_id": plan.manifest.node_id,
        "made_at": plan.manifest.made_at,
        "backup": {"mode": plan.was.value, "term": plan.term},
        "here": None if plan.known is None else {"mode": plan.known.mode.value, "term": plan.known.term.counter},
        "trouble": plan.trouble,
        "mode": plan.becomes.value,
        "reason": plan.why,
        "set_aside": None if aside is None else os.fspath(aside),
        "exit_code": 0,
    }
    if as_json:
        print_json(result)
        return 0
    say(printable(f"restored: {plan.manifest.node} starts as {plan.becomes.value} ({plan.why})"))
    if aside is not None:
        note(printable(f"what stood there is in {aside}: remove it once all is well"))
    if plan.becomes is Mode.FENCED:
        note("run `syncer rejoin` here while the node of now is production; see `syncer state restore --help` for --as")
    return 0


def _plan_lines(plan: Any, state: Path) -> list[str]:  # noqa: ANN401 - its type would be imported for --help
    """Say what would be done."""
    made = moment_in_words(plan.manifest.made_at)
    whose = f"the backup: {plan.manifest.node} ({plan.manifest.node_id}), made {made}"
    lines = [f"{whose}; it was {plan.was.value}, and the highest term that it had seen was {plan.term}"]
    if plan.known is not None:
        lines.append(f"{state} now: {plan.known.mode.value}, term {plan.known.term.counter}: both stay")
    elif plan.trouble:
        lines.append(f"{state} now cannot be read: {plan.trouble}")
    else:
        lines.append(f"{state} holds no state now")
    lines.append(f"it would start as {plan.becomes.value}: {plan.why}")
    lines.append("everything is compared anew with the other nodes; what was under way then is given up")
    return lines
