"""Extended attributes of a path as one byte string that is equal for equal attributes (pure)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from syncer import access_list

ACCESS_LISTS = (b"system.posix_acl_access", b"system.posix_acl_default")
"""Their values are in the portable form of access_list, so that they name people, not numbers."""
CAPABILITY = b"security.capability"
LABEL = b"security.selinux"
LARGEST = 256 * 1024
"""Bytes of all attributes of one path; more are not carried, and become a problem."""

_NAMES = frozenset((*ACCESS_LISTS, CAPABILITY, LABEL))
_PREFIXES = (b"user.", b"trusted.")
_OF_THE_MACHINE = (b"user.overlay.", b"trusted.overlay.")
_LONGEST_NAME = 255
_LARGEST_VALUE = 65536
_LENGTHS = struct.Struct(">BI")


def is_carried(name: bytes) -> bool:
    """Tell whether an attribute is synchronized; all others belong to the machine (IMA, overlayfs, NFS)."""
    return name in _NAMES or (name.startswith(_PREFIXES) and not name.startswith(_OF_THE_MACHINE))


def encode(attributes: Mapping[bytes, bytes]) -> bytes:
    """Return the attributes ordered by name, each with the lengths of name and value before it; b"" for none.

    Raises ValueError, a clause for "the path …", where one cannot be carried.
    """
    if not attributes:
        return b""
    parts = []
    for name in sorted(attributes):
        value = attributes[name]
        flaw = _flaw_of_one(name, value)
        if flaw:
            raise ValueError(flaw)
        parts.append(_LENGTHS.pack(len(name), len(value)) + name + value)
    data = b"".join(parts)
    if len(data) > LARGEST:
        raise ValueError(f"has more than {LARGEST // 1024} KiB of attributes")
    return data


def decode(data: bytes) -> dict[bytes, bytes]:
    """Return name → value in order; ValueError, a clause for "the path …", for all that `encode` does not make."""
    if len(data) > LARGEST:
        raise ValueError(f"has more than {LARGEST // 1024} KiB of attributes")
    found: dict[bytes, bytes] = {}
    position, last = 0, b""
    while position < len(data):
        start = position + _LENGTHS.size
        if start > len(data):
            raise ValueError("has attributes that are cut off")
        name_length, value_length = _LENGTHS.unpack_from(data, position)
        middle = start + name_length
        position = middle + value_length
        if position > len(data):
            raise ValueError("has attributes that are cut off")
        name, value = data[start:middle], data[middle:position]
        if name <= last:
            raise ValueError("has attributes that are not in order")
        flaw = _flaw_of_one(name, value)
        if flaw:
            raise ValueError(flaw)
        if name in ACCESS_LISTS:
            access_list.decode(value)
        found[name] = value
        last = name
    return found


def flaw_of(data: bytes) -> str | None:
    """Say why attributes from a peer cannot be accepted, or None where they can."""
    if not data:
        return None
    try:
        decode(data)
    except UnicodeDecodeError:
        return "has an attribute with a name that cannot be one"
    except ValueError as error:
        return str(error)
    return None


def shown_name(name: bytes) -> str:
    """Return an attribute's name for people: what is not printable ASCII is written out."""
    return ascii(name.decode("utf-8", "surrogateescape"))[1:-1]


def _flaw_of_one(name: bytes, value: bytes) -> str | None:
    if not is_carried(name):
        return f"has the attribute {shown_name(name[:64])}, which is of no kind that is synchronized"
    if len(name) > _LONGEST_NAME or name.endswith(b"."):
        return "has an attribute with a name that cannot be one"
    try:
        printable = name.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        printable = False
    if not printable:
        return f"has the attribute {shown_name(name)}, whose name is not printable"
    if len(value) > _LARGEST_VALUE:
        return f"has the attribute {shown_name(name)} with more than {_LARGEST_VALUE // 1024} KiB"
    return None
