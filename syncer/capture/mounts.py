"""Which file systems inotify cannot watch: changes made on another machine give no events here."""

from __future__ import annotations

import os
import re
from pathlib import Path

REMOTE_TYPES = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "ocfs2",
        "gfs2",
        "afs",
        "coda",
        "orangefs",
        "pvfs2",
        "beegfs",
        "virtiofs",
        "vboxsf",
        "vmhgfs",
        "prl_fs",
        "fuse",
        "fuseblk",
    ]
)
MOUNT_TABLE = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def remote_kind(root: Path, table: Path = MOUNT_TABLE) -> str | None:
    """Return the type of a file system at or below `root` that must be polled, or None where all are local."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        # Without /proc nothing can be known; the periodic scan still finds what events miss.
        return None
    top = os.path.realpath(os.fsencode(root))
    around: tuple[int, str] = (-1, "")
    for line in lines:
        point, kind = _parsed(line)
        if is_within(point, top) and _is_remote(kind) and point != top:
            return kind
        # The longest mount point above the root holds it; of equal ones the last, which covers the others.
        if is_within(top, point) and len(point) >= around[0]:
            around = (len(point), kind)
    return around[1] if _is_remote(around[1]) else None


def is_within(path: bytes, ancestor: bytes) -> bool:
    """Tell whether an absolute path is `ancestor` or lies below it."""
    return path == ancestor or path.startswith(ancestor.rstrip(b"/") + b"/")


def _parsed(line: bytes) -> tuple[bytes, str]:
    """Return mount point and type of one line of mountinfo (proc(5)); spaces in it are octal escapes."""
    left, _, right = line.partition(b" - ")
    fields = left.split(b" ")
    return unescaped(fields[4]), os.fsdecode(right.split(b" ")[0])


def unescaped(field: bytes) -> bytes:
    """Return a field of mountinfo with its octal escapes resolved."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field)


def _is_remote(kind: str) -> bool:
    return kind in REMOTE_TYPES or kind.startswith("fuse.")
