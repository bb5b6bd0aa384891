"""Rows of index.db as values of the model, and back; called once a path, so without loops or copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncer.model import DiskIdentity, Entry, Kind, Known

LIVE, TOMBSTONE, HIDDEN = 0, 1, 2

ENTRY_COLUMNS = "kind, mode, uid, gid, owner, group_name, mtime_ns, size, digest, link_target, note, attributes, link"
DISK_COLUMNS = "disk_size, disk_mtime_ns, disk_ctime_ns, inode, device, racy"

DIGEST, FIRST_OF_DISK = 8, 13
"""Where the digest stands in ENTRY_COLUMNS, and where DISK_COLUMNS begin behind them."""

_UNSIGNED = 0xFFFFFFFFFFFFFFFF
_SIGNED_MAX = 0x7FFFFFFFFFFFFFFF
_KINDS = (Kind.UNKNOWN, Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.UNKNOWN)
# A NamedTuple's own constructor costs twice as much, and a full scan makes three for each path.
_new = tuple.__new__


def signed(number: int) -> int:
    """Return an unsigned 64-bit number as SQLite can hold it; overlayfs sets the top bit of inodes."""
    return number if number <= _SIGNED_MAX else number - _UNSIGNED - 1


def entry_of(path: bytes, columns: tuple[Any, ...]) -> Entry:
    """Return the entry that ENTRY_COLUMNS say."""
    return _new(Entry, (path, _KINDS[columns[0]], *columns[1:], b""))


def known_of(path: bytes, columns: tuple[Any, ...]) -> Known:
    """Return what ENTRY_COLUMNS and DISK_COLUMNS say, in this order."""
    kind, mode, uid, gid, owner, group, mtime, size, digest, target, note, attributes, link = columns[:13]
    return Known(
        Entry(path, _KINDS[kind], mode, uid, gid, owner, group, mtime, size, digest, target, note, attributes, link),
        identity_of(columns[13:18]),
        bool(columns[18]),
    )


def identity_of(columns: Sequence[Any]) -> DiskIdentity:
    """Return the disk identity of DISK_COLUMNS without racy."""
    size, mtime, ctime, inode, device = columns
    return _new(DiskIdentity, (size, mtime, ctime, inode & _UNSIGNED, device & _UNSIGNED))


def children_of(directory: bytes, rows: list[tuple[Any, ...]]) -> dict[bytes, Known]:
    """Return name → Known for rows of (name, ENTRY_COLUMNS, DISK_COLUMNS): the hottest loop of a scan."""
    prefix = directory + b"/" if directory else b""
    kinds = _KINDS
    found = {}
    # Unpacked in one place and built in place: a call for each row would cost as much again.
    for (
        name, kind, mode, uid, gid, owner, group, mtime, size, digest, target, note,
        attributes, link, disk_size, disk_mtime, disk_ctime, inode, device, racy,
    ) in rows:  # fmt: skip  # the columns in their order
        found[name] = _new(Known, (
            _new(Entry, (
                prefix + name, kinds[kind], mode, uid, gid, owner, group, mtime, size, digest, target, note,
                attributes, link, b"",
            )),
            _new(DiskIdentity, (
                disk_size, disk_mtime, disk_ctime,
                inode if inode >= 0 else inode & _UNSIGNED, device if device >= 0 else device & _UNSIGNED,
            )),
            racy == 1,
        ))  # fmt: skip  # one value of the model a line
    return found


def disk_values(known: Known) -> tuple[int, int, int, int, int, int]:
    """Return the values of DISK_COLUMNS."""
    size, mtime, ctime, inode, device = known.identity
    return size, mtime, ctime, signed(inode), signed(device), int(known.racy)
