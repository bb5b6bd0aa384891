"""One digest for a whole tree of entries, so that two nodes can tell in one message that they are equal."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import islice

from blake3 import blake3

from syncer.model import Entry, Kind

_FIXED = struct.Struct(">IBHQQqQIIIIIQI")
"""Lengths and numbers of one entry; the variable fields follow in the order of their lengths."""

_ENTRIES_AT_ONCE = 1000


def summarize(entries: Iterable[Entry]) -> bytes:
    """Return the blake3 digest (32 bytes) over every entry in the order given.

    Both ends must give them ordered by (parent, name), root first. UNKNOWN entries do not count: a
    target holds nothing that could be compared with them. Neither do notes, which are for people.
    """
    hasher = blake3()
    rest = iter(entries)
    while batch := list(islice(rest, _ENTRIES_AT_ONCE)):
        hasher.update(b"".join([_packed(entry) for entry in batch if entry.kind is not Kind.UNKNOWN]))
    return hasher.digest()


class Passing:
    """Digests entries as they pass: also those that `summarize` leaves out, and whether each of them has changed."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def take(self, entry: Entry, *, changed: bool) -> None:
        """Take in the next one."""
        note = entry.note.encode("utf-8", "surrogatepass")
        self._hasher.update(b"%d %d\n" % (changed, len(note)) + note + _packed(entry))

    def digest(self) -> bytes:
        """Return the digest (32 bytes) of what has passed."""
        return self._hasher.digest()


def _packed(entry: Entry) -> bytes:
    """Return an entry as bytes that no other entry has: each variable field is preceded by its length."""
    path, kind, mode, uid, gid, owner, group, mtime_ns, size, digest, link_target, _, attributes, link, origin = entry
    user = owner.encode("utf-8", "surrogatepass")
    team = group.encode("utf-8", "surrogatepass")
    fixed = _FIXED.pack(
        len(path), kind, mode, uid, gid, mtime_ns, size, len(user), len(team), len(digest), len(link_target),
        len(attributes), link, len(origin),
    )  # fmt: skip  # the order of the format
    return b"".join((fixed, path, user, team, digest, link_target, attributes, origin))
