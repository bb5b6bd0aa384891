"""Where configured commands are looked for, and which of them are not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from syncer.config.settings import DomainSettings

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of every configured command."""
ACTIONS = ("check", "reload", "start", "stop", "status")
"""The keys of a domain that name a command."""


def missing_programs(domain: DomainSettings) -> Iterator[tuple[str, str]]:
    """Yield key and program of each command that could not be started now."""
    for action in ACTIONS:
        words: tuple[str, ...] = getattr(domain, action)
        if words and not is_there(words[0]):
            yield action, words[0]


def is_there(program: str) -> bool:
    """Tell whether a program could be started now."""
    # Commands run in /: that is what a relative path with a slash starts from.
    return shutil.which(program if "/" not in program else f"/{program}", path=SEARCH_PATH) is not None
