"""Brings a SQLite file up to date: runs the numbered scripts that it lacks, all in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources


def scripts_of(package: str) -> list[str]:
    """Return a package's migrations in order: its sql/*.sql, whose names count up from 0001 without gaps."""
    folder = resources.files(package).joinpath("sql")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [folder.joinpath(name).read_text("utf-8") for name in names]


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations a file has had; 0 for an empty one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def migrating(
    connection: sqlite3.Connection, scripts: Sequence[str], check: Callable[[int], None] = lambda version: None
) -> Iterator[int]:
    """Run the `scripts` that the file lacks, then the body, as one transaction; yields the version of before.

    `check` is told that version first, and raises where the file must be left alone. Raises sqlite3.Error, too; an
    error leaves the file as it was.
    """
    # RACE: the version is read under the write lock, so that two processes cannot both migrate.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)
        check(version)
        for script in scripts[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        yield version
        # Not bindable; the number is our own.
        connection.execute(f"PRAGMA user_version = {len(scripts)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """Split a script, since sqlite3's executescript would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
