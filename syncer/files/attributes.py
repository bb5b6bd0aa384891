"""Reads extended attributes and access lists of a path, never through a link; changes nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, Protocol

from syncer import access_list
from syncer.attributes import ACCESS_LISTS, LABEL, encode, is_carried, shown_name

_NONE_HERE = frozenset((errno.EOPNOTSUPP, errno.ENOSYS))


class Names(Protocol):
    """Names of this node's users and groups by number, "" where there is none."""

    @property
    def users(self) -> Mapping[int, str]:
        """Names of users."""

    @property
    def groups(self) -> Mapping[int, str]:
        """Names of groups."""


class Attributes(NamedTuple):
    """What a path carries beside its mode."""

    encoded: bytes
    flaw: str = ""
    """What could not be read or carried and is therefore not in `encoded`, for the operator; "" for nothing."""


NOTHING = Attributes(b"")


@cache
def has_labels() -> bool:
    """Tell whether this kernel labels files (SELinux): elsewhere labels are neither read nor written."""
    return os.path.exists("/sys/fs/selinux/enforce")


@cache
def _can_name_by_descriptor() -> bool:
    return os.path.isdir("/proc/self/fd")


def read_attributes(descriptor: int, names: Names) -> Attributes:
    """Return the attributes of what is opened; none where its file system has none. Raises OSError."""
    try:
        listed = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return NOTHING
        raise
    return _gathered(descriptor, listed, names, follow=True) if listed else NOTHING


def read_attributes_at(directory: int, name: str | bytes, names: Names) -> Attributes:
    """Return the attributes of a name itself in an opened directory, also where it is a link; raises OSError."""
    # Without /proc a link cannot be named beneath a descriptor; hardly any link has attributes.
    if not _can_name_by_descriptor():
        return NOTHING
    where = b"/proc/self/fd/%d/%b" % (directory, os.fsencode(name))
    try:
        listed = os.listxattr(where, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return NOTHING
        raise
    return _gathered(where, listed, names, follow=False) if listed else NOTHING


def _gathered(where: int | bytes, listed: list[str], names: Names, *, follow: bool) -> Attributes:
    found: dict[bytes, bytes] = {}
    flaws: list[str] = []
    for text in listed:
        name = os.fsencode(text)
        if not is_carried(name) or (name == LABEL and not has_labels()):
            continue
        try:
            value = os.getxattr(where, text, follow_symlinks=follow)
            if name in ACCESS_LISTS:
                value = _portable(value, names)
            encode({name: value})
        except OSError as error:
            # Removed since it was listed: the change of ctime has the path read again.
            if error.errno != errno.ENODATA:
                flaws.append(f"its attribute {shown_name(name)} cannot be read ({os.strerror(error.errno or 0)})")
        except ValueError as error:
            flaws.append(f"it {error}" if name not in ACCESS_LISTS else f"its {shown_name(name)} {error}")
        else:
            found[name] = value
    try:
        encoded = encode(found)
    except ValueError as error:
        encoded = b""
        flaws.append(f"it {error}")
    if not flaws:
        return Attributes(encoded)
    return Attributes(encoded, f"{'; '.join(flaws)[:800]}: it is synchronized without")


def _portable(value: bytes, names: Names) -> bytes:
    return access_list.encode(access_list.from_kernel(value, names.users.__getitem__, names.groups.__getitem__))
