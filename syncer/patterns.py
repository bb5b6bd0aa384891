"""Compiled lines of gitignore syntax, and what they say about a path (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from syncer.errors import ConfigurationError


class Pattern(NamedTuple):
    """One line, compiled."""

    line: str
    regex: re.Pattern[str]
    matches: bool
    """False for a line that begins with "!"."""


class PatternLines:
    """Compiled lines, of which the last that matches decides; where none is negated, one expression answers for all.

    Raises ConfigurationError for a line that cannot be understood. Empty lines and comments count for nothing.
    """

    def __init__(self, lines: Sequence[str], *, exact: bool = False) -> None:
        """Compile; an `exact` line matches only the path itself, else also everything below it."""
        self.patterns = [pattern for line in lines if (pattern := _compiled(line, exact=exact)) is not None]
        self.has_negation = any(not pattern.matches for pattern in self.patterns)
        combined = "|".join(f"(?:{pattern.regex.pattern})" for pattern in self.patterns)
        self._combined = re.compile(combined, re.DOTALL)

    def matches(self, text: str) -> bool:
        """Tell whether the last line that matches `text` (directories end with "/") is not negated."""
        if self.has_negation:
            pattern = self.last_match(text)
            return pattern is not None and pattern.matches
        return bool(self.patterns) and self._combined.search(text) is not None

    def last_match(self, text: str) -> Pattern | None:
        """Return the line that decides about `text`, or None."""
        return next((pattern for pattern in reversed(self.patterns) if pattern.regex.search(text)), None)


def path_text(path: bytes, is_directory: bool) -> str:
    """Return `path` as lines are matched with it: names that are not UTF-8 as os.fsdecode gives them."""
    text = path.decode("utf-8", "surrogateescape")
    return text + "/" if is_directory else text


def _compiled(line: str, *, exact: bool) -> Pattern | None:
    """Return the pattern of one line, or None for an empty one or a comment."""
    try:
        regex, matches = GitIgnoreSpecPattern.pattern_to_regex(_contents_only(line))
        if regex is None or matches is None:
            return None
        # The group marks directories for pathspec's own precedence; here parents are asked one by one.
        regex = regex.replace("(?P<ps_d>/)", "/")
        if exact and regex.endswith("(?:/|$)"):
            regex = regex.removesuffix("(?:/|$)") + r"/?\Z"
        elif exact and regex.endswith("/"):
            regex += r"\Z"
        return Pattern(line, re.compile(regex, re.DOTALL), matches)
    except (GitIgnorePatternError, re.error) as error:
        raise ConfigurationError(
            f"{line!r} is not a gitignore pattern ({error}); write it as in a .gitignore file"
        ) from error


def _contents_only(line: str) -> str:
    """Return a pattern so that "dir/**" matches what lies in dir, but not dir itself, as git does it."""
    stripped = line.rstrip()
    if stripped.strip("!/") == "**":
        return line
    if stripped.endswith("/**/"):
        return stripped + "*/"
    return stripped + "/*" if stripped.endswith("/**") else line
