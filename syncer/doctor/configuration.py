"""The configuration: what is allowed but probably not meant, and who else could change it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from syncer.config import warnings_of
from syncer.config.secret import SecretError, read_secret
from syncer.doctor.findings import Finding, broken, fine, warned
from syncer.doctor.subject import Subject


def configuration(subject: Subject) -> Iterator[Finding]:
    """Yield what is odd about syncer.toml and the files with secrets that it names; it is valid, or nobody got here."""
    file = subject.settings.source
    secrets = tuple(f"{file}: {secret} " for secret in subject.settings.secret_files)
    # Roots are looked at more closely elsewhere, files with secrets below.
    odd = [found for found in warnings_of(subject.settings) if ".path: " not in found and not found.startswith(secrets)]
    for warning in odd:
        what, _, cure = warning.removeprefix(f"{file}: ").rpartition(": ")
        yield warned(what, str(file), cure)
    loose = list(_open_to_others(file))
    yield from loose
    for secret in subject.settings.secret_files:
        yield from _secret(secret)
    if not odd and not loose:
        domains, targets = len(subject.settings.domains), len(subject.settings.failover)
        yield fine(f"valid, {_counted(domains, 'domain')}, {_counted(targets, 'target')}", str(file))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _open_to_others(file: Path) -> Iterator[Finding]:
    """The configuration names commands that run as the agent: who can write it is that user."""
    for path in (file, file.parent):
        try:
            found = path.stat()
        except OSError as error:
            yield broken(f"cannot be looked at ({error.strerror})", str(path), "let the user that runs syncer read it")
            continue
        is_shared = bool(found.st_mode & stat.S_ISVTX) and path is not file
        if found.st_mode & 0o022 and not is_shared:
            what = "other users can write here, and so have commands run as the agent's user"
            yield broken(what, str(path), f"run `chmod go-w {path}`")
        elif found.st_uid not in (0, os.geteuid()):
            what = f"belongs to user {found.st_uid}, who can have commands run as the agent's user"
            yield warned(what, str(path), "give it to root, or to the agent's user")


def _secret(path: Path) -> Iterator[Finding]:
    try:
        read_secret(path)
    except SecretError as error:
        what, _, cure = str(error).removeprefix(f"{path} ").partition(": ")
        yield broken(f"this secret {what}", str(path), cure)
