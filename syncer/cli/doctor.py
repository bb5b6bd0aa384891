"""`syncer doctor`: preflight of everything that the node needs; changes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.progress import progress_display
from syncer.cli.wording import counted
from syncer.errors import ConfigurationError, SyncerError

if TYPE_CHECKING:
    from syncer.config import DomainSettings, Settings
    from syncer.doctor.subject import Agent

_SIGNS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}
_COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="Only this domain; may be repeated.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, domains: tuple[str, ...], as_json: bool) -> int:
    """Look at everything that this node needs, and say what is wrong and how to cure it; changes nothing.

    Exit code 0: nothing to do; 3: something to look at; 1: something is broken.
    """
    # Late: it needs nearly everything.
    from syncer.doctor.checks import examine
    from syncer.doctor.findings import document, exit_code
    from syncer.doctor.subject import Subject
    from syncer.node.protected import protected_paths

    settings = invocation.settings()
    chosen = _chosen(settings, domains)
    with progress_display(as_json=as_json) as show:
        subject = Subject(
            settings,
            chosen,
            agent=_agent(settings, list(domains)),
            protected=lambda root: protected_paths(settings, root),
            report=show,
        )
        groups = examine(subject)
    result = document(settings.node.name, subject.mode.value, groups, exit_code(groups))
    if as_json:
        print_json(result)
    else:
        for line in lines_of(result, signs=_has_signs()):
            say(line)
    return int(result["exit_code"])


def _chosen(settings: Settings, names: tuple[str, ...]) -> tuple[DomainSettings, ...]:
    known = {domain.name: domain for domain in settings.domains}
    for name in names:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigurationError(f"{name!r} is not a configured domain; there are: {there}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else settings.domains


def _agent(settings: Settings, names: list[str]) -> Agent:
    """Ask the agent for its status; where none runs, nothing is done in its place."""
    from syncer.admin.client import agent_answers, ask_agent
    from syncer.doctor.subject import Agent

    try:
        if not agent_answers(settings.node.state):
            return Agent()
        status = asyncio.run(ask_agent(settings.node.state, "status", {}))
        asked = {"target": None, "addresses": [], "domains": names}
        return Agent(status, leftovers=asyncio.run(ask_agent(settings.node.state, "leftovers", asked)))
    except SyncerError as error:
        return Agent(trouble=str(error))


def _has_signs() -> bool:
    """Tell whether the signs can be shown; else words stand for them."""
    return sys.stdout.isatty() and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def lines_of(result: dict[str, Any], *, signs: bool) -> Iterator[str]:
    """Yield a heading for each group, a line for each finding, and what it comes to."""
    for group in result["groups"]:
        yield group["name"]
        for finding in group["findings"]:
            severity = finding["severity"]
            sign = click.style(_SIGNS[severity], fg=_COLOURS[severity]) if signs else f"{severity:<7}"
            text = ": ".join(part for part in (finding["where"], finding["what"], finding["cure"]) if part)
            yield f"  {sign} {printable(text)}"
    counts = result["counts"]
    if result["exit_code"] == 0:
        yield f"nothing to do ({counted(counts['note'], 'note')})"
    else:
        yield f"{counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}"
