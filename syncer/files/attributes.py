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


class _NoNames(dict[int, str]):
    def __missing__(self, _: int) -> str:
        return ""


class _Nobody:
    """Numbers only, for attributes that are kept for this node itself."""

    users: Mapping[int, str] = _NoNames()
    groups: Mapping[int, str] = _NoNames()


def own_attributes_at(directory: int, name: bytes) -> bytes:
    """Return what a name itself carries, with this node's numbers, b"" where that cannot be told; raises OSError."""
    return read_attributes_at(directory, name, _Nobody()).encoded


def read_attributes(descriptor: int, names: Names) -> Attributes:
    """Return the attributes of what is opened; none where its file system has none. Raises OSError."""
    listed = _listed(descriptor, follow=True)
    return _portable(descriptor, listed, names, follow=True) if listed else NOTHING


def read_attributes_at(directory: int, name: str | bytes, names: Names) -> Attributes:
    """Return the attributes of a name itself in an opened directory, also where it is a link; raises OSError."""
    # Without /proc a link cannot be named beneath a descriptor; hardly any link has attributes.
    if not _can_name_by_descriptor():
        return NOTHING
    where = named_by_descriptor(directory, os.fsencode(name))
    listed = _listed(where, follow=False)
    return _portable(where, listed, names, follow=False) if listed else NOTHING


def raw_attributes(descriptor: int) -> dict[bytes, bytes | None]:
    """Return what is opened carries, as the kernel takes it; None for a value that cannot be read. Raises OSError."""
    return {name: _raw(descriptor, text, follow=True) for name, text in _listed(descriptor, follow=True)}


def raw_attributes_at(directory: int, name: bytes) -> dict[bytes, bytes | None] | None:
    """Return what a name itself carries, also where it is a link, or None where that cannot be told here.

    Raises OSError.
    """
    if not _can_name_by_descriptor():
        return None
    where = named_by_descriptor(directory, name)
    return {one: _raw(where, text, follow=False) for one, text in _listed(where, follow=False)}


def named_by_descriptor(directory: int, name: bytes) -> bytes:
    """Return a path that leads to a name in an opened directory, wherever that was moved to."""
    return b"/proc/self/fd/%d/%b" % (directory, name or b".")


def _listed(where: int | bytes, *, follow: bool) -> list[tuple[bytes, str]]:
    """Return the names of carried attributes, each as bytes and as Python names it."""
    try:
        listed = os.listxattr(where, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return []
        raise
    if not listed:
        return []
    found = [(os.fsencode(text), text) for text in listed]
    return [pair for pair in found if is_carried(pair[0]) and (pair[0] != LABEL or has_labels())]


def _raw(where: int | bytes, text: str, *, follow: bool) -> bytes | None:
    try:
        value = os.getxattr(where, text, follow_symlinks=follow)
        if os.fsencode(text) in ACCESS_LISTS:
            return access_list.to_kernel(access_list.from_kernel(value, _nameless, _nameless))
    except (OSError, ValueError):
        # Whoever compares takes it for another value and writes it anew.
        return None
    return value


def _portable(where: int | bytes, listed: list[tuple[bytes, str]], names: Names, *, follow: bool) -> Attributes:
    found: dict[bytes, bytes] = {}
    flaws: list[str] = []
    for name, text in listed:
        try:
            value = os.getxattr(where, text, follow_symlinks=follow)
            if name in ACCESS_LISTS:
                entries = access_list.from_kernel(value, names.users.__getitem__, names.groups.__getitem__)
                value = access_list.encode(entries)
            encode({name: value})
        except OSError as error:
            # Removed since it was listed: the change of ctime has the path read again.
            if error.errno != errno.ENODATA:
                flaws.append(f"its attribute {shown_name(name)} cannot be read ({os.strerror(error.errno or 0)})")
        except ValueError as error:
            flaws.append(f"its {shown_name(name)} {error}" if name in ACCESS_LISTS else f"it {error}")
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


def _nameless(_: int) -> str:
    return ""
