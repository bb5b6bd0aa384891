"""`syncer promote`: this failover node takes over, after showing what stands in its way."""

from __future__ import annotations

from typing import Any

import click

from syncer.cli.drill import drill
from syncer.cli.following import followed, say_result
from syncer.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from syncer.cli.output import confirm, note, print_json, printable
from syncer.cli.render_procedures import procedure_lines
from syncer.cli.render_readiness import readiness_lines
from syncer.cli.wording import counted
from syncer.errors import ConfigurationError


@click.command("promote")
@click.option(
    "--force", is_flag=True, help="Take over though production does not answer; what it did not send is lost."
)
@click.option("--keep-services", is_flag=True, help="Planned: the old production's services are not stopped.")
@click.option("--drill", "only_drill", is_flag=True, help="Try it on copies, and change nothing; see the report.")
@yes_option
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, force: bool, keep_services: bool, only_drill: bool, yes: bool, as_json: bool
) -> int:
    """Make this failover node production.

    Where production answers it hands over, and nothing is lost: it is frozen, everything arrives, both are compared,
    and its role and term come here. Where it does not, --force takes over without it. Shows first what a promotion
    would meet, and asks. Interrupted, it goes on by itself: `syncer procedure`.
    """
    if only_drill:
        if force or keep_services:
            raise ConfigurationError("--drill changes nothing: leave --force and --keep-services out")
        return drill(invocation, as_json=as_json)
    plan = invocation.call("promote", {"plan": True, "force": force})
    for line in () if as_json else plan_lines(plan):
        note(printable(line))
    if plan["exit_code"]:
        if as_json:
            print_json(plan)
        else:
            note(_refusal(plan))
        return int(plan["exit_code"])
    confirm(_question(plan), yes=yes)
    arguments = {"kind": plan["kind"], "force": force, "keep_services": keep_services}
    return say_result(followed(invocation, "promote", arguments, as_json=as_json), as_json=as_json)


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return what is known before it begins, for people."""
    how = f"planned, {plan['peer']} hands over" if plan["kind"] == "planned" else f"forced, without {plan['peer']}"
    lines = [f"promotion of {plan['node']}: {how}", *readiness_lines(plan["readiness"])]
    if plan["trouble"]:
        lines.append(f"production cannot hand over: {plan['trouble']}")
    elif plan["kind"] == "forced":
        lines.append(f"{plan['peer']} answers: without --force it would hand over, and nothing would be lost")
    for found in plan["gives_up"]:
        lines += ["given up first, without the other node:", *(f"  {line}" for line in procedure_lines(found))]
    return lines


def _refusal(plan: dict[str, Any]) -> str:
    if plan["needs_force"]:
        return "syncer: nothing was done: where production is dead, `syncer promote --force` takes over without it"
    return f"syncer: nothing was done: {counted(plan['readiness']['refusals'], 'finding')} must be cured first"


def _question(plan: dict[str, Any]) -> str:
    found = plan["readiness"]["warnings"]
    despite = f", despite {counted(found, 'warning')}" if found else ""
    how = "by force" if plan["kind"] == "forced" else f"and make {plan['peer']} hand over"
    return f"Promote {plan['node']} {how}{despite}?"
