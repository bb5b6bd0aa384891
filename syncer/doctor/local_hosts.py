"""Tells addresses and names that lead to the machine itself, as connection strings write them (pure)."""

from __future__ import annotations

import re
from ipaddress import ip_address

_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "loopback"}
)
_LOOPBACK = re.compile(r"127(?:\.\d{1,3}){1,3}")
_WITH_PORT = re.compile(r"(?P<host>[^:,\s]+)(?:[:,](?P<port>\d{1,5}))?")
_BRACKETED = re.compile(r"\[(?P<host>[0-9A-Fa-f:.]+)(?:%\w+)?\](?::(?P<port>\d{1,5}))?")
_PROTOCOL = re.compile(r"(?:tcp|np|lpc|admin|unix|inet|p):(?!:)", re.IGNORECASE)
_SQL_SERVER = re.compile(
    r"(?P<host>\(local\)|\(localdb\)|\.|localhost|127(?:\.\d{1,3}){3})\\{1,2}(?P<instance>[\w$#@]+)", re.IGNORECASE
)
_PIPE = re.compile(r"\\{2,4}\.\\{1,2}pipe\\", re.IGNORECASE)
_SERVERS = r"mysqlx?d?|mariadbd?|postgres(?:ql)?|pgbouncer|pgpool|redis(?:-server)?|valkey|mongodb?|memcached|firebird"
_PATH = re.compile(r"(?<![\w./-])/[\w.@+/-]{1,250}")
_SERVER = re.compile(rf"(?:{_SERVERS})", re.IGNORECASE)
_POSTGRES = ".s.pgsql."
_SOCKET_DIRECTORY = re.compile(rf"/(?:var/)?(?:run|tmp|lib)/(?:{_SERVERS})/?", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Tell whether a host's name or address, without a port, is this machine's own."""
    name = host.strip().rstrip(".").lower()
    if name in _NAMES or name.endswith(".localhost") or _LOOPBACK.fullmatch(name):
        return True
    try:
        address = ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def local_in(value: str) -> str:
    """Return the address that a value names, where it leads to this machine; "" where it does not, or is none."""
    value = value.strip().strip("\"'")
    plain = _PROTOCOL.sub("", value, count=1)
    if _PIPE.match(plain):
        return "a named pipe"
    named = _SQL_SERVER.match(plain)
    if named is not None:
        return f"{named['host']}\\{named['instance']}"
    if plain.lower() in (".", "(local)", "(localdb)"):
        return plain
    if plain.startswith("/"):
        directory = _SOCKET_DIRECTORY.fullmatch(plain)
        return plain if directory is not None else socket_in(plain)
    if plain.count(":") > 1 and is_local(plain):
        return plain
    for pattern in (_BRACKETED, _WITH_PORT):
        match = pattern.fullmatch(plain)
        if match is not None and is_local(match["host"]):
            return plain
    return ""


def socket_in(text: str) -> str:
    """Return the path of a database server's Unix socket that `text` names; "" where it names none."""
    for found in _PATH.finditer(text):
        path = found[0].rstrip(".")
        is_socket = path.lower().endswith((".sock", ".socket"))
        if _POSTGRES in path.lower() or (is_socket and _SERVER.search(path)):
            return path
    return ""
