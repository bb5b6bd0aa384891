"""Which paths of a domain are synchronized: gitignore patterns, and syncer's own files never (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blake3 import blake3

from syncer.model import Patterns, parent_of
from syncer.patterns import PatternLines, path_text

STAGING_NAME = b".syncer"
"""The name of staging directories, on every node: never captured, wherever one lies."""

_WILDCARDS = frozenset("*?[\\")


class Scope:
    """Decides about paths; raises ConfigurationError for a pattern that cannot be understood.

    Git's rules hold: the last pattern that matches decides, and nothing below an excluded directory can
    be included again. Names that are not UTF-8 are matched as os.fsdecode gives them.
    """

    def __init__(self, patterns: Patterns, protected: Iterable[bytes] = ()) -> None:
        self._patterns = patterns
        self._protected = frozenset(protected)
        self._include = PatternLines(patterns.include)
        # A negated pattern makes it matter whether a path itself or a directory above it is meant.
        self._exclude = PatternLines(patterns.exclude, exact=any(line.startswith("!") for line in patterns.exclude))
        self._prefixes = _literal_prefixes(patterns.include)
        self.everything = patterns.include == ("**",)
        self.has_excludes = bool(self._exclude.patterns)
        self.has_protected = bool(self._protected)

    def wants(self, path: bytes, is_directory: bool) -> bool:
        """Tell whether `path` is synchronized for itself; parents of wanted paths come along anyway."""
        if not path:
            return True
        return (
            not self.is_protected(path)
            and (not self.has_excludes or self._excluding(path, is_directory) is None)
            and (self.everything or self._include.matches(path_text(path, is_directory)))
        )

    def may_descend(self, path: bytes) -> bool:
        """Tell whether anything at or below the directory `path` could be wanted."""
        if not path:
            return True
        if self.is_protected(path) or (self.has_excludes and self._excluding(path, is_directory=True)):
            return False
        if self._prefixes is None:
            return True
        names = path.split(b"/")
        return any(
            all(ours == theirs for ours, theirs in zip(names, prefix, strict=False)) for prefix in self._prefixes
        )

    def is_protected(self, path: bytes) -> bool:
        """Tell whether `path` is syncer's own, or lies below such a path."""
        if STAGING_NAME in path and STAGING_NAME in path.split(b"/"):
            return True
        while path and self._protected:
            if path in self._protected:
                return True
            path = parent_of(path)
        return False

    def excluded_by(self, path: bytes, is_directory: bool) -> str | None:
        """Return the exclude pattern that matches `path` or a directory above it, or None."""
        return self._excluding(path, is_directory) if self.has_excludes else None

    def explain(self, path: bytes, is_directory: bool) -> str:
        """Say in words which pattern decides about `path`."""
        if self.is_protected(path):
            return "it is one of syncer's own files, which are never synchronized"
        excluding = self._excluding(path, is_directory) if path else None
        if excluding is not None:
            return f"the exclude pattern {excluding!r} matches it"
        if self.everything or not path:
            return "everything that is not excluded is synchronized"
        rule = self._include.last_match(path_text(path, is_directory))
        if rule is None:
            also = "; it comes along where something below it is included" if is_directory else ""
            return f"no include pattern matches it{also}"
        if not rule.matches:
            return f"the include pattern {rule.line!r} leaves it out"
        return f"the include pattern {rule.line!r} matches it"

    def _excluding(self, path: bytes, is_directory: bool) -> str | None:
        """Return the pattern that excludes `path`, or None."""
        rules = self._exclude
        if rules.has_negation:
            # Git does not look below an excluded directory, so no pattern can bring anything there back.
            names = path.split(b"/")
            for length in range(1, len(names)):
                rule = rules.last_match(path_text(b"/".join(names[:length]), is_directory=True))
                if rule is not None and rule.matches:
                    return rule.line
        text = path_text(path, is_directory)
        if not rules.matches(text):
            return None
        rule = rules.last_match(text)
        return rule.line if rule is not None else None


def pattern_hash(patterns: Patterns) -> bytes:
    """Return a blake3 digest (32 bytes) that is equal exactly where the patterns are."""
    hasher = blake3()
    for lines in patterns:
        hasher.update(b"%d;" % len(lines))
        for line in lines:
            encoded = line.encode("utf-8", "surrogateescape")
            hasher.update(b"%d:%b" % (len(encoded), encoded))
    return hasher.digest()


def _literal_prefixes(lines: Sequence[str]) -> list[list[bytes]] | None:
    """Return the directories that anchored include patterns begin with; None where one may match anywhere.

    So that `include = ["nginx/**"]` does not walk through, and watch, all of /etc.
    """
    prefixes = []
    for line in lines:
        text = line.rstrip()
        if not text or text.startswith(("#", "!")):
            continue
        if "/" not in text[:-1]:
            return None
        literal: list[bytes] = []
        for name in text.strip("/").split("/"):
            if _WILDCARDS.intersection(name):
                break
            literal.append(name.encode("utf-8", "surrogateescape"))
        if not literal:
            return None
        prefixes.append(literal)
    return prefixes
