"""Copies node.db as it stands at one moment, while others go on writing to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import urllib.parse
from pathlib import Path

from syncer.errors import StateError
from syncer.state.store import BUSY_SECONDS


def copy_database(source: Path, target: Path) -> None:
    """Write what `source` holds now into the new file `target` (0600), flushed. Blocking.

    Neither an agent that works on it is disturbed, nor one that starts meanwhile. Raises StateError where the source
    cannot be read or the target cannot be written; nothing of the target is left then.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StateError(f"{target}: cannot be written ({error.strerror}); choose another place") from error
    try:
        with contextlib.closing(_reader(source)) as reading, contextlib.closing(sqlite3.connect(target)) as writing:
            # One step: what others commit meanwhile does not begin it anew, and waits for nothing.
            reading.backup(writing, pages=-1)
            # Its own log would be a second file that must not be lost.
            writing.execute("PRAGMA journal_mode = DELETE")
        _flush(target)
    except (sqlite3.Error, OSError) as error:
        for path in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm", "-journal"))):
            path.unlink(missing_ok=True)
        raise StateError(f"{source}: cannot be copied to {target} ({error}); check both disks") from error


def _reader(path: Path) -> sqlite3.Connection:
    # Not read-only: a log that nobody has open can only be read by who may make its index anew.
    return sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=rw", uri=True, timeout=BUSY_SECONDS)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
