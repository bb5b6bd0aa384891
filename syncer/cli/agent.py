"""`syncer agent`: the node in the foreground, until SIGTERM; SIGHUP reloads its configuration."""

from __future__ import annotations

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation


@click.command("agent")
@click.option("--verbose", is_flag=True, help="Log every step, not only what an operator acts on.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, verbose: bool, as_json: bool) -> int:
    """Run this node in the foreground until SIGTERM, which lets what is under way arrive; logs to stderr.

    SIGHUP has it read the configuration again: what can change in a running agent does, the rest is named.

    With --json each line of the log is a JSON object.
    """
    import asyncio
    import signal

    # RACE: before the file is read, so that a change that the signal tells of is never missed. It waits until the
    # agent can act on it; until then it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from syncer.cli.logs import log_as_agent

    settings = invocation.settings()
    log_as_agent(verbose=verbose, as_json=as_json)
    from syncer.cli.exposure import leading
    from syncer.node.agent import run_agent

    asyncio.run(run_agent(settings, leading))
    return 0
