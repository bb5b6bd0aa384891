"""Where configured commands are looked for, and which of them are not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from syncer.config.settings import DomainSettings, HookSettings

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of every configured command."""
ACTIONS = ("check", "reload", "start", "stop", "status", "freeze")
"""The keys of a domain that name a command."""


HOOKS = (
    "before_promote", "after_promote", "before_demote", "after_demote", "before_failback", "after_failback",
)  # fmt: skip  # in pairs
"""The keys of [hooks] that name a command."""


def missing_programs(domain: DomainSettings) -> Iterator[tuple[str, str]]:
    """Yield key and program of each command that could not be started now."""
    return _missing(domain, ACTIONS)


def missing_hooks(hooks: HookSettings) -> Iterator[tuple[str, str]]:
    """Yield the same of hooks."""
    return _missing(hooks, HOOKS)


def is_there(program: str) -> bool:
    """Tell whether a program could be started now."""
    # Commands run in /: that is what a relative path with a slash starts from.
    return shutil.which(program if "/" not in program else f"/{program}", path=SEARCH_PATH) is not None


def _missing(table: DomainSettings | HookSettings, keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key in keys:
        words: tuple[str, ...] = getattr(table, key)
        if words and not is_there(words[0]):
            yield key, words[0]
