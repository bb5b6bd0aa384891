"""The small documents of which the parts of a status are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from syncer.errors import CommandFailure
from syncer.model import Problem, shown


def problem_document(problem: Problem) -> dict[str, str]:
    """Return a path that could not be handled, and why."""
    return {"path": shown(problem.path), "reason": problem.reason}


def failure_document(failure: CommandFailure | None) -> dict[str, Any] | None:
    """Return how a command failed; None where none did."""
    return failure._asdict() if failure is not None else None


def moment_document(seconds: float | None) -> str | None:
    """Return Unix seconds as RFC 3339 in UTC; None for what never was."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
