"""Database addresses in the domains' files that the other server will not reach."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from syncer.config import DomainSettings
from syncer.doctor.findings import Finding, fine, noted, warned
from syncer.doctor.local_databases import LocalAddress, local_addresses
from syncer.doctor.subject import Subject

FINDINGS_MOST = 20
"""Of one domain; the rest is counted."""
FILES_MOST = 50_000
FILE_BYTES = 1 << 20
"""Of one file that are read; settings come first."""
SECONDS_MOST = 15.0
"""For one domain."""
_BEGINNING = 4096
_SERVERS_OWN = (
    *("my.cnf", "my.ini", "mysqld.cnf", "mariadb.cnf", "50-server.cnf", "redis.conf", "valkey.conf", "sentinel.conf"),
    *("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "mongod.conf", "mongos.conf"),
    *("memcached.conf", "pgbouncer.ini", "listener.ora"),
)
"""Files of database servers themselves: what they listen on is no address of a client."""
_NO_TEXT = (".pem", ".crt", ".key", ".gz", ".zip", ".jar", ".png", ".jpg", ".so", ".db", ".sqlite", ".mo", ".pyc")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Looked(NamedTuple):
    files: int
    found: list[tuple[str, LocalAddress]]
    cut: str
    """Why not all was looked at; "" where it was."""


def databases(subject: Subject) -> Iterator[Finding]:
    """Yield each database address that is local to a machine, with file and line; never the line itself."""
    for domain in subject.domains:
        looked = _look(subject, domain)
        for path, item in looked.found[:FINDINGS_MOST]:
            yield _finding(subject, path, item)
        where = f"domain {domain.name}"
        more = len(looked.found) - FINDINGS_MOST
        if more > 0:
            say = noted if subject.receives else warned
            yield say(f"{more:,} more database addresses that are local to a machine", where, "cure those above first")
        if looked.cut:
            yield noted(f"was not searched wholly for database addresses: {looked.cut}", where, "look yourself")
        elif not looked.found and looked.files:
            yield fine(f"no database address that is local to a machine ({looked.files:,} files)", where)


def _finding(subject: Subject, path: str, item: LocalAddress) -> Finding:
    where = f"{path} line {item.line}"
    what = f"names the database at {item.address} ({item.what}), which is local to a machine"
    if subject.receives:
        return noted(
            f"{what}: after a failover this node looks for it on itself", where, "have one there, or correct it"
        )
    cure = "name an address that both servers reach, or have a substitution rule for it"
    return warned(f"{what}: the other server will not reach it", where, cure)


def _look(subject: Subject, domain: DomainSettings, clock: Callable[[], float] = time.monotonic) -> _Looked:
    until = clock() + SECONDS_MOST
    found: list[tuple[str, LocalAddress]] = []
    files = 0
    for path in _files(subject, domain):
        if files >= FILES_MOST:
            return _Looked(files, found, f"it has more than {FILES_MOST:,} files")
        if clock() > until:
            return _Looked(files, found, f"it took longer than {SECONDS_MOST:g} s")
        text = _text(path)
        if text is not None:
            files += 1
            found += [(path, item) for item in local_addresses(text.splitlines())]
    return _Looked(files, found, "")


def _files(subject: Subject, domain: DomainSettings) -> Iterator[str]:
    """Yield the synchronized files of a domain that may hold settings, in a steady order."""
    scope = subject.coverage.scope(domain.name)
    waiting = [(str(domain.path), b"")]
    while waiting:
        directory, relative = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                here = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            # Another check says what cannot be read.
            continue
        for entry in here:
            path = relative + b"/" + os.fsencode(entry.name) if relative else os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if scope.may_descend(path):
                    waiting.append((entry.path, path))
            elif entry.is_file(follow_symlinks=False) and scope.wants(path, is_directory=False):
                name = entry.name.lower()
                if name not in _SERVERS_OWN and not name.endswith(_NO_TEXT):
                    yield entry.path


def _text(path: str) -> str | None:
    """Return the beginning of a file as text; None where it is none, or cannot be read."""
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            beginning = file.read(_BEGINNING)
            if b"\0" in beginning:
                return None
            return (beginning + file.read(FILE_BYTES - len(beginning))).decode("utf-8", "replace")
        except OSError:
            return None
