"""Makes roots read-only for a while, by a mount that is found again after a crash: journalled before it is made."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from syncer.capture.mounts import MOUNT_TABLE, is_within, unescaped
from syncer.errors import RefusedError, StateError
from syncer.files import cover, uncover
from syncer.state.freezes import Cover

OWN_MOUNTS, MACHINES_MOUNTS = Path("/proc/self/ns/mnt"), Path("/proc/1/ns/mnt")


class _At(NamedTuple):
    """One mount at a point: which, over which, and whether it is read-only."""

    number: bytes
    parent: bytes
    is_read_only: bool


class ReadOnlyRoots:
    """The read-only mounts over roots of this machine; blocking."""

    def __init__(self, boot: str, table: Path = MOUNT_TABLE) -> None:
        """`boot`: this life of the machine."""
        self._boot = boot
        self._table = table

    def refusal(self, root: Path, own: Iterable[Path]) -> str:
        """Say why a root cannot be made read-only; "" where it can. `own`: what syncer itself writes to."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return "only root can mount it so, on Linux"
        if _is_apart():
            return "the agent has a mount namespace of its own, and its mounts would hide nothing from the services"
        top = os.fsencode(os.path.realpath(root))
        for path in own:
            if is_within(os.fsencode(os.path.realpath(path)), top):
                return f"syncer itself writes to {path}, which lies in it"
        return ""

    def plan(self, root: Path) -> Cover:
        """Return what is to be recorded before `make`."""
        top = os.fsencode(os.path.realpath(root))
        return Cover(top, self._boot, len(self._at(top)))

    def stands(self, planned: Cover) -> bool:
        """Tell whether the mount is there. Raises StateError where it cannot be told."""
        return planned.boot == self._boot and len(self._at(planned.root)) > planned.depth

    def make(self, planned: Cover) -> None:
        """Mount it. Raises RefusedError where the kernel does not allow it."""
        try:
            cover(planned.root)
        except OSError as error:
            why = "it needs Linux 5.12" if error.errno == errno.ENOSYS else f"{error.strerror}"
            raise RefusedError(
                f"{os.fsdecode(planned.root)} cannot be made read-only ({why}): freeze it without"
            ) from error

    def undo(self, planned: Cover) -> None:
        """Take the mount away. Raises StateError where something else was mounted over it, or the kernel refuses."""
        shown = os.fsdecode(planned.root)
        top = topmost(self._at(planned.root))
        if top is None or not top.is_read_only:
            raise StateError(
                f"{shown} is still covered by the read-only mount of a freeze, and something else was mounted over "
                f"that since: unmount what is above (`findmnt {shown}`); it is tried again"
            )
        try:
            uncover(planned.root)
        except OSError as error:
            raise StateError(
                f"{shown}: the read-only mount of a freeze cannot be taken away ({error.strerror}): run "
                f"`umount --lazy {shown}`; it is tried again"
            ) from error

    def _at(self, point: bytes) -> list[_At]:
        try:
            return mounts_at(self._table.read_bytes(), point)
        except OSError as error:
            raise StateError(f"what is mounted cannot be told ({error.strerror}): mount /proc") from error


def mounts_at(table: bytes, point: bytes) -> list[_At]:
    """Return the mounts at exactly this point, from the lines of mountinfo (proc(5))."""
    found = []
    for line in table.splitlines():
        fields = line.split(b" ")
        if len(fields) > 5 and unescaped(fields[4]) == point:
            found.append(_At(fields[0], fields[1], b"ro" in fields[5].split(b",")))
    return found


def topmost(found: list[_At]) -> _At | None:
    """Return the mount that nothing at the same point covers."""
    covered = {mount.parent for mount in found}
    return next((mount for mount in found if mount.number not in covered), None)


def _is_apart() -> bool:
    """Tell whether this process sees other mounts than the machine's first; False where that cannot be told."""
    try:
        return os.readlink(OWN_MOUNTS) != os.readlink(MACHINES_MOUNTS)
    except OSError:
        return False
