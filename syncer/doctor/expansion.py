"""Expands wildcards in a path as glob(3) does, looking at a bounded number of names."""

from __future__ import annotations

import fnmatch
import os
import re

NAMES_MOST = 100_000
"""Directory entries that one pattern may look at; a path with a wildcard at its start could look at the whole disk."""
MATCHES_MOST = 5_000

_WILD = re.compile(r"[*?\[]")


class TooManyError(Exception):
    """A pattern matches, or looks at, more than is reasonable for a configuration."""


def has_wildcard(path: str) -> bool:
    """Tell whether the path holds a wildcard."""
    return _WILD.search(path) is not None


def expand(pattern: str) -> list[str]:
    """Return the existing paths that an absolute pattern matches, sorted. Raises TooManyError."""
    found = ["/"]
    looked_at = 0
    names = [name for name in pattern.split("/") if name]
    for position, name in enumerate(names):
        following: list[str] = []
        is_last = position == len(names) - 1
        wild = re.compile(fnmatch.translate(name)) if has_wildcard(name) else None
        for directory in found:
            if wild is None:
                path = os.path.join(directory, name)
                if os.path.lexists(path):
                    following.append(path)
                continue
            entries = _names(directory)
            looked_at += len(entries)
            # A name that begins with a dot is meant only where the pattern says so.
            matching = [entry for entry in entries if wild.match(entry) and (name[0] == "." or entry[0] != ".")]
            following += [os.path.join(directory, entry) for entry in matching]
            if looked_at > NAMES_MOST or len(following) > MATCHES_MOST:
                raise TooManyError
        found = sorted(following if is_last else [path for path in following if os.path.isdir(path)])
    return found


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            found = []
            for entry in entries:
                found.append(entry.name)
                if len(found) > NAMES_MOST:
                    raise TooManyError
            return found
    except OSError:
        # What the program cannot list, or is no directory, matches nothing for it either.
        return []
