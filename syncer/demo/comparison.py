"""Compares two trees on disk by everything that must be equal; shares no code with what synchronizes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 1024 * 1024
STAGING = b".syncer"
"""syncer's own folder at the top of a mount; it belongs to no tree."""

_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket", stat.S_IFBLK: "block device", stat.S_IFCHR: "character device",
}  # fmt: skip  # a table


def differences(left: Path, right: Path) -> list[str]:
    """Return one line for each difference in names, kinds, bytes, modes, owners and mtimes; [] where equal.

    The roots themselves count as well, and symlinks are compared, not followed.
    """
    return list(_of_path(os.fsencode(left), os.fsencode(right), b"."))


def _of_path(left: bytes, right: bytes, path: bytes) -> Iterator[str]:
    name = os.fsdecode(path)
    one, other = _found(left), _found(right)
    if one is None or other is None:
        if one is not other:
            yield f"{name}: is {'missing on the left' if one is None else 'missing on the right'}"
        return
    kinds = [_KINDS[stat.S_IFMT(found.st_mode)] for found in (one, other)]
    if kinds[0] != kinds[1]:
        yield f"{name}: is a {kinds[0]} on the left and a {kinds[1]} on the right"
        return
    yield from _of_metadata(name, one, other)
    if kinds[0] == "file" and not _same_bytes(left, right):
        yield f"{name}: the bytes differ"
    elif kinds[0] == "symlink" and os.readlink(left) != os.readlink(right):
        yield f"{name}: the symlinks point to different places"
    elif kinds[0] == "directory":
        for child in sorted({*os.listdir(left), *os.listdir(right)} - {STAGING}):
            below = child if path == b"." else path + b"/" + child
            yield from _of_path(left + b"/" + child, right + b"/" + child, below)


def _of_metadata(name: str, one: os.stat_result, other: os.stat_result) -> Iterator[str]:
    for what, attribute, form in (
        ("modes", "st_mode", "o"),
        ("owners", "st_uid", "d"),
        ("groups", "st_gid", "d"),
        ("mtimes", "st_mtime_ns", "d"),
    ):
        pair = getattr(one, attribute), getattr(other, attribute)
        if pair[0] != pair[1]:
            yield f"{name}: the {what} differ ({pair[0]:{form}}, {pair[1]:{form}})"


def _found(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _same_bytes(left: bytes, right: bytes) -> bool:
    with open(left, "rb") as one, open(right, "rb") as other:
        while True:
            pair = one.read(CHUNK_BYTES), other.read(CHUNK_BYTES)
            if pair[0] != pair[1]:
                return False
            if not pair[0]:
                return True
