"""`syncer wait`: returns when the agent serves, or when everything captured so far has arrived."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click

from syncer.cli.invocation import Duration, Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable, say
from syncer.cli.wording import counted, seconds_in_words

SHORTEST_SECONDS = 0.001
"""What is left of the time, at least: none at all would not even ask."""


@click.command("wait")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--ready", "mode", flag_value="ready", help="Until the agent serves.")
@click.option(
    "--synced",
    "mode",
    flag_value="synced",
    default=True,
    help="Until all that was captured has arrived (default).",
)
@click.option(
    "--timeout",
    type=Duration(),
    default=30.0,
    metavar="30s",
    help="How long at most; else 30s. Past it, exit 1.",
)
@json_option
@pass_invocation
def command(invocation: Invocation, *, target: str | None, mode: str, timeout: float, as_json: bool) -> int:
    """Return when everything captured so far is acknowledged by TARGET, or by all targets."""
    from syncer.admin.client import wait_for_agent

    started = time.monotonic()
    asyncio.run(wait_for_agent(invocation.state(), timeout))
    left = max(timeout - (time.monotonic() - started), SHORTEST_SECONDS)
    result = invocation.call("wait", {"mode": mode, "target": target, "timeout": left})
    result["waited_seconds"] = time.monotonic() - started
    if as_json:
        print_json(result)
        return int(result["exit_code"])
    if result["exit_code"] == 0:
        done = "the agent serves" if mode == "ready" else "everything captured so far has arrived"
        say(f"{done} (after {seconds_in_words(result['waited_seconds'])})")
    else:
        note(f"syncer: not everything has arrived within {seconds_in_words(timeout)}:")
        for line in _behind(result["targets"]):
            note(line)
    return int(result["exit_code"])


def _behind(targets: list[dict[str, Any]]) -> list[str]:
    lines = []
    for target in targets:
        for domain in target["domains"]:
            if domain["changes_behind"] == 0 and domain["state"] == "streaming" and not domain["reason"]:
                continue
            behind = domain["changes_behind"]
            what = "unknown" if behind is None else counted(behind, "change") + " behind"
            reason = f": {domain['reason']}" if domain["reason"] else ""
            lines.append(printable(f"  {target['name']} {domain['name']}: {what}, {domain['state']}{reason}"))
    return lines
