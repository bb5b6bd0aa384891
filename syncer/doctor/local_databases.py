"""Finds database addresses in a configuration file that lead to the machine it lies on (pure).

A line counts where it names a database, by a scheme (`jdbc:mysql://`), by the words of a connection string
(`Server=…;Database=…`), by the name of its key or of the section or block it stands in (`db_host`, `[database]` with
`host`), by a key beside it (`dbname`), or by the path of a database's socket. An address alone is none: `listen
127.0.0.1:80` says nothing of a database. What is returned is the address alone, never the line, which may hold a
password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from syncer.doctor.key_context import (
    Context,
    has_words_of_connecting,
    is_name_of_database,
    names_database,
    names_host,
)
from syncer.doctor.local_hosts import local_in, socket_in

LONGEST_LINE = 4096
"""Characters of a line that are looked at."""
FOUND_MOST = 20
"""Findings of one file; the rest would say the same."""
BLOCKS_MOST = 1000
PAIRS_MOST = 50
"""Keys of one line."""


class LocalAddress(NamedTuple):
    """An address that only this machine's own services reach."""

    line: int
    """From 1."""
    address: str
    """Host with port, or socket, without anything else of the line."""
    what: str
    """What names it a database's, such as `jdbc:mysql` or `db_host`."""


_SCHEMES = (
    r"postgres(?:ql)?|mysqlx?|mariadb|mongodb|rediss?|redis-sentinel|mssql|sqlserver|jtds|oracle|oci8?|db2|clickhouse"
    r"|cassandra|couchdb|cockroach(?:db)?|firebird|sybase|pgsql|ibase|memcached?|neo4j|influxdb|h2|hsqldb|derby"
)
_URL = re.compile(
    rf"(?<![\w.-])(?P<scheme>(?:jdbc:)?(?:{_SCHEMES})(?:[:+]\w+){{0,3}})(?::|:@)?@?//(?P<rest>[^\s\"'<>`;|]*)",
    re.IGNORECASE,
)
_THIN = re.compile(
    r"(?<![\w.-])(?P<scheme>jdbc:oracle:(?:thin|oci8?)):[^@\s]{0,200}@(?!//)(?P<rest>[^\s\"'<>`;,]*)", re.IGNORECASE
)
_BARE_JDBC = re.compile(
    r"(?<![\w.-])(?P<scheme>jdbc:postgresql):(?P<rest>[A-Za-z_][\w.-]*)(?=[\s\"'<?]|$)", re.IGNORECASE
)
_PDO = re.compile(
    r"(?<![\w.-])(?P<scheme>pgsql|mysql|sqlsrv|dblib|odbc|firebird|oci):(?=[^/\s])(?P<rest>[^\"'<>`]*)", re.IGNORECASE
)
_UNIX_URL = re.compile(
    r"(?<![\w.-])(?P<scheme>rediss?\+(?:socket|unix)|unix)://(?P<rest>/[^\s\"'<>`,;?]*)", re.IGNORECASE
)
_ASKED = re.compile(r"[?&](?:host|unix_socket|unixSocket|socket)=([^&#]+)")
_GO = re.compile(r"@(?P<kind>tcp|tcp6|unix)\((?P<rest>[^()\s]{1,256})\)/", re.IGNORECASE)
_TNS = re.compile(r"\(\s*protocol\s*=\s*(?:tcps?|ipc)\s*\)", re.IGNORECASE)
"""Only an address of Oracle's is written so."""
_LOCAL_WORD = r"\(local(?:db)?\)[^\s;\"',)]*"
_PAIR = re.compile(
    r"(?<![\w.-])(?P<key>server|data ?source|addr|address|network address|host|hostname|servername|unix_socket)"
    rf"\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|{_LOCAL_WORD}|[^\s;\"',)]+)",
    re.IGNORECASE,
)
_SPACED = re.compile(
    r"^\s*(?:export\s+|set\s+|-\s+)?(?P<key>[A-Za-z][\w.\-]{0,80})\s+(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;]+)\s*;?\s*$"
)
_ASSIGNED = re.compile(
    r"(?<![\w.-])(?P<key>[A-Za-z][\w.\-]{0,80})(?:[\"'\]}]{0,3}\s*(?:=>|:=|=|:(?!:)|,)\s*|>\s*)"
    rf"(?P<value>\"[^\"]*\"|'[^']*'|{_LOCAL_WORD}|[^\s,;)}}\"'<>]+)"
)
_MAYBE = re.compile(
    r"local|127\.|:0*1\b|\.sock|\.s\.pgsql|=\s*[\"']?\.(?:\\|[;,\"']|$)|pipe\\|/run/|/tmp/|/lib/|//|jdbc\\?:",
    re.IGNORECASE,
)
"""What has none of this is no address that is looked for."""
_MAYBE_NAMED = re.compile(r"database|db.?name|initial.?catalog", re.IGNORECASE)
"""What has none of this is no name of a database either."""
_COMMENT = re.compile(r"^\s*(?:#|;|//|--|<!--|\*|/\*|rem\s)", re.IGNORECASE)
_TRAILING = re.compile(r"\s(?:#|//)\s.*$")
_HERE_BY_DEFAULT = frozenset({"postgres", "postgresql", "mysql", "mariadb", "pgsql"})
"""Schemes whose clients take this machine where no host is named."""


