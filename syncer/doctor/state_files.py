"""The node's own state: its directory, node.db, the identity, and room on their disk."""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from syncer.doctor.findings import Finding, broken, fine, noted, warned
from syncer.doctor.subject import Subject
from syncer.errors import IdentityError, StateError
from syncer.model import Mode
from syncer.state.store import FILE_NAME
from syncer.trust import identity

ROOM = 64 << 20
"""Bytes below which a disk counts as nearly full."""
EXPIRES_SOON = dt.timedelta(days=30)


def state_files(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the state directory and what lies in it."""
    directory = subject.settings.node.state
    try:
        found = directory.stat()
    except OSError as error:
        cure = "run `syncer init`" if isinstance(error, FileNotFoundError) else "check node.state in the configuration"
        yield broken(f"cannot be opened ({error.strerror})", str(directory), cure)
        return
    yield from _directory(directory, found)
    yield from _database(subject)
    yield from _identity(subject)
    yield from room(directory)


def _directory(directory: Path, found: os.stat_result) -> Iterator[Finding]:
    where = str(directory)
    if not stat.S_ISDIR(found.st_mode):
        yield broken("is not a directory", where, "choose another node.state")
    elif found.st_uid != os.geteuid():
        what = f"belongs to user {found.st_uid}, this process runs as user {os.geteuid()}"
        yield broken(what, where, "run syncer as that user, or give the directory to this one")
    elif found.st_mode & 0o022:
        yield broken("other users can write there", where, f"run `chmod 700 {where}`")
    elif found.st_mode & 0o077:
        yield warned("other users can look into it", where, f"run `chmod 700 {where}`")
    else:
        yield fine(f"mode {stat.S_IMODE(found.st_mode):04o}, ours alone", where)


def _database(subject: Subject) -> Iterator[Finding]:
    found, path = subject.stored, subject.settings.node.state / FILE_NAME
    if isinstance(found, StateError):
        yield broken(*_split(found, str(path)))
        return
    if found.damage:
        what = f"is damaged ({'; '.join(found.damage)})"
        yield broken(what, str(path), "stop syncer and restore a backup of it")
    elif found.schema > found.known_schema:
        what = f"was written by a newer syncer (schema {found.schema}, this one knows {found.known_schema})"
        yield broken(what, str(path), "update syncer, or restore a backup made by this version")
    else:
        yield fine("whole", str(path))
    if path.stat().st_mode & 0o077:
        yield warned("other users can read it", str(path), f"run `chmod 600 {path}`")
    if found.mode is Mode.FENCED:
        what = "is fenced: it has seen a higher term, so it neither sends nor receives"
        yield warned(what, f"node {subject.settings.node.name}", "see `syncer status`")
    elif found.mode is not None and found.mode is not subject.settings.node.mode:
        what = f"runs as {found.mode.value}, since it was promoted or demoted; configured to start as"
        yield noted(f"{what} {subject.settings.node.mode.value}", f"node {subject.settings.node.name}")


def _identity(subject: Subject) -> Iterator[Finding]:
    directory = subject.settings.node.state
    node_id = None if isinstance(subject.stored, StateError) else subject.stored.node_id
    try:
        own = identity.load(directory, node_id)
    except IdentityError as error:
        yield broken(*_split(error, str(directory / identity.CERTIFICATE_NAME)))
        return
    yield from validity(own.certificate_pem, str(directory / identity.CERTIFICATE_NAME), dt.datetime.now(dt.UTC))


def validity(pem: bytes, where: str, now: dt.datetime) -> Iterator[Finding]:
    """Yield whether a certificate is valid at `now`: TLS refuses it otherwise."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield broken(f"is valid only from {begin:%Y-%m-%d} on", where, "set this machine's clock right")
    elif now > end:
        yield broken(f"was valid until {end:%Y-%m-%d}", where, "set this machine's clock right, or pair it anew")
    elif now + EXPIRES_SOON > end:
        yield warned(f"is valid only until {end:%Y-%m-%d}", where, "pair this node anew before")
    else:
        yield fine(f"key and certificate fit, valid until {end:%Y-%m-%d}", where)


def room(directory: Path) -> Iterator[Finding]:
    """Yield whether the file system of `directory` is nearly full, or cannot be written."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        yield broken(f"its file system cannot be looked at ({error.strerror})", str(directory), "check the disk")
        return
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        yield broken("its file system is mounted read-only", str(directory), "mount it for writing")
    elif found.f_blocks and free < ROOM:
        yield warned(f"only {free >> 20} MiB are free on its file system", str(directory), "free some space")
    elif found.f_files and not found.f_favail:
        yield broken("its file system has no room for another file (inodes)", str(directory), "remove some files")


def _split(error: Exception, where: str) -> tuple[str, str, str]:
    """Return an error's sentence as (what, where, cure)."""
    what, _, cure = str(error).rpartition("; ")
    path, colon, rest = what.partition(": ")
    return (rest, path, cure) if colon and path.startswith("/") else (what or cure, where, cure if what else "")
