"""Where the agent's Unix socket lies, and how both ends name it however long the state's path is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NAME = "agent.sock"


def socket_path(state: Path) -> Path:
    """Return where the agent of this state directory listens."""
    return state / NAME


@contextlib.contextmanager
def short_name(directory: Path, name: str) -> Iterator[str]:
    """Lend a path of `name` in `directory` that fits into a socket address, whatever the directory's length.

    sun_path holds 107 bytes (unix(7)), a state directory up to 4095: through an open descriptor of
    the directory every path is short, and free of characters that a gRPC address would decode. Valid
    within the `with` block, in this process. Raises OSError where the directory cannot be opened.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
