"""Looks into node.db without changing anything: no migration, no lock that keeps an agent from starting."""

from __future__ import annotations

import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from syncer.errors import StateError
from syncer.model import Mode
from syncer.state.peers import Peer
from syncer.state.store import FILE_NAME

BUSY_SECONDS = 5.0
_ATTEMPTS = 3
_WITH_REACH = 18
"""The schema in which nodes say where they are."""


class Inspected(NamedTuple):
    """What node.db holds of what a preflight needs."""

    node_id: str
    mode: Mode | None
    schema: int
    known_schema: int
    """The schema that this version of syncer writes."""
    damage: tuple[str, ...]
    """What is wrong with the file; () where it is whole."""
    peers: tuple[Peer, ...]
    targets: dict[str, str]
    """The node_id of each target that was joined, by its name."""
    owners: tuple[str, ...]
    """Users of production that own what was received."""
    groups: tuple[str, ...]
    sources: dict[str, str]
    """The node_id that each domain was received from."""
    ways: dict[str, tuple[int, tuple[str, ...]]]
    """The port (0: none was said) and the hosts at which each node is looked for, the likeliest first, by node_id."""


def inspect(directory: Path) -> Inspected:
    """Return what `directory`/node.db holds. Raises StateError where it cannot be read at all."""
    path = directory / FILE_NAME
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise StateError(f"{path}: is not a file; restore a backup of it")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        cure = "run `syncer init`" if missing else "run this as the user of the agent"
        raise StateError(f"{path}: cannot be read ({error.strerror}); {cure}") from error
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            found = _read(path)
        except sqlite3.Error as error:
            # RACE: an agent that starts or stops meanwhile makes and removes the log beside the file.
            if attempt == _ATTEMPTS:
                raise StateError(f"{path}: cannot be read ({error}); restore a backup of it") from error
            continue
        if not found.damage or attempt == _ATTEMPTS:
            return found
    raise AssertionError("the last attempt returns or raises")


def _read(path: Path) -> Inspected:
    with _opened(path) as reader:
        damage = tuple(str(row[0]) for row in reader.execute("PRAGMA quick_check(3)") if row[0] != "ok")
        schema: int = reader.execute("PRAGMA user_version").fetchone()[0]
        node_id, mode = reader.execute("SELECT node_id, mode FROM node").fetchone() or ("", None)
        columns = "node_id, name, certificate_pem, fingerprint, paired_at"
        return Inspected(
            node_id,
            None if mode is None else Mode(mode),
            schema,
            _known_schema(),
            damage,
            tuple(Peer(*row) for row in reader.execute(f"SELECT {columns} FROM peer ORDER BY node_id")),  # noqa: S608  # our own column names, no input
            dict(reader.execute("SELECT name, node_id FROM target")),
            tuple(row[0] for row in reader.execute("SELECT DISTINCT owner FROM base WHERE owner <> '' ORDER BY 1")),
            tuple(
                row[0]
                for row in reader.execute("SELECT DISTINCT group_name FROM base WHERE group_name <> '' ORDER BY 1")
            ),
            dict(reader.execute("SELECT domain, source_node FROM standing WHERE source_node <> ?", (node_id,))),
            _ways(reader) if schema >= _WITH_REACH else {},
        )


def _ways(reader: sqlite3.Connection) -> dict[str, tuple[int, tuple[str, ...]]]:
    ports: dict[str, int] = {}
    found: dict[str, dict[str, None]] = {}
    for node_id, port, came_from in reader.execute("SELECT node_id, port, came_from FROM peer_reach"):
        ports[node_id] = port
        found[node_id] = dict.fromkeys([came_from] if came_from else [])
    for node_id, address in reader.execute("SELECT node_id, address FROM peer_address ORDER BY address"):
        found.setdefault(node_id, {})[address] = None
    return {node_id: (ports.get(node_id, 0), tuple(hosts)) for node_id, hosts in found.items()}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    log = path.with_name(path.name + "-wal")
    # Without a log nobody has it open, and then even a reader would make one, unless told that nothing moves.
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    connection = sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?{how}", uri=True, timeout=BUSY_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _known_schema() -> int:
    folder = resources.files("syncer.state").joinpath("sql")
    return sum(1 for item in folder.iterdir() if item.name.endswith(".sql"))
