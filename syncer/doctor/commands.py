"""The commands that the domains name: there, and executable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from syncer.config.programs import ACTIONS, SEARCH_PATH
from syncer.doctor.findings import Finding, broken, fine, noted, warned
from syncer.doctor.subject import Subject


def commands(subject: Subject) -> Iterator[Finding]:
    """Yield which commands could not be started here; on production they are needed only after a failover."""
    for domain in subject.domains:
        named: dict[str, tuple[str, ...]] = {key: getattr(domain, key) for key in ACTIONS}
        missing = {key: fault_of(words[0]) for key, words in named.items() if words}
        for key, fault in missing.items():
            where = f"domains.{domain.name}.{key}"
            what, cure = f"{named[key][0]} {fault}", "install the program, or correct the command"
            if not fault:
                continue
            if key == "freeze":
                # Needed on whichever node is production.
                yield warned(f"{what}, so the domain cannot be frozen", where, cure)
            elif not subject.receives:
                yield noted(f"{what}, which matters once this node is failover", where, cure)
            elif key == "check":
                yield broken(f"{what}, so every change is refused", where, cure)
            else:
                yield warned(what, where, cure)
        if missing and not any(missing.values()):
            yield fine(f"{', '.join(missing)} can be started", f"domain {domain.name}")


def fault_of(program: str, search_path: str = SEARCH_PATH) -> str:
    """Return why a program cannot be started as the agent starts it (in /, with a PATH of its own); "" where it can."""
    if "/" not in program:
        return "" if shutil.which(program, path=search_path) else f"is in none of {search_path}"
    path = os.path.join("/", program)
    if not os.path.isfile(path):
        return "does not exist"
    return "" if os.access(path, os.X_OK) else "is not executable"
