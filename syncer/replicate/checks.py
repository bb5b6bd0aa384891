"""Whether a value from a peer may be believed in form: paths, kinds, digests, numbers, names (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from syncer.attributes import flaw_of
from syncer.errors import PeerProtocolError
from syncer.model import DIGEST_SIZE, Change, Cursor, Entry, Kind, path_flaw, shown
from syncer.origin import flaw_of as flaw_of_origin
from syncer.substitution.parse import Name, bits_of, parse_side

MAXIMUM_NUMBER = 2**63 - 1
"""SQLite's largest integer; a greater size, seq or time cannot be stored and is refused."""
MAXIMUM_NAME = 256
"""Characters of a node, user or group name."""
MAXIMUM_ADDRESSES = 256
"""Addresses and host names of a node."""
MAXIMUM_LINK = 4095
"""Bytes of a symlink's target (PATH_MAX less the NUL)."""


def require(holds: bool, flaw: str) -> None:
    """Raise PeerProtocolError(MALFORMED) with `flaw` unless `holds`."""
    if not holds:
        raise PeerProtocolError(f"the peer sent a message that breaks the protocol: {flaw}; nothing was changed")


def checked_name(name: str, what: str) -> str:
    """Return `name` if it is short and printable, so that it is safe in logs and on terminals."""
    require(len(name) <= MAXIMUM_NAME and name.isprintable(), f"{what} is too long or not printable")
    return name


def checked_addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return `addresses` if they are few, and each is one that a rule could name: no network, and no loopback."""
    require(len(addresses) <= MAXIMUM_ADDRESSES, "more addresses than a node has")
    for text in addresses:
        require(len(text) <= MAXIMUM_NAME and _is_address(text), "an address is neither one nor a host name")
    return tuple(addresses)


def checked_port(port: int) -> int:
    """Return `port` if it is one, or 0 for none."""
    require(port < 1 << 16, "a port is none")
    return port


def _is_address(text: str) -> bool:
    try:
        side = parse_side(text)
    except ValueError:
        return False
    return isinstance(side, Name) or side.length == bits_of(side.version)


def checked_cursor(cursor: Cursor) -> Cursor:
    """Return `cursor` if its names are names and its seq can be stored."""
    checked_name(cursor.index_id, "an index id")
    checked_name(cursor.run, "a run id")
    require(cursor.seq <= MAXIMUM_NUMBER, "a seq is too large")
    return cursor


def checked_digest(digest: bytes) -> bytes:
    """Return `digest` if it has the length of one."""
    require(len(digest) == DIGEST_SIZE, "a digest does not have 32 bytes")
    return digest


def checked_path(path: bytes) -> bytes:
    """Return `path` if it stays beneath the root."""
    flaw = path_flaw(path)
    require(flaw is None, f"the path {shown(path[:256])!a} {flaw}")
    return path


def checked_change(change: Change) -> Change:
    """Return `change` if its path stays beneath the root and its entry is of one consistent kind.

    Raises PeerProtocolError(MALFORMED) naming the path and the flaw.
    """
    flaw = path_flaw(change.path)
    if flaw is None and change.entry is not None:
        flaw = _entry_flaw(change.entry)
    if flaw is None and change.entry is None and not change.path:
        flaw = "deletes the root"
    if flaw is None and change.seq > MAXIMUM_NUMBER:
        flaw = "has too large a seq"
    require(flaw is None, f"the path {shown(change.path[:256])!a} {flaw}")
    return change


def _entry_flaw(entry: Entry) -> str | None:
    """Say what is wrong with an entry; the order puts the cheap and common cases first."""
    kind = entry.kind
    if not entry.path and kind not in (Kind.DIRECTORY, Kind.UNKNOWN):
        return "makes the root something else than a directory"
    if len(entry.digest) != (DIGEST_SIZE if kind is Kind.FILE else 0):
        return "has a digest that does not fit its kind"
    if entry.mode > 0o7777:
        return "has a mode beyond the permission bits"
    if entry.size > MAXIMUM_NUMBER or (entry.size and kind is not Kind.FILE):
        return "has a size that does not fit its kind"
    if not -MAXIMUM_NUMBER <= entry.mtime_ns <= MAXIMUM_NUMBER:
        return "has an mtime out of range"
    if (kind is Kind.SYMLINK) != bool(entry.link_target):
        return "has a link target that does not fit its kind"
    if len(entry.link_target) > MAXIMUM_LINK or b"\0" in entry.link_target:
        return "has a link target that no file system can hold"
    if len(entry.note) > 4 * MAXIMUM_NAME or not entry.note.isprintable():
        return "has a note that cannot be shown"
    for name in (entry.owner, entry.group):
        if len(name) > MAXIMUM_NAME or not name.isprintable():
            return "has an owner or group name that cannot be one"
    return _carried_flaw(entry)


def _carried_flaw(entry: Entry) -> str | None:
    """Say what is wrong with the hard links or the extended attributes of an entry."""
    if entry.link > MAXIMUM_NUMBER or (entry.link and entry.kind is not Kind.FILE):
        return "has a number of hard links that does not fit its kind"
    if entry.attributes and entry.kind is Kind.UNKNOWN:
        return "has attributes that do not fit its kind"
    if entry.origin and entry.kind is not Kind.FILE:
        return "has an origin that does not fit its kind"
    return flaw_of(entry.attributes) or flaw_of_origin(entry.origin)
