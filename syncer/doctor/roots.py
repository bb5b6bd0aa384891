"""The domains' roots: there, readable, on a file system that holds what production's holds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from syncer.capture.mounts import remote_kind
from syncer.config import DomainSettings
from syncer.doctor.findings import Finding, broken, fine, noted, warned
from syncer.doctor.state_files import room
from syncer.doctor.subject import Subject

_NAMES_SHOWN = 3


def roots(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with each domain's root."""
    for domain in subject.domains:
        found = list(_root(subject, domain))
        yield from found
        if not any(finding.cure for finding in found) and domain.path.is_dir():
            tree = subject.tree(domain)
            mounted = ", a mount point of its own" if os.path.ismount(domain.path) else ""
            yield fine(
                f"{domain.path}: {tree.paths:,} paths in {tree.directories:,} directories{mounted}", _name(domain)
            )


def _root(subject: Subject, domain: DomainSettings) -> Iterator[Finding]:
    where, path = _name(domain), domain.path
    try:
        found = path.stat()
    except FileNotFoundError:
        yield from _missing(subject, domain)
        return
    except OSError as error:
        yield broken(f"{path} cannot be looked at ({error.strerror})", where, "let the user that runs syncer read it")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield broken(f"{path} is not a directory", where, "correct its path, or put a directory there")
        return
    wanted = os.R_OK | os.X_OK | (os.W_OK if subject.receives else 0)
    if not os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids):
        what = f"{path} cannot be {'written' if subject.receives else 'read'} by user {os.geteuid()}"
        yield broken(what, where, "run syncer as root, or as a user who may")
        return
    if path.is_symlink():
        yield noted(
            f"{path} is a link to {os.path.realpath(path)}: should it point elsewhere, the domain is suspended", where
        )
    if subject.receives:
        # Production only reads there.
        yield from (finding._replace(where=f"{where}: {finding.where}") for finding in room(path))
    yield from _file_system(subject, path, where)
    unreadable = subject.tree(domain).unreadable
    if unreadable:
        more = f" and {len(unreadable) - _NAMES_SHOWN:,} more" if len(unreadable) > _NAMES_SHOWN else ""
        what = f"directories cannot be read: {', '.join(unreadable[:_NAMES_SHOWN])}{more}"
        yield warned(what, where, "run syncer as root, or let its user read them; what is below them is unknown")


def _missing(subject: Subject, domain: DomainSettings) -> Iterator[Finding]:
    where, path = _name(domain), domain.path
    if subject.receives and path.parent.is_dir():
        yield noted(f"{path} is missing: it is made by the first synchronization; where it was there before, "
                    "the domain stays suspended until it is back", where)  # fmt: skip
        return
    what = f"{path} is missing: the domain stays suspended until it is there"
    yield broken(what, where, "mount it, make it, or correct its path")


def _file_system(subject: Subject, path: Path, where: str) -> Iterator[Finding]:
    kind = remote_kind(path, subject.machine.mount_table)
    if kind is not None:
        what = f"lies on {kind}, which tells of no changes made elsewhere: it is compared every few seconds"
        yield noted(f"{path} {what}", where)
    try:
        os.listxattr(path)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            yield noted(f"the file system of {path} holds no extended attributes and access lists", where)
    if ignores_case(path):
        what = f"the file system of {path} takes upper and lower case for the same"
        yield warned(what, where, "use one that does not: of names that differ in nothing else only one is kept")


def ignores_case(directory: Path) -> bool:
    """Tell whether names in a directory are found in the other case, too; asks for names that are not there only."""
    names = os.listdir(directory)
    others = set(names)
    for name in names:
        other = name.swapcase()
        if other != name and other not in others:
            return os.path.lexists(directory / other)
    return False


def _name(domain: DomainSettings) -> str:
    return f"domain {domain.name}"
