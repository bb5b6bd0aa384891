"""`syncer events`: what has happened on this node, and what happens from now on."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.cli.wording import moment_in_words

FOLLOWED_FROM = 10
"""Events of the past that a follower is shown first, unless told otherwise."""


class Since(click.ParamType[float]):
    """A length of time back from now ("1h"), or a moment (RFC 3339; without a zone in this machine's)."""

    name = "since"

    def convert(self, value: float | str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds; what is neither is a usage error."""
        if not isinstance(value, str):
            return value
        from syncer.config import parse_duration

        try:
            return time.time() - parse_duration(value)
        except ValueError:
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError:
                self.fail(f'{value!r} is neither a duration ("1h") nor a moment ("2026-01-31T12:00")', param, ctx)


@click.command("events")
@click.option("--follow", is_flag=True, help="Go on with each event as it happens, until Ctrl-C; needs the agent.")
@click.option("--since", type=Since(), metavar="1h|MOMENT", help="Only those since then.")
@click.option("--event", "names", multiple=True, metavar="NAME", help="Only events of this name; may be repeated.")
@click.option("--limit", type=int, metavar="N", help="At most N of the past, the newest; else 1000, 10 with --follow.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    follow: bool,
    since: float | None,
    names: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> int:
    """Show what has happened on this node: each failed attempt, each full synchronization, and whatever is wrong."""
    arguments: dict[str, Any] = {"follow": follow, "since": since, "names": list(names), "limit": limit}
    if not follow:
        return _show(invocation, arguments, as_json=as_json)
    if limit is None and since is None:
        arguments["limit"] = FOLLOWED_FROM

    def show(event: dict[str, Any]) -> None:
        if as_json:
            print_json(event, one_line=True)
        else:
            print(_line(event), flush=True)

    try:
        invocation.call("events", arguments, show)
    except KeyboardInterrupt:
        # The only way to end it, so no failure.
        return 0
    return 0


def _show(invocation: Invocation, arguments: dict[str, Any], *, as_json: bool) -> int:
    """Print the events of the past; many come in pages, the last one as the result."""
    events: list[dict[str, Any]] = []
    result = invocation.call("events", arguments, lambda page: events.extend(page["events"]))
    events += result["events"]
    if as_json:
        print_json(result | {"events": events})
    for event in [] if as_json else events:
        say(_line(event))
    return int(result["exit_code"])


def _line(event: dict[str, Any]) -> str:
    variables = " ".join(f"{key}={_shown(value)}" for key, value in event["variables"].items() if value != "")
    return printable(f"{moment_in_words(event['time'])} {event['event']} {variables}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return f'"{text}"' if " " in text else text
