"""Refuses a transaction that no honest peer sends, before anything is touched (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from syncer.attributes import flaw_of
from syncer.errors import PeerProtocolError
from syncer.model import DIGEST_SIZE, Change, Entry, Kind, parent_of, path_flaw, shown
from syncer.origin import flaw_of as flaw_of_origin

EMPTY_DIGEST = bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
"""blake3 of no bytes at all."""

_HIGHEST_ID = 0xFFFFFFFE
"""One above is -1, which chown takes for "leave it"."""
_INT64 = 1 << 63


def in_order(changes: Sequence[Change]) -> list[Change]:
    """Return the changes ordered by (parent, name), so that every parent is before its children.

    Raises PeerProtocolError where a path is bad or comes twice, or an entry cannot be.
    """
    ordered = sorted(changes, key=_order)
    directories: dict[bytes, bool] = {}
    sizes: dict[bytes, int] = {}
    for _, path, entry in ordered:
        flaw = path_flaw(path)
        if flaw is not None:
            raise PeerProtocolError(f"the peer sent the path {_quoted(path)}, which {flaw}")
        if path in directories:
            raise PeerProtocolError(f"the peer sent {_quoted(path)} twice in one transaction")
        holds = entry is not None and entry.kind in (Kind.DIRECTORY, Kind.UNKNOWN)
        directories[path] = holds
        if entry is None:
            if not path:
                raise PeerProtocolError("the peer sent a deletion of the root itself")
            continue
        if path and not directories.get(parent_of(path), True):
            raise PeerProtocolError(f"the peer sent {_quoted(path)} below what is no directory")
        _require_sound_entry(path, entry, sizes)
    return ordered


def _order(change: Change) -> tuple[bytes, bytes]:
    parent, _, name = change.path.rpartition(b"/")
    return parent, name


def _require_sound_entry(path: bytes, entry: Entry, sizes: dict[bytes, int]) -> None:
    if entry.path != path:
        raise PeerProtocolError(f"the peer sent an entry of another path as {_quoted(path)}")
    if not path and entry.kind not in (Kind.DIRECTORY, Kind.UNKNOWN):
        raise PeerProtocolError("the peer sent a root that is no directory")
    if not (0 <= entry.mode <= 0o7777 and 0 <= entry.uid <= _HIGHEST_ID and 0 <= entry.gid <= _HIGHEST_ID):
        raise PeerProtocolError(f"the peer sent a mode or an owner of {_quoted(path)} that cannot be")
    if not (-_INT64 <= entry.mtime_ns < _INT64 and 0 <= entry.size < _INT64):
        raise PeerProtocolError(f"the peer sent a time or a size of {_quoted(path)} that cannot be")
    flaw = flaw_of(entry.attributes) or flaw_of_origin(entry.origin)
    if flaw is not None:
        raise PeerProtocolError(f"the peer sent {_quoted(path)}, which {flaw}")
    if not 0 <= entry.link < _INT64 or (entry.link and entry.kind is not Kind.FILE):
        raise PeerProtocolError(f"the peer sent a number of hard links of {_quoted(path)} that cannot be")
    if entry.kind is Kind.FILE:
        _require_sound_content(path, entry, sizes)
    elif entry.kind is Kind.SYMLINK and (not entry.link_target or b"\0" in entry.link_target):
        raise PeerProtocolError(f"the peer sent the symlink {_quoted(path)} without a usable target")


def _require_sound_content(path: bytes, entry: Entry, sizes: dict[bytes, int]) -> None:
    if entry.size == 0:
        if entry.digest not in (b"", EMPTY_DIGEST):
            raise PeerProtocolError(f"the peer sent the empty file {_quoted(path)} with the digest of another")
    elif len(entry.digest) != DIGEST_SIZE:
        raise PeerProtocolError(f"the peer sent a digest of {_quoted(path)} that is not {DIGEST_SIZE} bytes")
    elif sizes.setdefault(entry.digest, entry.size) != entry.size:
        raise PeerProtocolError(f"the peer sent the content of {_quoted(path)} with two sizes")


def _quoted(path: bytes) -> str:
    return ascii(shown(path))