def local_addresses(lines: Iterable[str]) -> Iterator[LocalAddress]:
    """Yield what is found, at most FOUND_MOST, in about the order of the lines."""
    return islice(_found(lines), FOUND_MOST)


def _found(lines: Iterable[str]) -> Iterator[LocalAddress]:
    context, beside = Context(), _Beside()
    for number, line in enumerate(lines, 1):
        text = line[:LONGEST_LINE].rstrip("\r\n")
        if not text.strip() or _COMMENT.match(text):
            continue
        block = context.enter(text)
        if context.is_server:
            continue
        may_be_local = _MAYBE.search(text) is not None
        if not may_be_local and not _MAYBE_NAMED.search(text):
            continue
        pairs = list(_pairs(text))
        if any(is_name_of_database(key) for key, _ in pairs):
            yield from beside.named(block)
        if not may_be_local:
            continue
        sure = _in_line(number, text, pairs, context)
        if sure is not None:
            yield sure
            continue
        unsure = _host_alone(number, pairs)
        if unsure is not None:
            yield from beside.host(block, unsure)


class _Beside:
    """Hosts that are a database's only where a key beside them names one."""

    def __init__(self) -> None:
        self._named: set[int] = set()
        self._waiting: dict[int, LocalAddress] = {}

    def named(self, block: int) -> list[LocalAddress]:
        """A key in this block names a database; returns the host that waited for it."""
        if len(self._named) < BLOCKS_MOST:
            self._named.add(block)
        item = self._waiting.pop(block, None)
        return [item] if item is not None else []

    def host(self, block: int, item: LocalAddress) -> list[LocalAddress]:
        """Return a host where its block is known to be a database's, else have it wait."""
        if block in self._named:
            return [item]
        if len(self._waiting) < BLOCKS_MOST:
            self._waiting.setdefault(block, item)
        return []


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a line says of which key."""
    spaced = _SPACED.match(text)
    if spaced is not None:
        yield spaced["key"], spaced["value"]
    for match in islice(_ASSIGNED.finditer(text), PAIRS_MOST):
        yield match["key"], match["value"]


def _in_line(number: int, text: str, pairs: list[tuple[str, str]], context: Context) -> LocalAddress | None:
    # Java's properties files escape colons and equal signs.
    text = _TRAILING.sub("", text).replace("\\:", ":").replace("\\=", "=").replace("&amp;", "&").replace("&quot;", '"')
    for look in (_in_url, _in_go, _in_connection_string, _in_socket):
        found = look(text)
        if found is not None:
            return LocalAddress(number, *found)
    for key, value in pairs:
        is_database = names_database(key)
        if names_host(key, alone=not is_database) and (is_database or context.name):
            address = local_in(value)
            if address:
                return LocalAddress(number, address, key if is_database else f"{context.name} {key}")
    return None


def _host_alone(number: int, pairs: list[tuple[str, str]]) -> LocalAddress | None:
    found = ((local_in(value), key) for key, value in pairs if names_host(key, alone=True))
    return next((LocalAddress(number, address, key) for address, key in found if address), None)


def _in_url(text: str) -> tuple[str, str] | None:
    for pattern, read in _READERS:
        for match in pattern.finditer(text):
            scheme = match["scheme"].lower()
            address = read(scheme, match["rest"])
            if address:
                return address, scheme
    return None


def _of_url(scheme: str, rest: str) -> str:
    """Return the local address that a URL leads to; "" where it leads elsewhere."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    asked = _ASKED.search(rest[len(authority) :])
    if asked is not None:
        return local_in(unquote(asked[1]))
    hosts = authority.rpartition("@")[2]
    if not hosts:
        family = re.split(r"[+:]", scheme.removeprefix("jdbc:"), maxsplit=1)[0]
        return "localhost" if family in _HERE_BY_DEFAULT else ""
    return next((address for host in hosts.split(",") if (address := local_in(unquote(host)))), "")


def _of_thin(_: str, rest: str) -> str:
    # host:port:sid
    return local_in(":".join(rest.split(":")[:2]))


def _of_pdo(_: str, rest: str) -> str:
    return next((address for pair in _PAIR.finditer(rest) if (address := local_in(pair["value"]))), "")


def _of_socket_url(scheme: str, rest: str) -> str:
    return rest if scheme != "unix" else socket_in(rest)


_READERS = (
    (_UNIX_URL, _of_socket_url),
    (_URL, _of_url),
    (_THIN, _of_thin),
    (_BARE_JDBC, lambda scheme, rest: "localhost"),
    (_PDO, _of_pdo),
)


def _in_go(text: str) -> tuple[str, str] | None:
    for match in _GO.finditer(text):
        address = match["rest"] if match["kind"].lower() == "unix" else local_in(match["rest"])
        if address:
            return address, "a connection string"
    return None


def _in_connection_string(text: str) -> tuple[str, str] | None:
    """Look for `Server=…;Database=…` and its like, where the line has other words of a connection string."""
    for match in _PAIR.finditer(text):
        value = match["value"].strip("\"'")
        address = local_in(value)
        # What only SQL Server writes so needs no other word.
        is_known = has_words_of_connecting(text) or _TNS.search(text)
        if address and (is_known or address.startswith(("(local", ".\\"))):
            return address, f"`{match['key'].lower()}` of a connection string"
    return None


def _in_socket(text: str) -> tuple[str, str] | None:
    found = socket_in(text)
    return (found, "a database's socket") if found else None
