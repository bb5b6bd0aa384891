"""Where log lines go: for an agent all of them to stderr, for a command only what its result cannot say."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from syncer.cli.output import printable

TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """A log line as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, the part of syncer that speaks, and the message."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
        }
        for key in ("event", "variables"):
            if hasattr(record, key):
                line[key] = getattr(record, key)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Sentence(logging.Formatter):
    """A log line as a command prints its errors: one sentence, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, and what failed behind it."""
        message = f"syncer: {printable(record.getMessage())}"
        if record.exc_info and record.exc_info[1] is not None:
            message += f" ({printable(repr(record.exc_info[1]))})"
        return message


def log_as_agent(*, verbose: bool, as_json: bool) -> None:
    """Set up logging for a process that is a node; into systemd's journal as JSON, asked for or not."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(JsonLines() if as_json or is_journal(sys.stderr) else logging.Formatter(TEXT_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[writer], force=True)
    # Only syncer's own: the libraries' debug lines say nothing to an operator.
    logging.getLogger("syncer").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("watchdog").setLevel(logging.ERROR)


def is_journal(stream: TextIO) -> bool:
    """Tell whether systemd reads `stream` (systemd.exec(5): JOURNAL_STREAM is its device and inode)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        # No file behind it, so none of systemd's.
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def log_as_command() -> None:
    """Set up logging for a command that may do the node's work itself: warnings are in its result already."""
    writer = logging.StreamHandler(sys.stderr)
    debug = bool(os.environ.get("SYNCER_DEBUG"))
    writer.setFormatter(logging.Formatter(TEXT_FORMAT) if debug else Sentence())
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, handlers=[writer], force=True)
