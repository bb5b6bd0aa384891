"""`syncer join`: pairs this production node with a failover server."""

from __future__ import annotations

import sys

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation
from syncer.cli.output import print_json, printable, say
from syncer.errors import ConfigurationError

TOKEN_CHARACTERS = 4096
"""Far more than a token has; what is longer is something else."""


@click.command("join")
@click.argument("address", metavar="ADDRESS")
@click.argument("token", metavar="TOKEN")
@json_option
@pass_invocation
def command(invocation: Invocation, *, address: str, token: str, as_json: bool) -> int:
    """Pair with the failover server at ADDRESS, by the TOKEN that `syncer invite` printed there.

    TOKEN - reads it from standard input, so that it shows in no list of processes. ADDRESS must be that of a
    [[failover]] table of the configuration.
    """
    if token == "-":  # noqa: S105  # the usual name for standard input, no secret
        token = sys.stdin.readline(TOKEN_CHARACTERS).strip()
        if not token:
            raise ConfigurationError("standard input held no token; paste the one that `syncer invite` printed")
    result = invocation.call("join", {"address": address, "token": token})
    if as_json:
        print_json(result)
    else:
        say(f"paired with {printable(result['name'])} as target {printable(result['target'])}")
        say(f"its certificate: sha256 {result['fingerprint']}")
    return int(result.get("exit_code", 0))
