"""Opens the file index.db: schema, checks, and what is done with a damaged one."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from syncer.errors import IndexStoreError
from syncer.migrations import migrating, scripts_of, version_of

BUSY_SECONDS = 10.0
_COMPANIONS = ("", "-wal", "-shm")


def open_or_rebuild(path: Path) -> tuple[sqlite3.Connection, str, bool]:
    """Return a connection, the index id, and whether an unusable file had to be set aside.

    Raises IndexStoreError where not even a new file can be made.
    """
    with explained(path):
        try:
            return *_opened(path), False
        except sqlite3.DatabaseError as error:
            if not _is_unusable(error):
                raise
        _set_aside(path)
        return *_opened(path), True


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use, without implicit transactions."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into IndexStoreError."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise IndexStoreError(f"{path}: cannot be read or written ({error}); check its disk, owner and mode") from error
    except sqlite3.DatabaseError as error:
        # The subclasses are faults of the caller, which must not look like a broken disk.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise IndexStoreError(f"{path}: is damaged ({error}); restart the agent, it builds the index anew") from error


class _UnknownSchemaError(sqlite3.DatabaseError):
    """The file was written by a newer syncer, or is no index at all."""


def _is_unusable(error: sqlite3.DatabaseError) -> bool:
    """Tell damage, where a new file helps, from a full disk or missing rights, where it does not."""
    return isinstance(error, _UnknownSchemaError) or getattr(error, "sqlite_errorname", "") in (
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
        "SQLITE_CORRUPT_INDEX",
        "SQLITE_CORRUPT_SEQUENCE",
        "SQLITE_CORRUPT_VTAB",
        # A table that lacks what every statement needs: a half-written or foreign file.
        "SQLITE_ERROR",
        "SQLITE_IOERR_SHORT_READ",
    )


def _opened(path: Path) -> tuple[sqlite3.Connection, str]:
    # The names of files may be secrets: nobody else may read them, from the first moment on.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # 16 MiB before a checkpoint: each one flushes the disk while a change waits.
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -8000")
        scripts = scripts_of("syncer.index")
        _check(connection, len(scripts))
        return connection, _migrated(connection, scripts)
    except BaseException:
        connection.close()
        raise


def _check(connection: sqlite3.Connection, known: int) -> None:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _UnknownSchemaError("the check of its pages failed")
    version = version_of(connection)
    if version > known:
        raise _UnknownSchemaError(f"its schema {version} is newer than {known}")


def _migrated(connection: sqlite3.Connection, scripts: Sequence[str]) -> str:
    """Run the migrations that the file lacks, and return the index id."""
    with migrating(connection, scripts):
        connection.execute("INSERT OR IGNORE INTO store (id, index_id) VALUES (1, ?)", (str(uuid.uuid4()),))
        index_id: str = connection.execute("SELECT index_id FROM store").fetchone()[0]
    return index_id


def _set_aside(path: Path) -> None:
    """Rename the file with its companions to the next index.db.damaged-N, and delete older ones."""
    prefix = f"{path.name}.damaged-"
    older = [item for item in path.parent.iterdir() if item.name.startswith(prefix)]
    numbers = [int(found) for item in older if (found := item.name.removeprefix(prefix)).isdigit()]
    aside = path.with_name(f"{prefix}{max(numbers, default=0) + 1}")
    for companion in _COMPANIONS:
        old = path.with_name(path.name + companion)
        # CRASH: a log left beside a new file would be replayed into it; so all three go, the file first.
        if old.exists():
            old.rename(aside.with_name(aside.name + companion))
    for item in older:
        item.unlink()
