"""Tells by the names of keys, sections and blocks whether a value is the address of a database (pure)."""

from __future__ import annotations

import re

DEEPEST = 32
"""Blocks within each other that are remembered."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_DATABASE = _set(
    "db database databases datasource datasources dbms rdbms dsn jdbc odbc sql mysql mysqli mariadb postgres "
    "postgresql pgsql pg psql mongo mongodb redis mssql sqlserver sqlsrv oracle couchdb cassandra clickhouse dbconfig "
    "dbhost dbserver dbaddress dbhostname pghost pghostaddr mysqlhost redishost mongohost hibernate"
)
_HOST = _set(
    "host hosts hostname hostaddr server servers servername address addr socket url uri endpoint endpoints dsn dbhost "
    "dbserver dbhostname dbaddress pghost pghostaddr mysqlhost redishost mongohost unixsocket"
)
_HOST_ALONE = _set("host hosts hostname hostaddr server servername address addr socket unixsocket endpoint")
_NOT_A_CLIENTS = _set(
    "bind listen listener allow allowed deny trusted accept advertise announce permit whitelist allowlist acl admin "
    "proxy smtp mail ldap statsd syslog http web"
)
"""Words of keys that say who may come, or where something else is."""
_BESIDE = re.compile(
    r"(?<![\w.-])(?:database|initial catalog|initialcatalog|dbname|db_name|db|databasename|uid|user id|userid|pwd"
    r"|driver|provider|integrated security|trusted_connection|sslmode|attachdbfilename|multipleactiveresultsets)\s*=",
    re.IGNORECASE,
)
_BASE_NAMES = frozenset({"database", "databasename", "dbname", "initialcatalog"})
_SECTION = re.compile(r"^\s*\[{1,2}\s*[\"']?([\w .:/\"'-]+?)[\"']?\s*\]{1,2}\s*(?:[#;].*)?$")
_BLOCK = re.compile(
    r"^(?P<indent>\s*)(?:-\s+)?[\"'<$]*(?P<key>[A-Za-z][\w.-]{0,80})[^:=>{\[]{0,40}"
    r"(?::\s*(?:[{\[|>&][^\"']*)?|(?:=>|=)\s*(?:[{\[]|array\s*\()\s*|\s*\{\s*|>\s*)$"
)
_SERVER_SECTIONS = _set("mysqld mysqld_safe mariadbd mariadb mysql.server client-server")
"""Sections of a database server's own configuration."""


def words_of(name: str) -> list[str]:
    """Return the words of a key in small letters: `dbHost`, `DB_HOST` and `db.host` have the same."""
    return [word.lower() for word in _WORDS.findall(name)]


def names_database(name: str) -> bool:
    """Tell whether a name says that something is a database's."""
    words = words_of(name)
    joined = "".join(words)
    return not _NOT_A_CLIENTS.intersection(words) and (bool(_DATABASE.intersection(words)) or joined in _DATABASE)


def names_host(name: str, *, alone: bool) -> bool:
    """Tell whether a key's value is a host, address or socket; `alone`: only its surroundings name a database."""
    words = words_of(name)
    if _NOT_A_CLIENTS.intersection(words):
        return False
    if alone:
        return "".join(words) in _HOST_ALONE or (len(words) == 2 and words[-1] in ("host", "hostname"))
    return bool(_HOST.intersection(words)) or "".join(words) in _HOST


def is_name_of_database(key: str) -> bool:
    """Tell whether a key's value is what a database is called: a host beside it is that database's."""
    return "".join(words_of(key)) in _BASE_NAMES


def has_words_of_connecting(text: str) -> bool:
    """Tell whether a line has words that only a connection string has beside its host."""
    return _BESIDE.search(text) is not None


class Context:
    """In which section and blocks a line stands; blocks are told by their indentation."""

    def __init__(self) -> None:
        """Nothing surrounds the first line."""
        self._section = ""
        self._number = 0
        self._blocks: list[tuple[int, str, int]] = []

    @property
    def is_server(self) -> bool:
        """Tell whether this is the configuration of a database server itself."""
        return self._section.lower() in _SERVER_SECTIONS

    @property
    def name(self) -> str:
        """What names the surroundings a database; "" where nothing does."""
        named = [key for _, key, _ in self._blocks if names_database(key)]
        if named:
            return named[-1]
        return self._section if self._section and names_database(self._section) else ""

    @property
    def is_database(self) -> bool:
        """Tell whether the surroundings are a database's."""
        return bool(self.name)

    def enter(self, text: str) -> int:
        """Take in a line; returns the number of the section or block that it stands in."""
        section = _SECTION.match(text)
        if section is not None:
            self._number += 1
            self._section, self._blocks = section[1], [(-1, "", self._number)]
            return self._number
        indent = len(text) - len(text.lstrip())
        while self._blocks and self._blocks[-1][0] >= indent:
            self._blocks.pop()
        inside = self._blocks[-1][2] if self._blocks else 0
        block = _BLOCK.match(text)
        if block is not None and len(self._blocks) < DEEPEST:
            self._number += 1
            self._blocks.append((indent, block["key"], self._number))
        return inside
