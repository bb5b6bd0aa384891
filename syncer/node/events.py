"""Where the parts of a node say what happened."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

RecordEvent = Callable[[str, dict[str, str | int | float | bool]], None]
"""Takes an event's name and variables."""


def log_event(name: str, variables: dict[str, str | int | float | bool]) -> None:
    """Write an event to the log."""
    log.warning("event %s: %s", name, ", ".join(f"{key}={value!r}" for key, value in variables.items()))
