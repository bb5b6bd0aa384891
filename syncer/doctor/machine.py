"""What the machine says of itself: limits of the kernel, and whether inotify can be had. Changes nothing."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLOSE_ON_EXEC = 0o2000000


class Machine:
    """Reads below `proc`, so that tests can show another machine."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """Nothing is read yet."""
        self._proc = proc

    def limit(self, name: str) -> int | None:
        """Return a number of sysctl, such as "fs.inotify.max_user_watches", or None where there is none."""
        try:
            return int((self._proc / "sys" / name.replace(".", "/")).read_text("ascii"))
        except (OSError, ValueError):
            return None

    @property
    def mount_table(self) -> Path:
        """Where the kernel lists the mounts of this process."""
        return self._proc / "self" / "mountinfo"

    def watching_fails(self) -> str:
        """Return why no inotify instance can be made now, or ""; the one that was made is closed at once."""
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(_CLOSE_ON_EXEC)
        if descriptor < 0:
            return os.strerror(ctypes.get_errno())
        os.close(descriptor)
        return ""
