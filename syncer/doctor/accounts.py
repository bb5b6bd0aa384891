"""Users and groups: those that production's files belong to, and those that `owners` names."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterator

from syncer.doctor.findings import Finding, noted, warned
from syncer.doctor.subject import Subject
from syncer.state.inspection import Inspected

_NAMES_SHOWN = 10


def accounts(subject: Subject) -> Iterator[Finding]:
    """Yield which names this node lacks; on production its own names are there by nature."""
    if not subject.receives:
        return
    mapped: set[str] = set()
    for domain in subject.domains:
        mapped |= domain.owners.keys()
        for theirs, ours in domain.owners.items():
            if not _is_known(ours, pwd.getpwnam) and not _is_known(ours, grp.getgrnam):
                what = f"{theirs} is mapped to {ours}, and there is neither a user nor a group of this name"
                yield warned(what, f"domains.{domain.name}.owners", "create it, or correct the name")
    if not isinstance(subject.stored, Inspected):
        return
    for what, names, lookup in (
        ("user", subject.stored.owners, pwd.getpwnam),
        ("group", subject.stored.groups, grp.getgrnam),
    ):
        missing = [name for name in names if name not in mapped and not _is_known(name, lookup)]
        if missing:
            more = f" and {len(missing) - _NAMES_SHOWN:,} more" if len(missing) > _NAMES_SHOWN else ""
            said = f"not known here, so production's number is used: {', '.join(missing[:_NAMES_SHOWN])}{more}"
            yield noted(said, f"{what}s of production", "create them, or name others under `owners`")


def _is_known(name: str, lookup: Callable[[str], object]) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True
