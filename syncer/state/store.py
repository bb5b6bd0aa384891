"""Opens node.db: checks, migrations, and the one connection that the other files of this room use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from syncer.errors import StateError
from syncer.migrations import migrating, scripts_of
from syncer.model import Mode

FILE_NAME = "node.db"
_UNSIGNED = 0xFFFFFFFFFFFFFFFF
_SIGNED_MAX = 0x7FFFFFFFFFFFFFFF
BUSY_SECONDS = 10.0
"""How long to wait for another process that holds the database, for example a command."""


class StateStore:
    """node.db, opened: one connection that threads take in turns."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._depth = 0
        self._closed = False
        with self.read() as reader:
            self.node_id: str = reader.execute("SELECT node_id FROM node").fetchone()[0]
        self._inode = os.stat(path).st_ino

    @classmethod
    def open(cls, directory: Path, *, create: bool = False) -> StateStore:
        """Open `directory`/node.db and bring its schema up to date; with `create`, make what is missing.

        Raises StateError where it is missing, damaged, from a newer syncer, or open to other users.
        """
        if create:
            _create_directory(directory)
        _check_directory(directory, create=create)
        path = directory / FILE_NAME
        _prepare_file(path, create=create)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _configure(connection)
            _check_integrity(connection)
            _migrate(connection, path, create=create)
            return cls(path, connection)
        except sqlite3.Error as error:
            connection.close()
            raise _explained(path, error) from error
        except BaseException:
            connection.close()
            raise

    def require_in_place(self) -> None:
        """Make sure that what is written here is what the next start reads; StateError where node.db was replaced."""
        try:
            here = os.stat(self.path).st_ino
        except OSError:
            here = 0
        if here != self._inode:
            raise StateError(
                f"{self.path} was removed or replaced while the agent ran, so nothing that it records would last: "
                "put node.db back from a backup, or begin anew as another node: move the folder away, `syncer init`, "
                "and pair it (`syncer invite`, `syncer join`)"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the body as one durable transaction; an error rolls all of it back.

        Other threads wait. Within a transaction of the same thread it joins that one. Raises
        StateError where the disk or the database fails.
        """
        with self._lock, self._translated():
            if self._depth:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
                # CRASH: with synchronous=FULL the commit returns after the flush; before it, nothing counts.
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for reading; other threads wait meanwhile. Raises StateError."""
        with self._lock, self._translated():
            yield self._connection

    def mode(self) -> Mode | None:
        """Return the mode that was set last, or None where it is still the configured one."""
        with self.read() as reader:
            found = reader.execute("SELECT mode FROM node").fetchone()[0]
        return None if found is None else Mode(found)

    def set_mode(self, mode: Mode) -> None:
        """Record durably what this node is from now on."""
        with self.transaction() as writer:
            writer.execute("UPDATE node SET mode = ?", (mode.value,))

    def close(self) -> None:
        """Close the connection; waits for a transaction of another thread."""
        with self._lock:
            self._closed = True
            self._connection.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise StateError(f"{self.path}: is closed; this node is stopping, try again once it runs")
        try:
            yield
        except sqlite3.DatabaseError as error:
            # The other subclasses are faults of the caller, which must not look like a broken disk.
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                raise _explained(self.path, error) from error
            raise


def signed(number: int) -> int:
    """Return an unsigned 64-bit number as SQLite can hold it; overlayfs sets the top bit of inodes."""
    return number if number <= _SIGNED_MAX else number - _UNSIGNED - 1


def unsigned(number: int) -> int:
    """Return what `signed` was given."""
    return number & _UNSIGNED


def storable(text: str) -> str:
    """Return `text` as SQLite can hold it: undecodable bytes (surrogates) written out as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _create_directory(directory: Path) -> None:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # RACE: made with its final mode, so that nobody can put a file into it before it is closed.
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
    except OSError as error:
        raise StateError(f"{directory}: cannot be created ({error.strerror}); choose another node.state") from error


def _check_directory(directory: Path, *, create: bool) -> None:
    try:
        found = directory.stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and not create
        cure = "run `syncer init`" if missing else "check node.state in the configuration"
        raise StateError(f"{directory}: cannot be opened ({error.strerror}); {cure}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{directory}: is not a directory; choose another node.state")
    if found.st_uid != os.geteuid():
        raise StateError(
            f"{directory}: belongs to user {found.st_uid}, this process runs as user {os.geteuid()}; "
            "run as that user, or give the directory to this one"
        )
    if found.st_mode & 0o022:
        raise StateError(f"{directory}: other users can write there; run `chmod 700 {directory}`")


def _prepare_file(path: Path, *, create: bool) -> None:
    """Make sure that the file is there, ours alone; SQLite gives its companions the same mode."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError as error:
        raise StateError(f"{path}: this node has no state yet; run `syncer init`") from error
    except OSError as error:
        raise StateError(f"{path}: cannot be opened ({error.strerror}); check its owner and mode") from error
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    if create:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # CRASH: the name node.db must survive a power failure as its content does.
            os.fsync(directory)
        finally:
            os.close(directory)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -8000")


def _check_integrity(connection: sqlite3.Connection) -> None:
    findings = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise sqlite3.DatabaseError("; ".join(findings))


def _migrate(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    """Run the migrations that this file lacks, and make the node's identity where it is new."""
    scripts = scripts_of("syncer.state")

    def check(version: int) -> None:
        _check_version(path, version, len(scripts), create=create)

    with migrating(connection, scripts, check) as version:
        if version == 0:
            connection.execute("INSERT INTO node (id, node_id) VALUES (1, ?)", (str(uuid.uuid4()),))


def _check_version(path: Path, version: int, known: int, *, create: bool) -> None:
    if version > known:
        raise StateError(
            f"{path}: was written by a newer syncer (schema {version}, this one knows {known}); "
            "update syncer, or restore a backup made by this version"
        )
    if version == 0 and not create:
        raise StateError(f"{path}: is empty; restore a backup, or run `syncer init` where the node is new")


def _explained(path: Path, error: sqlite3.Error) -> StateError:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StateError(
            f"{path}: another process has held it for over {BUSY_SECONDS:.0f} s; end that one and try again"
        )
    if code.startswith("SQLITE_FULL"):
        return StateError(f"{path}: no space is left on its disk; free some, nothing of the change was kept")
    if code.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StateError(f"{path}: cannot be read or written ({error}); check the disk and the file's mode")
    return StateError(f"{path}: is damaged ({error}); stop syncer and restore a backup of it")
