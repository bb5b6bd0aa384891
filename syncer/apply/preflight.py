"""Finds out what this node cannot hold of what production may send, before anything is applied.

File systems are asked by trying, with a file in the staging area, never in the tree.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from syncer.access_list import USER, AccessEntry, to_kernel
from syncer.apply.owners import Owners
from syncer.apply.stage import Stage, Stages
from syncer.errors import ApplyError
from syncer.files import Disk, DiskError, Root

_NAMES_SHOWN = 10
_OWN, _GROUP, _MASK, _OTHERS = 0x01, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_PROBE = b"Probe"
_ANSWERS = frozenset((errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOSPC))


class Preflight:
    """Answers for one domain; on its worker, between transactions."""

    def __init__(self, root: Path, stages: Stages, owners: Owners, disk: Disk) -> None:
        """Nothing is looked at yet."""
        self._root = root
        self._stages = stages
        self._owners = owners
        self._disk = disk
        self._holds: tuple[tuple[int, int], list[str]] | None = None

    def limits(self, users: tuple[str, ...], groups: tuple[str, ...], *, may_probe: bool) -> list[str]:
        """Return a sentence for each thing that cannot be held here; the file system is tried once for each root.

        `users` and `groups` are names that production uses; `may_probe`: the root is in order.
        """
        found = limits_of_accounts(self._owners, users, groups) + limits_of_agent()
        try:
            if may_probe:
                found += self._probed()
        except (ApplyError, OSError) as error:
            found.append(f"what the file system of the root on failover can hold was not found out: {error}")
        return found

    def _probed(self) -> list[str]:
        try:
            root = Root(self._root)
        except FileNotFoundError:
            # It is made for the first transaction; its file system is that of what it is made in.
            with Root(self._root.parent) as parent:
                stage = self._stages.beside(parent.descriptor)
                try:
                    return limits_of_file_system(stage, self._disk)
                finally:
                    stage.discard()
        with root:
            here = os.fstat(root.descriptor)
            place = (here.st_dev, here.st_ino)
            if self._holds is None or self._holds[0] != place:
                self._stages.begin(root)
                try:
                    self._holds = (place, limits_of_file_system(self._stages.for_directory(b""), self._disk))
                finally:
                    if b"" in self._stages.disturbed:
                        self._disk.set_times(root.descriptor, here.st_atime_ns, here.st_mtime_ns)
                    self._stages.end()
            return self._holds[1]


def limits_of_accounts(owners: Owners, users: tuple[str, ...], groups: tuple[str, ...]) -> list[str]:
    """Return a sentence for users, and one for groups, of production that do not exist here; labels as well."""
    owners.refresh()
    found = []
    for what, names in zip(("user", "group"), owners.missing(users, groups), strict=True):
        if names:
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            listed = ", ".join(names[:_NAMES_SHOWN])
            found.append(
                f"{what} {listed}{more}: not known on failover, so production's number is used; "
                "create it there, or name another under `owners`"
            )
    if owners.dropped_labels:
        found.append("SELinux labels of production are not kept: the kernel on failover does not use them")
    return found


def limits_of_agent() -> list[str]:
    """Return what the agent's rights do not allow."""
    if os.geteuid() == 0:
        return []
    return ["the agent on failover does not run as root: owners, capabilities and trusted attributes cannot be set"]


def limits_of_file_system(stage: Stage, disk: Disk) -> list[str]:
    """Return what the file system below a stage cannot hold; DiskError where nothing can be made there."""
    found = []
    descriptor = disk.create_file(stage.descriptor, _PROBE, _PROBE)
    try:
        if not _holds(disk, descriptor, "user.syncer.probe", b"1"):
            found.append("the file system of the root on failover holds no extended attributes")
        if not _holds(disk, descriptor, "system.posix_acl_access", _access_list()):
            found.append("the file system of the root on failover holds no access lists (ACLs)")
        try:
            os.stat(_PROBE.swapcase(), dir_fd=stage.descriptor, follow_symlinks=False)
            found.append(
                "the file system of the root on failover takes upper and lower case for the same: "
                "of names that differ in nothing else only one is kept"
            )
        except FileNotFoundError:
            pass
    finally:
        os.close(descriptor)
        disk.unlink(stage.descriptor, _PROBE, _PROBE)
    return found


def _holds(disk: Disk, descriptor: int, attribute: str, value: bytes) -> bool:
    try:
        disk.set_attribute(descriptor, attribute, value, _PROBE)
    except DiskError as error:
        if error.number not in _ANSWERS:
            raise
        return False
    return True


def _access_list() -> bytes:
    """Return a list with a named user, so that it is more than a mode."""
    return to_kernel(
        [
            AccessEntry(_OWN, 6, _NOBODY),
            AccessEntry(USER, 4, os.geteuid()),
            AccessEntry(_GROUP, 0, _NOBODY),
            AccessEntry(_MASK, 4, _NOBODY),
            AccessEntry(_OTHERS, 0, _NOBODY),
        ]
    )
