"""Tells files that packages bring, and the kernel's own, from configuration that somebody made."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
LOCAL = "/usr/local"
KERNEL = ("/proc", "/sys", "/dev", "/run", "/var/run")
DPKG_STATUS = Path("/var/lib/dpkg/status")
CONFIGURATION_BYTES = 4 << 20

_CONFFILE = re.compile(r"^ (/.+) ([0-9a-f]{32})(?: obsolete)?$", re.MULTILINE)


def is_system(path: str) -> bool:
    """Tell whether a path lies where only packages put files."""
    return _is_below(path, SYSTEM) and not _is_below(path, (LOCAL,))


def is_of_kernel(path: str) -> bool:
    """Tell whether a path is made anew at each boot."""
    return _is_below(path, KERNEL)


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


class Packages:
    """What dpkg knows of configuration files; on a machine without dpkg it knows none."""

    def __init__(self, status: Path = DPKG_STATUS) -> None:
        """Nothing is read yet."""
        self._status = status

    def brought_unchanged(self, path: str) -> bool:
        """Tell whether a file is as its package brought it, so that the same package brings it to failover, too."""
        digest = self._digests.get(path)
        if digest is None:
            return False
        try:
            with open(path, "rb") as file:
                found = file.read(CONFIGURATION_BYTES)
        except OSError:
            return False
        return hashlib.md5(found, usedforsecurity=False).hexdigest() == digest

    @cached_property
    def _digests(self) -> dict[str, str]:
        try:
            text = self._status.read_text("utf-8", "replace")
        except OSError:
            return {}
        return {found[1]: found[2] for found in _CONFFILE.finditer(text)}
