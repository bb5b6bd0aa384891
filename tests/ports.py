"""TCP ports for what a test starts: no two of this machine's tests get the same one while both run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 20_000, 31_999
"""Below what the kernel gives to outgoing connections and to who asks for any port."""

_taken: set[int] = set()
_locked: list[int] = []


def free_port() -> int:
    """Return a port of loopback that nobody uses, another one at each call.

    RACE: it is bound later, by another process, and free again while that one restarts. So it is reserved until this
    process ends: a lock of one byte for each port, in a file that all test processes of this user share.
    """
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        if port in _taken or not _reserved(port):
            continue
        _taken.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _reserved(port: int) -> bool:
    if not _locked:
        file = Path(tempfile.gettempdir()) / f"syncer-test-ports-{os.getuid()}"
        # Never closed: that would end every lock that this process has on it.
        _locked.append(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        fcntl.lockf(_locked[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True
