"""`syncer agent`: the node in the foreground, until SIGTERM."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import click

from syncer.cli.invocation import Invocation, json_option, pass_invocation

TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """A log line as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, the part of syncer that speaks, and the message."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@click.command("agent")
@click.option("--verbose", is_flag=True, help="Log every step, not only what an operator acts on.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, verbose: bool, as_json: bool) -> int:
    """Run this node in the foreground until SIGTERM, which lets what is under way arrive; logs to stderr.

    With --json each line of the log is a JSON object.
    """
    import asyncio

    settings = invocation.settings()
    log_to_stderr(verbose=verbose, as_json=as_json)
    from syncer.node import run_agent

    asyncio.run(run_agent(settings))
    return 0


def log_to_stderr(*, verbose: bool, as_json: bool) -> None:
    """Set up logging for a process that is a node."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(JsonLines() if as_json else logging.Formatter(TEXT_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[writer], force=True)
    # Only syncer's own: the libraries' debug lines say nothing to an operator.
    logging.getLogger("syncer").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("watchdog").setLevel(logging.ERROR)
