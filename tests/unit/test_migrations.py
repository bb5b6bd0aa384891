"""Migrations run once and in order, all of what a file lacks or none of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncer.migrations import migrating, scripts_of, version_of

FIRST = "CREATE TABLE first (a TEXT) STRICT;\n"
LATER = "-- a comment; with a semicolon\nCREATE TABLE later (a TEXT) STRICT;\nINSERT INTO later VALUES ('x;y');\n"
BROKEN = "CREATE TABLE broken (a TEXT);\nBROKEN;\n"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file that has had one migration."""
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as opened:
        with migrating(opened, [FIRST]) as version:
            assert version == 0
        yield opened


def tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]


def test_migrations_run_once_and_in_order(connection: sqlite3.Connection) -> None:
    for before in (1, 2):
        with migrating(connection, [FIRST, LATER]) as version:
            assert version == before
        assert connection.execute("SELECT a FROM later").fetchall() == [("x;y",)]
        assert version_of(connection) == 2


def test_a_migration_that_fails_takes_those_before_it_along(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError), migrating(connection, [FIRST, LATER, BROKEN]):
        raise AssertionError("the body runs only once all have run")
    assert (tables(connection), version_of(connection)) == (["first"], 1)


def test_a_body_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    with pytest.raises(KeyError), migrating(connection, [FIRST, LATER]):
        raise KeyError
    assert (tables(connection), version_of(connection)) == (["first"], 1)


def test_a_file_that_its_check_refuses_is_left_alone(connection: sqlite3.Connection) -> None:
    def refuse(version: int) -> None:
        raise ValueError(f"{version} is refused")

    with pytest.raises(ValueError, match="1 is refused"), migrating(connection, [FIRST, LATER], refuse):
        raise AssertionError("the body must not run")
    assert (tables(connection), version_of(connection)) == (["first"], 1)


@pytest.mark.parametrize("package", ["syncer.state", "syncer.index"])
def test_migrations_are_numbered_without_gaps(package: str) -> None:
    folder = Path(__file__).parents[2] / package.replace(".", "/") / "sql"
    names = sorted(path.name for path in folder.glob("*.sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert len(scripts_of(package)) == len(names)
