"""Tells whether anyone can still write to an opened file."""

from __future__ import annotations

import fcntl
import signal


def nobody_writes(descriptor: int) -> bool:
    """Tell whether no process has the file open for writing; `descriptor` is open for reading only.

    False also where this cannot be known: the file is another user's, or its file system has no leases.
    """
    try:
        # RACE: whoever opens the file while the lease stands makes the kernel send a signal, and that of
        # default would end the process. This one is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
