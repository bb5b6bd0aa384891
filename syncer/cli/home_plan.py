"""The plan of a homecoming on the command line: asked for, written to a file, read from one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncer.cli.invocation import Invocation
from syncer.cli.output import confirm, note, printable
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from syncer.procedures.home_plan import Plan

LINE_SECONDS = 2.0


def compared(invocation: Invocation, arguments: dict[str, Any], *, as_json: bool) -> tuple[dict[str, Any], Plan | None]:
    """Have both sides compared; returns the answer, and the plan: None where the other node is at home already."""
    from syncer.procedures.plan_file import parse

    lines: list[str] = []
    told = time.monotonic()

    def take(event: dict[str, Any]) -> None:
        nonlocal told
        lines.extend(event.get("lines", ()))
        if "text" in event and not as_json and time.monotonic() - told >= LINE_SECONDS:
            told = time.monotonic()
            of = f" ({event['done']:,} of {event['total']:,} paths)" if event["total"] else ""
            note(printable(f"{event['text']}{of}"))

    result = invocation.call("home_plan", arguments, take)
    return result, None if result["at_home"] else parse(lines)


def write_plan(path: Path, plan: Plan, *, yes: bool) -> None:
    """Write a plan as a file that only its owner may read; one that is there is overwritten by a person's word.

    Raises RefusedError where nobody gave it, ConfigurationError where it cannot be written.
    """
    from syncer.procedures.plan_file import lines_of

    if os.path.lexists(path):
        confirm(f"{printable(str(path))} exists: overwrite it?", yes=yes)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Whole or not at all: a plan that was cut off must not be taken for one.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines_of(plan))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise ConfigurationError(f"the plan cannot be written to {path}: {error.strerror}") from error


def read_plan(path: Path) -> Plan:
    """Return the plan in a file. Raises ConfigurationError where it cannot be read, PlanError where it is none."""
    from syncer.procedures.plan_file import LONGEST_LINE, parse

    def lines() -> Iterator[str]:
        # A line without an end must not fill the memory.
        with path.open(encoding="ascii", errors="replace") as file:
            while line := file.readline(64 * LONGEST_LINE + 2):
                yield line

    try:
        return parse(lines())
    except OSError as error:
        raise ConfigurationError(f"the plan {path} cannot be read: {error.strerror}") from error


def say_lines(lines: Iterator[str]) -> None:
    """Print what a person is to read before the question."""
    for line in lines:
        print(printable(line), file=sys.stderr)
