"""POSIX access lists: the kernel's binary form, and a portable form that carries names beside numbers (pure)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

USER, GROUP = 0x02, 0x08
"""Tags of entries for one named user or group; the others (owner, group, mask, others) name nobody."""

_VERSION = 2
_NOBODY = 0xFFFFFFFF
_TAGS = (0x01, USER, 0x04, GROUP, 0x10, 0x20)
_HEAD = struct.Struct("<I")
_RAW = struct.Struct("<HHI")
_PORTABLE = struct.Struct(">BBIB")
_MOST_ENTRIES = 8191
"""What fits into the 64 KiB that Linux allows an attribute."""


class AccessEntry(NamedTuple):
    """One line of an access list; number and name say whom, where the tag is USER or GROUP."""

    tag: int
    permissions: int
    """Bits of read (4), write (2), execute (1)."""
    number: int
    name: str = ""
    """Name of the user or group where the list was read; "" where it has none."""


def from_kernel(value: bytes, users: Callable[[int], str], groups: Callable[[int], str]) -> list[AccessEntry]:
    """Return what the kernel gives as system.posix_acl_access or _default; ValueError where it is none."""
    if len(value) < _HEAD.size or (len(value) - _HEAD.size) % _RAW.size or _HEAD.unpack_from(value)[0] != _VERSION:
        raise ValueError("is no access list of a form that is known")
    entries = []
    for tag, permissions, number in _RAW.iter_unpack(value[_HEAD.size :]):
        if tag == USER:
            entries.append(AccessEntry(tag, permissions, number, users(number)))
        elif tag == GROUP:
            entries.append(AccessEntry(tag, permissions, number, groups(number)))
        else:
            entries.append(AccessEntry(tag, permissions, _NOBODY))
    return _sound(entries)


def to_kernel(entries: Iterable[AccessEntry]) -> bytes:
    """Return the binary form that the kernel takes, ordered as it asks for; names are ignored."""
    ordered = sorted((tag, number, permissions) for tag, permissions, number, _ in entries)
    return _HEAD.pack(_VERSION) + b"".join(_RAW.pack(tag, permissions, number) for tag, number, permissions in ordered)


def encode(entries: Iterable[AccessEntry]) -> bytes:
    """Return the portable form: one byte sequence for one list."""
    parts = []
    for tag, permissions, number, name in sorted(entries):
        text = name.encode("utf-8")
        parts.append(_PORTABLE.pack(tag, permissions, number, len(text)) + text)
    return b"".join(parts)


def decode(data: bytes) -> list[AccessEntry]:
    """Return the list of a portable form; ValueError where it is none that `encode` makes."""
    entries = list(_parsed(data))
    if encode(entries) != data:
        raise ValueError("holds an access list that is not in order")
    return _sound(entries)


def _parsed(data: bytes) -> Iterator[AccessEntry]:
    position = 0
    while position < len(data):
        end = position + _PORTABLE.size
        if end > len(data):
            raise ValueError("holds an access list that is cut off")
        tag, permissions, number, length = _PORTABLE.unpack_from(data, position)
        name = data[end : end + length]
        if len(name) != length:
            raise ValueError("holds an access list that is cut off")
        position = end + length
        yield AccessEntry(tag, permissions, number, name.decode("utf-8"))


def _sound(entries: list[AccessEntry]) -> list[AccessEntry]:
    if len(entries) > _MOST_ENTRIES:
        raise ValueError("holds an access list that is too long")
    for tag, permissions, number, name in entries:
        if tag not in _TAGS or permissions > 7:
            raise ValueError("holds an access list with an entry that cannot be")
        named = tag in (USER, GROUP)
        if named is (number == _NOBODY) or (name and not named) or not name.isprintable():
            raise ValueError("holds an access list with an entry that cannot be")
    return entries
