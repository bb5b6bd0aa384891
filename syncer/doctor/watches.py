"""Watches: whether the kernel lets the agent watch every directory."""

from __future__ import annotations

from collections.abc import Iterator

from syncer.doctor.findings import Finding, fine, warned
from syncer.doctor.subject import Subject

SHARE = 0.8
"""Of the limit: other programs of the same user need watches, too."""
LIMIT = "fs.inotify.max_user_watches"


def watches(subject: Subject) -> Iterator[Finding]:
    """Yield whether there are watches enough for the directories that were asked for, and what the agent has got."""
    status = subject.agent.status
    for domain in status["domains"] if status is not None else ():
        watched, directories = domain.get("watched"), domain.get("directories")
        if domain["state"] == "watching" and watched is not None and directories is not None and watched < directories:
            what = f"only {watched:,} of {directories:,} directories are watched: changes elsewhere are found by scans"
            yield warned(what, f"domain {domain['name']}", f"raise {LIMIT} with sysctl, then restart the agent")
    limit = subject.machine.limit(LIMIT)
    if limit is None:
        return
    needed = sum(subject.tree(domain).directories for domain in subject.domains if domain.path.is_dir())
    if needed > limit * SHARE:
        what = f"is {limit:,}, and {needed:,} directories are to be watched: changes in others are found by scans only"
        yield warned(what, LIMIT, f"raise it with sysctl, for example to {needed * 4}")
    else:
        yield fine(f"{needed:,} directories to watch, {limit:,} watches allowed", LIMIT)
