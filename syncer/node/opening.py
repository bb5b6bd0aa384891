"""Takes a node's state for one process: an agent waits for a command that works there, and two agents never meet."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from syncer.errors import ConfigurationError
from syncer.state.lock import LockedError, StateLock
from syncer.state.store import FILE_NAME
from syncer.trust.identity import KEY_NAME

BUSY_SECONDS = 10.0
"""How long an agent waits for a command that works without one: a status that comes just before must not end it."""
POLL_SECONDS = 0.05


def lock_for_command(state: Path) -> StateLock:
    """Take the lock for one command. Raises LockedError, StateError, ConfigurationError where no node is made."""
    _require_node(state)
    return StateLock.acquire(state)


async def lock_for_agent(state: Path) -> StateLock:
    """Take the lock for an agent. Raises LockedError, StateError, ConfigurationError where no node is made."""
    _require_node(state)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return StateLock.acquire(state, for_agent=True)
        except LockedError as error:
            if error.holder.is_agent or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)


def _require_node(state: Path) -> None:
    """Before anything is written there: what was never made is a step that a person has left out, no damage."""
    for name in (FILE_NAME, KEY_NAME):
        try:
            (state / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass  # whoever opens it says what is wrong
        return
    raise ConfigurationError(f"{state}: there is no node yet; make one with `syncer init`")
