"""Observers that count operations, let them fail, end the process, or cut the power."""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple

ERRNOS = {name: getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES")}
GROWING = frozenset(
    ("create_file", "write", "copy_range", "make_directory", "make_symlink", "link", "set_attribute", "commit")
)
"""What a full disk refuses; renames, removals, metadata and flushes still work there."""

MILESTONES = frozenset(("intent", "applied", "committed", "undone", "recovery"))
"""Points that are no operation of the disk: nothing can fail there, but everything can end there."""


class Operation(NamedTuple):
    """One announced operation of an undisturbed run."""

    name: str
    path: bytes


class PowerCutError(BaseException):
    """The power failed: nobody catches this, and the disk does nothing any more."""


class Counter:
    """An observer that lists the operations."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def __call__(self, name: str, path: bytes) -> None:
        """Take one."""
        self.operations.append(Operation(name, path))


class Failing:
    """An observer under which one operation fails, or that one and all later ones, or all that need space."""

    def __init__(self, point: int, number: int, lasting: str = "") -> None:
        """Fail at the operation `point` with errno `number`; `lasting`: "", "all" or "growing"."""
        self.is_on = True
        self.refused: list[str] = []
        self._left = point
        self._number = number
        self._lasting = lasting

    def __call__(self, name: str, path: bytes) -> None:
        """Let pass, or fail."""
        self._left -= 1
        due = self._left == -1 or (self._lasting and self._left < 0)
        if not self.is_on or not due or name in MILESTONES:
            return
        if self._lasting == "growing" and name not in GROWING:
            return
        self.refused.append(name)
        raise OSError(self._number, os.strerror(self._number), path)


class Ending:
    """An observer that ends this very process, as kill -9 does, at one operation."""

    def __init__(self, point: int) -> None:
        self._left = point

    def __call__(self, name: str, path: bytes) -> None:
        """Let pass, or die."""
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Cutting:
    """An observer that cuts the power at one operation."""

    def __init__(self, point: int) -> None:
        self.is_cut = False
        self._left = point

    def __call__(self, name: str, path: bytes) -> None:
        """Let pass, cut, or refuse everything because the power is gone."""
        if self.is_cut:
            raise OSError(errno.EIO, "the power is gone", path)
        self._left -= 1
        if self._left < 0:
            self.is_cut = True
            raise PowerCutError
