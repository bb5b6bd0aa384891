"""Finds out what this node cannot hold of what production may send, before anything is applied.

File systems are asked by trying, with a file in the staging area, never in the tree.
"""

from __future__ import annotations

import errno
import os

from syncer.access_list import USER, AccessEntry, to_kernel
from syncer.apply.owners import Owners
from syncer.apply.stage import Stage
from syncer.files import Disk, DiskError

_NAMES_SHOWN = 10
_OWN, _GROUP, _MASK, _OTHERS = 0x01, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_PROBE = b"Probe"
_ANSWERS = frozenset((errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOSPC))


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
