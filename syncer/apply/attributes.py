"""Gives a path the extended attributes that it is to have, and takes those away that it is not to have."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from syncer.attributes import ACCESS_LISTS, CAPABILITY, LABEL, LARGEST, shown_name
from syncer.files import Disk, DiskError, has_room, raw_attributes, raw_attributes_at

_REFUSED = frozenset(
    (
        errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EINVAL,
        errno.ENOSYS, errno.ENODATA,
    )
)  # fmt: skip  # what file systems and kernels answer to attributes that they cannot or will not hold
_CURES = {
    errno.EOPNOTSUPP: "mount a file system that holds it",
    errno.EPERM: "let the agent run as root",
    errno.EACCES: "let the agent run as root",
    errno.ENOSPC: "the file system has no room for it",
    errno.E2BIG: "it is larger than the file system allows",
}
_ACCESS = ACCESS_LISTS[0]
_ENTRY = struct.Struct("<HHI")
_OWNING_GROUP, _MASK = 0x04, 0x10


class Bearer(NamedTuple):
    """Something whose attributes can be changed."""

    current: Callable[[], Mapping[bytes, bytes | None]]
    put: Callable[[str, bytes], None]
    drop: Callable[[str], None]
    has_room: Callable[[], bool]
    """Whether the file system is not full: then one that has no room for an attribute never has."""


class Refusals(NamedTuple):
    """What could not be done: a sentence each, and whether the access list is missing now."""

    reasons: list[str]
    lacks_access_list: bool


def opened(disk: Disk, descriptor: int, path: bytes) -> Bearer:
    """Return what is opened as a bearer."""
    return Bearer(
        lambda: raw_attributes(descriptor),
        lambda name, value: disk.set_attribute(descriptor, name, value, path),
        lambda name: disk.remove_attribute(descriptor, name, path),
        lambda: has_room(descriptor, LARGEST),
    )


def named(disk: Disk, directory: int, name: bytes, path: bytes) -> Bearer:
    """Return a name itself, also where it is a link, as a bearer."""
    return Bearer(
        lambda: raw_attributes_at(directory, name) or {},
        lambda attribute, value: disk.set_attribute_at(directory, name, attribute, value, path),
        lambda attribute: disk.remove_attribute_at(directory, name, attribute, path),
        lambda: has_room(directory, LARGEST),
    )


def set_attributes(bearer: Bearer, wanted: Mapping[bytes, bytes]) -> Refusals:
    """Make the attributes equal to `wanted`; must come after owner and mode, since chown clears capabilities.

    Raises DiskError for what concerns the disk and not the attribute.
    """
    current = bearer.current()
    reasons: list[str] = []
    lacking = False
    for name in current:
        # A kernel that labels files gives each one a label; it cannot be without.
        if name not in wanted and name != LABEL:
            reasons += _attempt("removed", name, bearer, bearer.drop)
    # Capabilities come last: other changes may clear them.
    for name in sorted(wanted, key=lambda name: (name == CAPABILITY, name)):
        value = wanted[name]
        if current.get(name) != value:
            refused = _attempt("set", name, bearer, partial(_put, bearer, value))
            lacking = lacking or (bool(refused) and name == _ACCESS)
            reasons += refused
    return Refusals(reasons, lacking)


def _put(bearer: Bearer, value: bytes, name: str) -> None:
    bearer.put(name, value)


def without_access_list(mode: int, access: bytes) -> int:
    """Return the mode that gives the owning group no more than the access list, which cannot be set, would.

    The group bits of a mode with an access list are its mask: what any of the named groups may do at most.
    """
    group = mask = 0o7
    for tag, permissions, _ in _ENTRY.iter_unpack(access[4:]):
        if tag == _OWNING_GROUP:
            group = permissions
        elif tag == _MASK:
            mask = permissions
    return (mode & ~0o070) | ((group & mask) << 3)


def access_list_of(wanted: Mapping[bytes, bytes]) -> bytes:
    """Return the access list among the attributes, b"" where there is none."""
    return wanted.get(_ACCESS, b"")


def _attempt(what: str, name: bytes, bearer: Bearer, change: Callable[[str], None]) -> list[str]:
    try:
        change(os.fsdecode(name))
    except DiskError as error:
        # ext4 has a little room for the attributes of each file; a disk that is full is not the path's problem.
        if error.number not in _REFUSED or (error.number == errno.ENOSPC and not bearer.has_room()):
            raise
        if error.number == errno.ENODATA:
            return []
        cure = _CURES.get(error.number, "the file system does not take it")
        subject = "its access list" if name in ACCESS_LISTS else f"attribute {shown_name(name)}"
        return [f"{subject} cannot be {what} ({os.strerror(error.number)}): {cure}"]
    return []
