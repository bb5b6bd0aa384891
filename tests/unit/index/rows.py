"""Small values for tests of the index."""

from __future__ import annotations

from syncer.model import DiskIdentity, Entry, Kind, Known


def file(path: bytes, content: bytes = b"x", *, inode: int = 1, racy: bool = False, mode: int = 0o644) -> Known:
    digest = content.ljust(32, b"\0")[:32]
    entry = Entry(path, Kind.FILE, mode, 0, 0, "root", "root", 1, len(content), digest, b"")
    return Known(entry, DiskIdentity(len(content), 1, 1, inode, 1), racy)


def directory(path: bytes) -> Known:
    entry = Entry(path, Kind.DIRECTORY, 0o755, 0, 0, "root", "root", 1, 0, b"", b"")
    return Known(entry, DiskIdentity(4096, 1, 1, 2, 1))


def unknown(path: bytes, note: str = "cannot be read") -> Known:
    entry = Entry(path, Kind.UNKNOWN, 0, 0, 0, "", "", 0, 0, b"", b"", note)
    return Known(entry, DiskIdentity(0, 0, 0, 3, 1))
