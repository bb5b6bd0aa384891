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
        # Commands run in /: that is what a relative path with a slash starts from.
        if words and shutil.which(words[0] if "/" not in words[0] else f"/{words[0]}", path=SEARCH_PATH) is None:
            yield action, words[0]
