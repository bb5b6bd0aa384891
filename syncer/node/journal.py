"""Where events go while no journal keeps them: into the log."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def record_in_log(name: str, variables: dict[str, str | int | float | bool]) -> None:
    """Take an event; the log has it."""
    log.info("event %s: %s", name, variables)
