"""What the command line prints: results, errors and questions; the only place that knows terminals."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from syncer.errors import ConfigurationError, RefusedError, SyncerError


def printable(text: str) -> str:
    """Return `text` so that a file name can neither break a line nor steer the terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that is not UTF-8, as os.fsdecode carries it.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def say(text: str = "") -> None:
    """Print a line of the command's result."""
    print(text)


def note(text: str) -> None:
    """Print a line that is not part of the result: to stderr, for people."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: Mapping[str, Any], *, one_line: bool = False) -> None:
    """Print a result as JSON, in ASCII: names that are not UTF-8 stay apart from each other."""
    print(json.dumps(document, ensure_ascii=True, indent=None if one_line else 2), flush=True)


def report_error(error: SyncerError, *, as_json: bool) -> int:
    """Print an error, one line for each that a configuration has, and return the exit code."""
    errors = error.errors if isinstance(error, ConfigurationError) else (str(error),)
    for sentence in errors:
        note(f"syncer: {_readable(sentence)}")
    if as_json:
        print_json({"error": "\n".join(errors), "exit_code": error.exit_code})
    return error.exit_code


def _readable(sentence: str) -> str:
    return "\n".join(printable(line) for line in sentence.split("\n"))


def is_interactive() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; `yes` answers beforehand.

    Raises RefusedError where the answer is no, or nobody can be asked.
    """
    if yes:
        return
    if not is_interactive():
        raise RefusedError(
            "nothing was done: this needs a person's consent, and there is no terminal to ask on; give --yes"
        )
    if not click.confirm(question, default=False, err=True):
        raise RefusedError("nothing was done, as you said")
