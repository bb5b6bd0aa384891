"""`syncer config check`: every error of the configuration at once, and what is probably not meant."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import note, print_json, printable, report_error, say
from syncer.errors import ConfigurationError


@click.group("config")
def command() -> None:
    """Check the configuration."""


@command.command("check")
@json_option
@pass_invocation
def check(invocation: Invocation, *, as_json: bool) -> int:
    """Say every error of the configuration at once, and what is allowed but probably not meant."""
    from syncer.config import warnings_of
    from syncer.config.loader import chosen_path

    file = str(chosen_path(invocation.config))
    try:
        settings = invocation.settings()
    except ConfigurationError as error:
        report_error(error, as_json=False)
        if as_json:
            found = {"file": file, "errors": list(error.errors), "warnings": []}
            print_json({**found, "error": str(error), "exit_code": error.exit_code})
        return error.exit_code
    warnings = list(warnings_of(settings))
    for warning in warnings:
        note(f"warning: {printable(warning)}")
    if as_json:
        print_json({"file": file, "errors": [], "warnings": warnings, "exit_code": 0})
    else:
        say(f"{printable(file)}: no errors")
    return 0
